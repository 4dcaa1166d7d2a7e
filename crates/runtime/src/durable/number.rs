//! A number in a small file: what a program has to know of its former runs.
//!
//! `crc32c:1a2b3c4d 1732831396000` and a line feed: the checksum of the digits, then the digits. Without
//! it a file that a bad disk cut short would still be a number, only a smaller one. The checksum comes
//! first so that no part of such a file is what the first releases wrote, which was digits alone.

use super::replace;
use std::io;
use std::path::{Path, PathBuf};
use std::str;

const MARK: &str = "crc32c:";

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// This, for certain.
    Sound(u64),
    /// This, by a file of the first releases, which nothing checks: it may have been more digits once.
    Unchecked(u64),
}

impl Kept {
    /// The number, whoever vouches for it.
    pub fn number(self) -> u64 {
        match self {
            Self::Sound(number) | Self::Unchecked(number) => number,
        }
    }
}

/// Why a number is not known.
#[derive(Debug, thiserror::Error)]
pub enum NumberError {
    /// There is something else in the file, or nothing.
    #[error("{} is damaged: what stands there is no number with its checksum", .0.display())]
    Damaged(PathBuf),
    /// The system said no.
    #[error("{} cannot be read: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Reads the number in `path`; `None` if there is no such file.
///
/// # Errors
/// The file is damaged, or cannot be read.
pub fn read(path: &Path) -> Result<Option<Kept>, NumberError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(NumberError::Io {
                path: path.to_owned(),
                error,
            });
        }
    };
    let damaged = || NumberError::Damaged(path.to_owned());
    parse(&bytes).map(Some).ok_or_else(damaged)
}

fn parse(bytes: &[u8]) -> Option<Kept> {
    let text = str::from_utf8(bytes).ok()?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Kept::Unchecked);
    }
    let digits = text.strip_prefix(MARK)?.split_once(' ')?.1.trim_end();
    let number = digits.parse().ok()?;
    // Byte for byte what would be written: there is one way to write a number only.
    (text == content(number)).then_some(Kept::Sound(number))
}

fn content(number: u64) -> String {
    let digits = number.to_string();
    let checksum = crc32c::crc32c(digits.as_bytes());
    format!("{MARK}{checksum:08x} {digits}\n")
}

/// Puts `number` into `path`, as [`replace`] does.
///
/// # Errors
/// The folder cannot be written; the old number stands.
pub fn write(path: &Path, number: u64) -> io::Result<()> {
    replace(path, content(number).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(content: &[u8]) -> Result<Option<Kept>, NumberError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        std::fs::write(&path, content).unwrap();
        read(&path)
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        assert!(matches!(read(&path), Ok(None)));
        for number in [0, 7, 1_732_831_396_000, u64::MAX] {
            write(&path, number).unwrap();
            assert_eq!(read(&path).unwrap(), Some(Kept::Sound(number)));
        }
    }

    #[test]
    fn a_number_of_the_first_releases_is_read_and_told_apart() {
        let old = there(b"1732831396000").unwrap();
        assert_eq!(old, Some(Kept::Unchecked(1_732_831_396_000)));
    }

    #[test]
    fn no_damage_passes_for_a_number() {
        let whole = content(1_732_831_396_000).into_bytes();
        for end in 0..whole.len() {
            assert!(there(&whole[..end]).is_err(), "cut after {end} bytes");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut turned = whole.clone();
                turned[at] ^= 1 << bit;
                assert!(there(&turned).is_err(), "bit {bit} of byte {at}");
            }
        }
        for garbage in [
            "",
            " 7",
            "-7",
            "7\n",
            "18446744073709551616",
            "4x",
            "crc32c:00000000 7\n",
        ] {
            assert!(there(garbage.as_bytes()).is_err(), "{garbage:?}");
        }
        assert!(there(b"\xff torn").is_err());
    }
}
