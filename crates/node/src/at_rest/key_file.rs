//! The file with the wrapping keys: one line for each, the newest first, `crc32c:1a2b3c4d ` and 64 hex
//! digits. Only its owner may read it. It stands there twice, for a sector that goes bad must not take all
//! mails with it; that is no backup.

use custody::at_rest::{KeyId, Keychain, WrappingKey};
use runtime::{durable, entropy};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MARK: &str = "crc32c:";
/// Most keys in a file: more are a file of something else.
const MOST: usize = 64;
/// Characters of a line, its end included.
const LINE: usize = MARK.len() + 8 + 1 + 64 + 1;

/// Why there is no wrapping key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is gone.
    #[error(
        "the wrapping key {path} is missing, and {sealed} is sealed with it: put the file back from your \
         copy (docs/operations.md). A new one is made only where nothing is sealed; whoever has no copy \
         can move {sealed} away, give up what is in it, and start again"
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is sealed with it.
        sealed: PathBuf,
    },
    /// The system said no.
    #[error("cannot {action} the wrapping key {path}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Others can read it.
    #[error(
        "the wrapping key {path} can be read by others (mode {mode:03o}); allow its owner only: `chmod 600 {path}`"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not what stood there.
    #[error(
        "the wrapping key {path} is damaged in line {line}: each line has to be `crc32c:`, the checksum, a \
         blank and the 64 hex digits that it is of, the newest key first. Put the file back from your copy; \
         what is sealed with it is untouched"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line.
        line: usize,
    },
}

/// The lines of both copies.
struct Lines {
    /// Each with its checksum, the newest first.
    lines: Vec<Zeroizing<String>>,
    /// Whether both copies say just this.
    agree: bool,
}

impl Lines {
    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.lines.len() * LINE));
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn keys(&self) -> Option<Keychain> {
        let mut keys = self.lines.iter().filter_map(|line| key(line));
        let newest = keys.next()?;
        Some(Keychain::new(newest, keys.collect()))
    }
}

/// The keys in `path` or its copy; `None` if there is neither.
pub(super) fn load(path: &Path) -> Result<Option<Keychain>, KeyFileError> {
    Ok(lines(path)?.and_then(|lines| lines.keys()))
}

/// As [`load`]; and what one of the two copies lacks is put there.
pub(super) fn load_and_mend(path: &Path) -> Result<Option<Keychain>, KeyFileError> {
    let Some(lines) = lines(path)? else {
        return Ok(None);
    };
    if !lines.agree {
        write(path, &lines.text())?;
        tracing::warn!(
            "the wrapping key {} and its copy were not the same; both have all keys now",
            path.display()
        );
    }
    Ok(lines.keys())
}

/// Ids of the keys in `path`, the newest first; none if there is no such file.
///
/// # Errors
/// It cannot be read, is damaged, or others can read it.
pub fn ids(path: &Path) -> Result<Vec<KeyId>, KeyFileError> {
    Ok(load(path)?.map_or_else(Vec::new, |keys| keys.ids().collect()))
}

/// Puts a fresh key in front of those in `path`, durably. A node that runs goes on with its own, and takes
/// the new one at its next start.
///
/// # Errors
/// As [`ids`], and the file cannot be written; the old one stands.
pub fn add(path: &Path) -> Result<Keychain, KeyFileError> {
    // What is damaged is not written over.
    let former = lines(path)?.map_or_else(Vec::new, |lines| lines.lines);
    let bytes = Zeroizing::new(entropy::bytes::<32>());
    let mut lines = vec![line(&Zeroizing::new(hex::encode(*bytes)))];
    lines.extend(former);
    lines.truncate(MOST);
    let lines = Lines { lines, agree: true };
    write(path, &lines.text())?;
    Ok(lines.keys().expect("the first line was just made"))
}

/// The file first: where a power loss comes between, the copy lacks what nothing is sealed with yet.
fn write(path: &Path, text: &str) -> Result<(), KeyFileError> {
    for path in [path.to_owned(), copy_of(path)] {
        durable::replace_secret(&path, text.as_bytes()).map_err(|error| KeyFileError::Io {
            action: "write",
            path,
            error,
        })?;
    }
    Ok(())
}

fn copy_of(path: &Path) -> PathBuf {
    path.with_added_extension("copy")
}

/// One sound copy is enough; of two that differ, no key is given up.
fn lines(path: &Path) -> Result<Option<Lines>, KeyFileError> {
    let (first, second) = (lines_in(path), lines_in(&copy_of(path)));
    let alone = |lines| Lines {
        lines,
        agree: false,
    };
    match (first, second) {
        (Ok(None), Ok(None)) => Ok(None),
        (Ok(Some(mut lines)), Ok(Some(others))) => {
            let agree = lines == others;
            let more = others.into_iter().filter(|line| !lines.contains(line));
            let more: Vec<Zeroizing<String>> = more.collect();
            lines.extend(more);
            Ok(Some(Lines { lines, agree }))
        }
        (Ok(Some(lines)), Ok(None) | Err(KeyFileError::Damaged { .. }))
        | (Ok(None) | Err(KeyFileError::Damaged { .. }), Ok(Some(lines))) => Ok(Some(alone(lines))),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn lines_in(path: &Path) -> Result<Option<Vec<Zeroizing<String>>>, KeyFileError> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let damaged = |line| KeyFileError::Damaged {
        path: path.to_owned(),
        line,
    };
    let mut lines = Vec::new();
    for (line, number) in text.split_terminator('\n').zip(1..) {
        if key(line).is_none() || number > MOST {
            return Err(damaged(number));
        }
        lines.push(Zeroizing::new(line.to_owned()));
    }
    // A last line that is not ended was cut off, though its checksum may hold.
    if lines.is_empty() || !text.ends_with('\n') {
        return Err(damaged(lines.len().max(1)));
    }
    Ok(Some(lines))
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, KeyFileError> {
    let failed = |error| KeyFileError::Io {
        action: "read",
        path: path.to_owned(),
        error,
    };
    let mode = match fs::metadata(path) {
        Ok(found) => found.mode() & 0o777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(_) => Err(KeyFileError::Damaged {
            path: path.to_owned(),
            line: 1,
        }),
    }
}

fn line(digits: &str) -> Zeroizing<String> {
    let checksum = crc32c::crc32c(digits.as_bytes());
    Zeroizing::new(format!("{MARK}{checksum:08x} {digits}"))
}

fn key(text: &str) -> Option<WrappingKey> {
    let (_, digits) = text.strip_prefix(MARK)?.split_once(' ')?;
    // There is one way to write a line only.
    if *line(digits) != text {
        return None;
    }
    let mut key = [0; 32];
    hex::decode_to_slice(digits, &mut key).ok()?;
    Some(WrappingKey::new(key))
}
