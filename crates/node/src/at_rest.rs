//! What this node keeps on its disk and others must not read there: the mail journal, the quarantine, and
//! scores that wait for Kafka, under data keys that the node's wrapping key wraps (`custody::at_rest`).
//!
//! The wrapping key is a file of its own. It is made once, and never again while anything sealed is
//! there: a new key would hide that the old one is missing, and what came in meanwhile would be sealed
//! under a key that goes when the old one is put back.

mod key_file;

pub use key_file::{KeyFileError, add, ids};

use config::Config;
use custody::at_rest::{self, DataKey, ItemError, Keychain, Place, Purpose, UnwrapError};
use runtime::entropy;
use runtime::journal::{self, KeyPlace, RecordCipher, RecordKey, TAG};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use wire::KeyEpoch;

/// In the data folder, unless the configuration names another place.
const FILE: &str = "wrapping.key";

/// Where the wrapping key is.
pub fn key_path(config: &Config) -> PathBuf {
    let named = config.keys.wrapping_key.clone();
    named.unwrap_or_else(|| config.node.data_dir.join(FILE))
}

/// The node's wrapping keys, and what can be done with them.
#[derive(Debug)]
pub struct Vault {
    path: PathBuf,
    keys: Keychain,
}

impl Vault {
    /// Of keys that were read from `path`.
    pub const fn new(path: PathBuf, keys: Keychain) -> Self {
        Self { path, keys }
    }

    /// The node's, made if nothing is sealed yet. The caller holds a lock that keeps a second process
    /// from doing the same.
    ///
    /// # Errors
    /// The file is missing and something sealed is there; it is damaged, or others can read it.
    pub fn of_node(
        config: &Config,
        journals: &[&Path],
        quarantine: &Path,
    ) -> Result<Self, KeyFileError> {
        let path = key_path(config);
        if let Some(keys) = key_file::load_and_mend(&path)? {
            return Ok(Self::new(path, keys));
        }
        if let Some(sealed) = sealed(journals, quarantine) {
            return Err(KeyFileError::Missing { path, sealed });
        }
        let keys = key_file::add(&path)?;
        tracing::info!(
            "made the wrapping key {}; keep a copy where this disk is not",
            path.display()
        );
        Ok(Self::new(path, keys))
    }

    /// The node's, for looking at what is there; nothing is made.
    ///
    /// # Errors
    /// There is none, it is damaged, or others can read it.
    pub fn existing(config: &Config) -> Result<Self, KeyFileError> {
        let path = key_path(config);
        match key_file::load(&path)? {
            Some(keys) => Ok(Self::new(path, keys)),
            None => Err(KeyFileError::Missing {
                sealed: config.node.data_dir.clone(),
                path,
            }),
        }
    }

    /// An item of the quarantine as it rests.
    pub fn seal_item(&self, number: u64, content: &[u8]) -> Vec<u8> {
        let purpose = Purpose::Quarantine;
        at_rest::seal_item(&self.keys, purpose, number, entropy::bytes(), content)
    }

    /// An item's content.
    ///
    /// # Errors
    /// A sentence with the remedy.
    pub fn open_item(&self, number: u64, bytes: &[u8]) -> Result<Vec<u8>, String> {
        at_rest::open_item(&self.keys, Purpose::Quarantine, number, bytes).map_err(|error| {
            match &error {
                ItemError::Key(unwrap) => self.why(unwrap, "the item"),
                ItemError::Short { .. } | ItemError::Tampered => {
                    format!("{error}; restore it from a copy, or discard it")
                }
            }
        })
    }

    /// Whether an item was sealed under a former wrapping key, or before there was sealing, by its first bytes.
    pub fn is_outdated(&self, start: &[u8]) -> bool {
        at_rest::wrapped_by(start) != Some(self.keys.newest())
    }

    /// Why a key cannot be had, and what helps.
    fn why(&self, error: &UnwrapError, what: &str) -> String {
        match error {
            UnwrapError::OtherKey { .. } => format!(
                "{error}. {} is not the wrapping key that it was sealed with: put that one back from your \
                 copy, or add its line behind the newest. Nothing was removed; whoever has no copy \
                 can only move {what} away and give it up",
                self.path.display()
            ),
            UnwrapError::Malformed { .. } | UnwrapError::Tampered { .. } => format!(
                "{error}; restore {what} from a copy, or move it away and give it up. The wrapping key \
                 {} is not to blame",
                self.path.display()
            ),
        }
    }
}

/// Something that is sealed already, if there is anything. What cannot be looked at counts: it may be.
fn sealed(journals: &[&Path], quarantine: &Path) -> Option<PathBuf> {
    let mut journals = journals.iter();
    if let Some(journal) = journals.find(|dir| journal::holds_sealed(dir).unwrap_or(true)) {
        return Some((*journal).to_owned());
    }
    crate::quarantine::holds_sealed(quarantine)
        .unwrap_or(true)
        .then(|| quarantine.to_owned())
}

/// Keys for a journal: a fresh one with each segment and each key epoch.
#[derive(Debug)]
pub struct JournalKeys {
    vault: Arc<Vault>,
    purpose: Purpose,
    epochs: watch::Receiver<KeyEpoch>,
}

impl JournalKeys {
    /// That follow `epochs`, for the journal of that purpose.
    pub const fn new(
        vault: Arc<Vault>,
        purpose: Purpose,
        epochs: watch::Receiver<KeyEpoch>,
    ) -> Self {
        Self {
            vault,
            purpose,
            epochs,
        }
    }

    const fn place(&self, at: &KeyPlace) -> Place {
        Place {
            purpose: self.purpose,
            container: at.segment,
            position: at.seq,
            shred: at.shred,
        }
    }
}

impl RecordCipher for JournalKeys {
    fn generation(&self) -> u64 {
        self.epochs.borrow().0
    }

    fn fresh(&self, at: &KeyPlace) -> (Box<dyn RecordKey>, Vec<u8>) {
        let (key, wrapped) = self.vault.keys.fresh(&self.place(at), entropy::bytes());
        (Box::new(Records(key)), wrapped.to_vec())
    }

    fn again(&self, at: &KeyPlace, kept: &[u8]) -> Result<Box<dyn RecordKey>, String> {
        match self.vault.keys.unwrap(&self.place(at), kept) {
            Ok(key) => Ok(Box::new(Records(key))),
            Err(error) => Err(self.vault.why(&error, "the journal's folder")),
        }
    }
}

#[derive(Debug)]
struct Records(DataKey);

const _: () = assert!(TAG == at_rest::TAG, "the journal leaves room for the tag");

impl RecordKey for Records {
    fn seal(&self, seq: u64, bound: &[u8], payload: &mut [u8]) -> [u8; TAG] {
        self.0.seal(seq, bound, payload)
    }

    fn open(&self, seq: u64, bound: &[u8], payload: &mut [u8], tag: &[u8; TAG]) -> bool {
        self.0.open(seq, bound, payload, tag)
    }
}

#[cfg(test)]
mod tests;
