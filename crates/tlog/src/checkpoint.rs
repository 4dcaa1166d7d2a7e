//! Checkpoints, <https://c2sp.org/tlog-checkpoint>: the log's name, size and root as a note.

use crate::{Hash, KeyName, NoteError, NoteSigner, NoteVerifier, SignedNote};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

/// Why a checkpoint was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not a checkpoint.
    #[error("a checkpoint is three lines: origin, size in decimal, root in base64; {0}")]
    Malformed(&'static str),
    /// Of another log.
    #[error("the checkpoint is of log {found:?}, expected was {expected:?}")]
    Origin {
        /// Origin in the checkpoint.
        found: String,
        /// Origin expected.
        expected: String,
    },
}

/// What a log commits to: everything in it, by its root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The log's unique name, `glasshouse/<cluster>`. Also the name of the key that signs first.
    pub origin: KeyName,
    /// Leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text to be signed.
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            BASE64.encode(self.root.0)
        )
    }

    /// Signed by the log's key and by any cosigners.
    pub fn sign(&self, signers: &[NoteSigner<'_>]) -> Result<SignedNote, NoteError> {
        SignedNote::sign(&self.text(), signers)
    }

    /// From a note's text. Strict: no extension lines (we write none, and ignoring what is signed
    /// would be wrong), no leading zeros, canonical base64.
    pub fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split('\n');
        let mut line = |what| lines.next().ok_or(CheckpointError::Malformed(what));
        let origin = KeyName::new(line("there is no origin")?)
            .map_err(|_| CheckpointError::Malformed("the origin is empty or has spaces or '+'"))?;
        let size = line("there is no size")?;
        let root = line("there is no root")?;
        if !line("the last line has no end")?.is_empty() || lines.next().is_some() {
            return Err(CheckpointError::Malformed("there are further lines"));
        }
        let digits = size.bytes().all(|byte| byte.is_ascii_digit());
        let number = size
            .parse()
            .ok()
            .filter(|_| digits && (size == "0" || !size.starts_with('0')));
        let size = number.ok_or(CheckpointError::Malformed(
            "the size is not a decimal number",
        ))?;
        let root = BASE64
            .decode(root)
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        let root = root.ok_or(CheckpointError::Malformed(
            "the root is not 32 bytes in base64",
        ))?;
        Ok(Self {
            origin,
            size,
            root: Hash(root),
        })
    }

    /// From a signed note, with the trusted keys that signed it; at least one must have.
    pub fn open<'a>(
        note: &[u8],
        trusted: &'a [NoteVerifier],
    ) -> Result<(Self, Vec<&'a NoteVerifier>), CheckpointError> {
        let note = SignedNote::parse(note)?;
        let signers = note.verify(trusted)?;
        Ok((Self::parse_text(note.text())?, signers))
    }

    /// Refuses a checkpoint of another log.
    pub fn expect_origin(&self, expected: &KeyName) -> Result<(), CheckpointError> {
        if self.origin == *expected {
            return Ok(());
        }
        Err(CheckpointError::Origin {
            found: self.origin.to_string(),
            expected: expected.to_string(),
        })
    }
}
