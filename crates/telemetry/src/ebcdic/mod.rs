//! EBCDIC code pages. A pure table look-up: every byte has a character.

mod tables;
#[cfg(test)]
mod tests;

use tables::{EURO, NONE, NOT_ASCII, Page};

/// Bytes translated at once.
const CHUNK: usize = 64;

/// A code page by its IBM number (CCSID).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CodePage {
    /// IBM 037: USA, Canada, Netherlands, Portugal, Brazil; CICS's usual one.
    #[default]
    Cp037,
    /// IBM 273: Germany, Austria.
    Cp273,
    /// IBM 500: international, Belgium, Switzerland.
    Cp500,
    /// IBM 1047: Latin 1 of z/OS UNIX System Services.
    Cp1047,
    /// IBM 1140: 037 with the euro sign.
    Cp1140,
}

/// A code page that this build does not know.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("code page {0:?} is unknown; known are 037, 273, 500, 1047 and 1140")]
pub struct UnknownCodePage(pub String);

/// A character that the code page does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("character {character:?} is not in code page {page}")]
pub struct NotInCodePage {
    /// The character.
    pub character: char,
    /// The code page.
    pub page: CodePage,
}

impl std::fmt::Display for CodePage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cp037 => "037",
            Self::Cp273 => "273",
            Self::Cp500 => "500",
            Self::Cp1047 => "1047",
            Self::Cp1140 => "1140",
        })
    }
}

impl std::str::FromStr for CodePage {
    type Err = UnknownCodePage;

    /// `037`, `37`, `1047`, …, with or without `cp`, `ibm`, `ibm-` in front.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let number = lower.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '-');
        match number {
            "037" | "37" => Ok(Self::Cp037),
            "273" => Ok(Self::Cp273),
            "500" => Ok(Self::Cp500),
            "1047" => Ok(Self::Cp1047),
            "1140" => Ok(Self::Cp1140),
            _ => Err(UnknownCodePage(text.to_owned())),
        }
    }
}

impl CodePage {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Cp037,
        Self::Cp273,
        Self::Cp500,
        Self::Cp1047,
        Self::Cp1140,
    ];

    fn page(self) -> &'static Page {
        match self {
            Self::Cp037 => &tables::PAGE_037,
            Self::Cp273 => &tables::PAGE_273,
            Self::Cp500 => &tables::PAGE_500,
            Self::Cp1047 => &tables::PAGE_1047,
            Self::Cp1140 => &tables::PAGE_1140,
        }
    }

    /// Bytes → text.
    pub fn decode(self, bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len());
        self.decode_into(bytes, &mut text);
        text
    }

    /// Bytes → text, appended.
    pub fn decode_into(self, bytes: &[u8], text: &mut String) {
        let page = self.page();
        for chunk in bytes.chunks(CHUNK) {
            let mut ascii = [0; CHUNK];
            let ascii = &mut ascii[..chunk.len()];
            let mut seen = 0;
            for (to, from) in ascii.iter_mut().zip(chunk) {
                *to = page.to_ascii[usize::from(*from)];
                seen |= *to;
            }
            match std::str::from_utf8(ascii) {
                Ok(all) if seen & NOT_ASCII == 0 => text.push_str(all),
                Ok(_) | Err(_) => text.extend(chunk.iter().map(|byte| {
                    let character = u32::from(page.to_unicode[usize::from(*byte)]);
                    // The tables hold Latin 1 and the euro sign, no surrogates.
                    char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER)
                })),
            }
        }
    }

    /// Text → bytes.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, NotInCodePage> {
        let page = self.page();
        let byte = |character: char| {
            let byte = match u8::try_from(character) {
                Ok(latin1) => Some(page.from_latin1[usize::from(latin1)])
                    .filter(|byte| *byte != NONE)
                    // Every entry but NONE is a byte.
                    .map(|byte| byte as u8),
                Err(_) if u32::from(character) == u32::from(EURO) => page.euro,
                Err(_) => None,
            };
            byte.ok_or(NotInCodePage {
                character,
                page: self,
            })
        };
        text.chars().map(byte).collect()
    }

    /// The blank.
    pub const fn blank(self) -> u8 {
        0x40
    }
}
