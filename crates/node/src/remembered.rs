//! What this node's participant hands to the process that comes after it, in small files of the data folder.
//!
//! A control variate is as telling as an update in clear, so only the owner may read it.

use federation::Remembered;
use federation::memory::{Dated, Memory};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use wire::Round;

/// The files' format.
const VERSION: u8 = 1;
/// Longest file: two vectors of two million parameters each, a version and a checksum.
const MAX_FILE: usize = wire::codec::MAX_ENCODED + 33;

/// The folder they are in.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

/// Round and numbers, as they stand in a file.
type Entry = Option<(Round, Vec<f32>)>;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("it is longer than {MAX_FILE} bytes")]
    Long,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it is of format {found}, and this release knows {VERSION}")]
    Format { found: u8 },
    #[error("its bytes are none of ours: {0}")]
    Bytes(String),
}

impl Shelf {
    /// Of the node with this data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.to_owned())
    }

    /// What a former process has left. A file that is damaged is as good as none, and the log says so: then the
    /// ledger will tell that something is missing.
    pub fn load(&self) -> Vec<Remembered> {
        let makers: [fn(Memory) -> Remembered; 2] = [Remembered::Variate, Remembered::LeftOut];
        let all = makers.map(|make| make(Memory::default()));
        let found = all.into_iter().zip(makers).filter_map(|(empty, make)| {
            let path = self.path(&empty);
            match read(&path) {
                Ok(memory) => memory.map(make),
                Err(damage) => {
                    tracing::warn!("{} is not used: {damage}", path.display());
                    None
                }
            }
        });
        found.collect()
    }

    /// On the disk when it returns.
    pub fn keep(&self, remembered: &Remembered) -> io::Result<()> {
        let memory = match remembered {
            Remembered::Variate(memory) | Remembered::LeftOut(memory) => memory,
        };
        let entry = |dated: &Option<Dated>| -> Entry {
            let dated = dated.as_ref()?;
            Some((dated.round, dated.numbers.clone()))
        };
        let mut bytes = vec![VERSION];
        bytes.extend(wire::encode(&(entry(&memory.kept), entry(&memory.next))));
        let sum = Sha256::digest(&bytes);
        bytes.extend(sum);
        if bytes.len() > MAX_FILE {
            let why = format!("{} bytes are over the limit of {MAX_FILE}", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        runtime::durable::replace_secret(&self.path(remembered), &bytes)
    }

    fn path(&self, remembered: &Remembered) -> PathBuf {
        self.0.join(match remembered {
            Remembered::Variate(_) => "variate",
            Remembered::LeftOut(_) => "left-out",
        })
    }
}

fn read(path: &Path) -> Result<Option<Memory>, Damage> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE {
        return Err(Damage::Long);
    }
    let Some((content, sum)) = bytes.split_last_chunk::<32>() else {
        return Err(Damage::Checksum);
    };
    if Sha256::digest(content)[..] != sum[..] {
        return Err(Damage::Checksum);
    }
    let (kept, next) = match content.split_first() {
        Some((&VERSION, content)) => {
            let decoded: Result<(Entry, Entry), _> = wire::decode(content);
            decoded.map_err(|error| Damage::Bytes(error.to_string()))?
        }
        Some((&found, _)) => return Err(Damage::Format { found }),
        None => return Err(Damage::Checksum),
    };
    let dated = |entry: Entry| entry.map(|(round, numbers)| Dated { round, numbers });
    Ok(Some(Memory {
        kept: dated(kept),
        next: dated(next),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn memory() -> Memory {
        let dated = |round, numbers| {
            Some(Dated {
                round: Round(round),
                numbers,
            })
        };
        Memory {
            kept: dated(3, vec![0.5, -1.0]),
            next: dated(4, vec![0.25, f32::MIN_POSITIVE]),
        }
    }

    #[test]
    fn the_next_process_finds_what_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(dir.path());
        assert_eq!(shelf.load(), []);
        let left_out = Remembered::LeftOut(Memory {
            next: None,
            ..memory()
        });
        let variate = Remembered::Variate(memory());
        shelf.keep(&left_out).unwrap();
        shelf.keep(&variate).unwrap();
        assert_eq!(shelf.load(), [variate, left_out]);
        let mode = std::fs::metadata(dir.path().join("variate")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_not_whole_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(dir.path());
        shelf.keep(&Remembered::Variate(memory())).unwrap();
        let path = dir.path().join("variate");
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[12] ^= 1;
        let mut later = whole[..whole.len() - 32].to_vec();
        later[0] = VERSION + 1;
        let sum = Sha256::digest(&later);
        later.extend(sum);
        let cases: [(&[u8], &str); 5] = [
            (b"", "checksum"),
            (&whole[1..], "checksum"),
            (&flipped, "checksum"),
            (&later, "format 2"),
            (&vec![0; MAX_FILE + 1], "longer"),
        ];
        for (bytes, says) in cases {
            std::fs::write(&path, bytes).unwrap();
            let why = read(&path).unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
            assert_eq!(shelf.load(), []);
        }
    }
}
