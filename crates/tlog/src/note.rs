//! Signed notes, <https://c2sp.org/signed-note>: a text and the lines of those who stand for it.
//! Ed25519 keys only, verified strictly: plain signatures (algorithm 0x01), and cosignatures
//! (0x04, <https://c2sp.org/tlog-cosignature>), which also state when they were made.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Longest note accepted, in bytes. A checkpoint takes some 300 and a signature line 150; this is
/// the limit of the specification's reference implementation, shortened to what we ever write.
pub const MAX_NOTE_BYTES: usize = 64 << 10;

/// Most signature lines in a note; the limit of the reference implementation.
pub const MAX_SIGNATURES: usize = 100;

/// What an ed25519 key signs; the numbers are the algorithm bytes in key ids and verifier keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The note's text.
    Plain = 0x01,
    /// `cosignature/v1`, a time, and the note's text: "consistent with all I have signed before,
    /// as of then".
    Cosignature = 0x04,
}

/// Bytes of a cosignature: the time in seconds since the Unix epoch (big-endian), the signature.
const COSIGNATURE: usize = 8 + Signature::BYTE_SIZE;

fn cosigned_message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}
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

/// First four bytes of SHA-256(name ‖ 0x0A ‖ algorithm ‖ public key).
fn key_id(name: &KeyName, kind: Kind, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name.as_str())
        .chain_update([b'\n', kind as u8])
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
        NoteVerifier::new(self.name.clone(), self.key.verifying_key())
    }

    /// The line of a cosignature over `text`, made at `time` (seconds since the Unix epoch), for
    /// [`SignedNote::add_line`].
    pub fn cosignature_line(&self, text: &str, time: u64) -> Result<String, NoteError> {
        if !is_note_text(text) {
            return Err(NoteError::NotText);
        }
        Ok(self.cosignature(text, time).encode())
    }

    fn cosignature(&self, text: &str, time: u64) -> SignatureLine {
        let signature = self.key.sign(cosigned_message(text, time).as_bytes());
        SignatureLine {
            name: self.name.clone(),
            id: key_id(self.name, Kind::Cosignature, &self.key.verifying_key()),
            signature: [time.to_be_bytes().as_slice(), &signature.to_bytes()].concat(),
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
    /// What its text form says. The key of a log signs plainly and may cosign as well; one that
    /// was published as a cosigner's only cosigns.
    kind: Kind,
}

impl NoteVerifier {
    /// From a name and a public key. Accepts the key's plain signatures and its cosignatures.
    pub fn new(name: KeyName, key: VerifyingKey) -> Self {
        let kind = Kind::Plain;
        Self { name, key, kind }
    }

    /// From a name and a public key that only cosigns.
    pub fn cosigner(name: KeyName, key: VerifyingKey) -> Self {
        let kind = Kind::Cosignature;
        Self { name, key, kind }
    }

    /// From a vkey, `name+id+base64(algorithm ‖ key)`, without a line end.
    pub fn parse(vkey: &str) -> Result<Self, VerifierKeyError> {
        let malformed = || VerifierKeyError::Malformed(vkey.to_owned());
        let mut parts = vkey.splitn(3, '+');
        let mut part = || parts.next().ok_or_else(malformed);
        let (name, id, key) = (part()?, part()?, part()?);
        let name = KeyName::new(name).map_err(|_| malformed())?;
        let key = BASE64.decode(key).map_err(|_| malformed())?;
        let (algorithm, key) = key.split_first().ok_or_else(malformed)?;
        let kinds = [Kind::Plain, Kind::Cosignature];
        let kind = kinds.into_iter().find(|kind| *kind as u8 == *algorithm);
        let kind = kind.ok_or_else(malformed)?;
        let key = <[u8; 32]>::try_from(key).map_err(|_| malformed())?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| malformed())?;
        let verifier = Self { name, key, kind };
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

    /// The key's id in its text form, and in lines of that kind.
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, self.kind, &self.key)
    }

    /// Which of the key's kinds of signature a line claims to be, if any.
    fn kind_of(&self, line: &SignatureLine) -> Option<Kind> {
        let kinds: &[Kind] = match self.kind {
            Kind::Plain => &[Kind::Plain, Kind::Cosignature],
            Kind::Cosignature => &[Kind::Cosignature],
        };
        let claims = |kind: &&Kind| key_id(&self.name, **kind, &self.key) == line.id;
        kinds
            .iter()
            .find(claims)
            .copied()
            .filter(|_| self.name == line.name)
    }

    fn verifies(&self, kind: Kind, text: &str, signature: &[u8]) -> bool {
        let strict = |message: &str, signature: &[u8]| {
            Signature::from_slice(signature)
                .and_then(|signature| self.key.verify_strict(message.as_bytes(), &signature))
                .is_ok()
        };
        match kind {
            Kind::Plain => strict(text, signature),
            Kind::Cosignature => match signature.split_first_chunk() {
                Some((time, rest)) if signature.len() == COSIGNATURE => {
                    strict(&cosigned_message(text, u64::from_be_bytes(*time)), rest)
                }
                Some(_) | None => false,
            },
        }
    }

    fn id_hex(&self) -> String {
        self.id().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind as u8];
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

impl SignatureLine {
    /// Without a line end.
    fn encode(&self) -> String {
        let mut blob = self.id.to_vec();
        blob.extend_from_slice(&self.signature);
        format!("{DASH}{} {}", self.name, BASE64.encode(blob))
    }
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

    /// Adds a line that somebody else made ([`NoteSigner::cosignature_line`]); not verified here.
    pub fn add_line(&mut self, line: &str) -> Result<(), NoteError> {
        let malformed = || NoteError::SignatureLine {
            line: self.lines.len() + 1,
            text: line.to_owned(),
        };
        let new = parse_line(line).ok_or_else(malformed)?;
        if self
            .lines
            .iter()
            .any(|line| line.id == new.id && line.name == new.name)
        {
            return Err(NoteError::SignedTwice { name: new.name });
        }
        if self.lines.len() == MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures {
                found: MAX_SIGNATURES + 1,
            });
        }
        self.lines.push(new);
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
            note.push_str(&line.encode());
            note.push('\n');
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

    /// The trusted keys that signed, each once. At least one must have; a wrong signature by any
    /// trusted key is an error; signatures by unknown keys are ignored, as the specification
    /// requires. A key may sign plainly and cosign, but each only once.
    pub fn verify<'a>(
        &self,
        trusted: &'a [NoteVerifier],
    ) -> Result<Vec<&'a NoteVerifier>, NoteError> {
        let mut lines: Vec<(&NoteVerifier, Kind)> = Vec::new();
        for line in &self.lines {
            let by = |key: &'a NoteVerifier| Some((key, key.kind_of(line)?));
            let Some((key, kind)) = trusted.iter().find_map(by) else {
                continue;
            };
            let name = || line.name.clone();
            if lines.contains(&(key, kind)) {
                return Err(NoteError::SignedTwice { name: name() });
            }
            if !key.verifies(kind, &self.text, &line.signature) {
                return Err(NoteError::BadSignature { name: name() });
            }
            lines.push((key, kind));
        }
        let mut signed: Vec<&NoteVerifier> = Vec::new();
        for (key, _) in lines {
            if !signed.contains(&key) {
                signed.push(key);
            }
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
