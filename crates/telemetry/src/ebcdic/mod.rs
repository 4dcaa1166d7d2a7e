//! EBCDIC code pages. A pure table look-up: every byte has a character, every character of
//! ISO 8859-1 has a byte.

mod tables;

use tables::{CP037, CP1047, inverse};

static TO_037: [u8; 256] = inverse(&CP037);
static TO_1047: [u8; 256] = inverse(&CP1047);

/// A code page by its IBM number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CodePage {
    /// IBM 037: USA, Canada, Netherlands, Portugal, Brazil; CICS's usual one.
    #[default]
    Cp037,
    /// IBM 1047: Latin 1 of z/OS UNIX System Services.
    Cp1047,
}

/// A code page that this build does not know.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("code page {0:?} is unknown; known are \"037\" and \"1047\"")]
pub struct UnknownCodePage(pub String);

/// A character that the code page does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("character {0:?} is not in ISO 8859-1, so no EBCDIC Latin-1 code page has it")]
pub struct NotInCodePage(pub char);

impl std::str::FromStr for CodePage {
    type Err = UnknownCodePage;

    /// `037`, `37`, `1047`, with or without `cp`, `ibm`, `ibm-` in front.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let number = lower.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '-');
        match number {
            "037" | "37" => Ok(Self::Cp037),
            "1047" => Ok(Self::Cp1047),
            _ => Err(UnknownCodePage(text.to_owned())),
        }
    }
}

impl CodePage {
    /// Bytes → text.
    pub fn decode(self, bytes: &[u8]) -> String {
        let table = match self {
            Self::Cp037 => &CP037,
            Self::Cp1047 => &CP1047,
        };
        bytes
            .iter()
            .map(|byte| char::from(table[usize::from(*byte)]))
            .collect()
    }

    /// Text → bytes.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, NotInCodePage> {
        let table = match self {
            Self::Cp037 => &TO_037,
            Self::Cp1047 => &TO_1047,
        };
        text.chars()
            .map(|c| {
                u8::try_from(u32::from(c))
                    .map(|latin1| table[usize::from(latin1)])
                    .map_err(|_| NotInCodePage(c))
            })
            .collect()
    }

    /// The blank.
    pub const fn blank(self) -> u8 {
        0x40
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes by hand from IBM's code page charts.
    #[test]
    fn known_characters() {
        let check = |page: CodePage, bytes: &[u8], text: &str| {
            assert_eq!(page.decode(bytes), text, "{page:?}");
            assert_eq!(page.encode(text).unwrap(), bytes, "{page:?}");
        };
        check(
            CodePage::Cp037,
            b"\xC7\xD3\xC1\xE2\xE2\xC8\xD6\xE4\xE2\xC5\x40\xF0\xF9",
            "GLASSHOUSE 09",
        );
        check(
            CodePage::Cp037,
            b"\x81\x89\x91\x99\xA2\xA9\x5B\x7B\x7C",
            "aijrsz$#@",
        );
        check(CodePage::Cp037, b"\xBA\xBB\xB0\x5F\xAD\xBD", "[]^¬Ý¨");
        check(CodePage::Cp1047, b"\xAD\xBD\x5F\xB0\xBA\xBB", "[]^¬Ý¨");
        check(
            CodePage::Cp037,
            b"\x4A\x4F\x5A\x6A\x79\xA1\xC0\xD0\xE0",
            "¢|!¦`~{}\\",
        );
        check(CodePage::Cp037, b"\x15\x25\x0D\x05", "\u{85}\n\r\t");
    }

    #[test]
    fn both_pages_are_permutations() {
        for page in [CodePage::Cp037, CodePage::Cp1047] {
            let all: Vec<u8> = (0..=255).collect();
            assert_eq!(page.encode(&page.decode(&all)).unwrap(), all);
        }
    }

    #[test]
    fn what_is_not_latin_1_is_refused() {
        assert_eq!(CodePage::Cp037.encode("5 €"), Err(NotInCodePage('€')));
    }

    #[test]
    fn names() {
        for (text, page) in [
            ("037", CodePage::Cp037),
            ("cp37", CodePage::Cp037),
            ("IBM-1047", CodePage::Cp1047),
        ] {
            assert_eq!(text.parse(), Ok(page));
        }
        assert_eq!(
            "273".parse::<CodePage>(),
            Err(UnknownCodePage("273".to_owned()))
        );
    }
}
