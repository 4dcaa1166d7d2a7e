//! Signed notes, <https://c2sp.org/signed-note>: a text and the lines of those who stand for it.
//! Only ed25519 keys (algorithm 0x01), verified strictly.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Longest note accepted, in bytes. A checkpoint takes some 300 and a signature line 150; this is
/// the limit of the specification's reference implementation, shortened to what we ever write.
pub const MAX_NOTE_BYTES: usize = 64 << 10;

/// Most signature lines in a note; the limit of the reference implementation.
pub const MAX_SIGNATURES: usize = 100;

/// Algorithm byte of plain ed25519 signatures in key ids and verifier keys.
const ED25519: u8 = 0x01;
const DASH: &str = "\u{2014} ";

/// Why a text cannot name a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot name a key: a key name is not empty and has neither spaces nor '+'")]
pub struct KeyNameError {
    /// The text.
    pub name: String,
}

/// Name of a key: not empty, without white space, control characters and `+`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyName(String);

impl KeyName {
    /// From a text.
    pub fn new(name: &str) -> Result<Self, KeyNameError> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(bad) {
            return Err(KeyNameError {
                name: name.to_owned(),
            });
        }
        Ok(Self(name.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// First four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
fn key_id(name: &KeyName, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name.as_str())
        .chain_update([b'\n', ED25519])
        .chain_update(key.as_bytes())
        .finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// Signs notes under a name; the key stays where it is.
#[derive(Clone, Copy)]
pub struct NoteSigner<'a> {
    name: &'a KeyName,
    key: &'a SigningKey,
}

impl<'a> NoteSigner<'a> {
    /// Signs with `key` as `name`.
    pub fn new(name: &'a KeyName, key: &'a SigningKey) -> Self {
        Self { name, key }
    }

    /// What others need to verify.
    pub fn verifier(&self) -> NoteVerifier {
        NoteVerifier {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }
}

/// Why a verifier key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not of the form `name+id+key`.
    #[error(
        "a verifier key reads name+id+base64, with 8 hex digits as id and an ed25519 key; {0:?} does not"
    )]
    Malformed(String),
    /// Id and key do not belong together.
    #[error(
        "the id of verifier key {0:?} does not belong to its name and key; copy it again from its owner"
    )]
    WrongId(String),
}

/// Verifies one key's signatures. Its text form (`Display`, [`parse`](Self::parse)) is the
/// specification's vkey.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteVerifier {
    name: KeyName,
    key: VerifyingKey,
}

impl NoteVerifier {
    /// From a name and a public key.
    pub fn new(name: KeyName, key: VerifyingKey) -> Self {
        Self { name, key }
    }

    /// From a vkey, `name+id+base64(0x01 ‖ key)`, without a line end.
    pub fn parse(vkey: &str) -> Result<Self, VerifierKeyError> {
        let malformed = || VerifierKeyError::Malformed(vkey.to_owned());
        let mut parts = vkey.splitn(3, '+');
        let mut part = || parts.next().ok_or_else(malformed);
        let (name, id, key) = (part()?, part()?, part()?);
        let name = KeyName::new(name).map_err(|_| malformed())?;
        let key = BASE64.decode(key).map_err(|_| malformed())?;
        let key = match key.split_first() {
            Some((&ED25519, key)) => <[u8; 32]>::try_from(key).map_err(|_| malformed())?,
            _ => return Err(malformed()),
        };
        let key = VerifyingKey::from_bytes(&key).map_err(|_| malformed())?;
        let verifier = Self { name, key };
        if verifier.id_hex() == id {
            Ok(verifier)
        } else {
            Err(VerifierKeyError::WrongId(vkey.to_owned()))
        }
    }

    /// The key's name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The public key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The key's id in signature lines.
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, &self.key)
    }

    fn id_hex(&self) -> String {
        self.id().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.id_hex(), BASE64.encode(key))
    }
}

/// Why a note was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Over [`MAX_NOTE_BYTES`].
    #[error("a note of {found} bytes is over the limit of {MAX_NOTE_BYTES}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Not text, or text with control characters.
    #[error("a note is UTF-8 text without control characters other than line feeds")]
    NotText,
    /// No empty line before the signatures, or none behind it.
    #[error(
        "a signed note is a text, an empty line and at least one signature line; the {0} is missing"
    )]
    Incomplete(&'static str),
    /// A line below the text that is no signature.
    #[error("signature line {line} does not read \"— name base64\": {text:?}")]
    SignatureLine {
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// Over [`MAX_SIGNATURES`].
    #[error("a note with {found} signatures is over the limit of {MAX_SIGNATURES}")]
    TooManySignatures {
        /// Signature lines found.
        found: usize,
    },
    /// A trusted key's signature does not verify.
    #[error(
        "the signature of {name} does not match the note: the text or the signature was altered"
    )]
    BadSignature {
        /// The key's name.
        name: KeyName,
    },
    /// The same key signed twice.
    #[error("{name} signed the note twice")]
    SignedTwice {
        /// The key's name.
        name: KeyName,
    },
    /// Nobody we trust signed.
    #[error("none of the trusted keys signed the note; it is signed by {found}")]
    NoTrustedSignature {
        /// The names on it, joined by commas.
        found: String,
    },
}

/// One signature line; not verified by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SignatureLine {
    name: KeyName,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// A text with signature lines. Parsing checks the form only; call [`verify`](Self::verify).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedNote {
    text: String,
    lines: Vec<SignatureLine>,
}

impl SignedNote {
    /// Signs `text`, which ends with a line feed and has no control character but those.
    pub fn sign(text: &str, signers: &[NoteSigner<'_>]) -> Result<Self, NoteError> {
        if !is_note_text(text) {
            return Err(NoteError::NotText);
        }
        if signers.is_empty() {
            return Err(NoteError::Incomplete("signature"));
        }
        let mut note = Self {
            text: text.to_owned(),
            lines: Vec::new(),
        };
        signers.iter().try_for_each(|signer| note.cosign(*signer))?;
        Ok(note)
    }

    /// Adds one more signature over the same text.
    pub fn cosign(&mut self, signer: NoteSigner<'_>) -> Result<(), NoteError> {
        let verifier = signer.verifier();
        let id = verifier.id();
        if self
            .lines
            .iter()
            .any(|line| line.id == id && line.name == verifier.name)
        {
            return Err(NoteError::SignedTwice {
                name: verifier.name,
            });
        }
        if self.lines.len() == MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures {
                found: MAX_SIGNATURES + 1,
            });
        }
        let signature = signer.key.sign(self.text.as_bytes()).to_bytes().to_vec();
        self.lines.push(SignatureLine {
            name: verifier.name,
            id,
            signature,
        });
        Ok(())
    }

    /// Strict: what this accepts, [`encode`](Self::encode) gives back byte for byte.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong { found: bytes.len() });
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        if !is_note_text(whole) {
            return Err(NoteError::NotText);
        }
        // The last empty line divides: the text may have empty lines of its own.
        let split = whole
            .rfind("\n\n")
            .ok_or(NoteError::Incomplete("empty line"))?;
        let (text, signatures) = (&whole[..=split], &whole[split + 2..]);
        let lines = signatures
            .split_terminator('\n')
            .enumerate()
            .map(|(at, line)| {
                parse_line(line).ok_or_else(|| NoteError::SignatureLine {
                    line: at + 1,
                    text: line.to_owned(),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        match lines.len() {
            0 => Err(NoteError::Incomplete("signature")),
            found if found > MAX_SIGNATURES => Err(NoteError::TooManySignatures { found }),
            _ => Ok(Self {
                text: text.to_owned(),
                lines,
            }),
        }
    }

    /// The note's bytes.
    pub fn encode(&self) -> String {
        let mut note = format!("{}\n", self.text);
        for line in &self.lines {
            let mut blob = line.id.to_vec();
            blob.extend_from_slice(&line.signature);
            note.push_str(&format!("{DASH}{} {}\n", line.name, BASE64.encode(blob)));
        }
        note
    }

    /// The text that is signed, with its line end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names of all who claim to have signed, verified or not.
    pub fn claimed(&self) -> impl Iterator<Item = &KeyName> {
        self.lines.iter().map(|line| &line.name)
    }

    /// The trusted keys that signed. At least one must have; a wrong signature by any trusted key
    /// is an error; signatures by unknown keys are ignored, as the specification requires.
    pub fn verify<'a>(
        &self,
        trusted: &'a [NoteVerifier],
    ) -> Result<Vec<&'a NoteVerifier>, NoteError> {
        let mut signed: Vec<&NoteVerifier> = Vec::new();
        for line in &self.lines {
            let by = |key: &&NoteVerifier| key.name == line.name && key.id() == line.id;
            let Some(key) = trusted.iter().find(by) else {
                continue;
            };
            if signed.contains(&key) {
                return Err(NoteError::SignedTwice {
                    name: line.name.clone(),
                });
            }
            let good = Signature::from_slice(&line.signature)
                .and_then(|signature| key.key.verify_strict(self.text.as_bytes(), &signature));
            if good.is_err() {
                return Err(NoteError::BadSignature {
                    name: line.name.clone(),
                });
            }
            signed.push(key);
        }
        if signed.is_empty() {
            let found = self
                .claimed()
                .map(KeyName::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(NoteError::NoTrustedSignature { found });
        }
        Ok(signed)
    }
}

fn is_note_text(text: &str) -> bool {
    text.ends_with('\n') && !text.chars().any(|c| c.is_control() && c != '\n')
}

fn parse_line(line: &str) -> Option<SignatureLine> {
    let (name, blob) = line.strip_prefix(DASH)?.split_once(' ')?;
    let name = KeyName::new(name).ok()?;
    let blob = BASE64.decode(blob).ok()?;
    let (id, signature) = blob.split_first_chunk::<4>()?;
    (!signature.is_empty()).then(|| SignatureLine {
        name,
        id: *id,
        signature: signature.to_vec(),
    })
}
