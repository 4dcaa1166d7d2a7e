//! What a disk does to synced data while its machine is off.

use crate::machines::rng::Dice;
use crate::plan::DiskFault;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// What a misdirected write writes.
const SECTOR: u64 = 512;
/// The folder in which a node keeps the mail that it has acknowledged.
const MAIL: &str = "mail";

/// What became of a disk.
pub(super) struct Struck {
    /// In words.
    pub(super) what: String,
    /// Could mail be gone that the node has promised to keep?
    pub(super) mail: bool,
}

/// Damages what lies in `dir`; says what it did.
pub(super) fn strike(dir: &Path, fault: DiskFault, dice: &mut Dice) -> io::Result<Struck> {
    if fault == DiskFault::Lost {
        fs::remove_dir_all(dir)?;
        fs::create_dir_all(dir)?;
        return Ok(Struck {
            what: "the disk is gone, an empty one stands in its place".to_owned(),
            mail: true,
        });
    }
    let mut files = Vec::new();
    list(dir, &mut files)?;
    // Directories list their entries in no order that two runs share.
    files.sort();
    if files.is_empty() {
        return Ok(Struck {
            what: "the disk holds nothing that could be damaged".to_owned(),
            mail: false,
        });
    }
    let path = &files[dice.index(files.len())];
    let name = path.strip_prefix(dir).unwrap_or(path);
    let what = damage(path, fault, dice)?;
    Ok(Struck {
        what: format!("{}: {what}", name.display()),
        mail: name.starts_with(MAIL),
    })
}

/// Damages one file.
fn damage(path: &Path, fault: DiskFault, dice: &mut Dice) -> io::Result<String> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    match fault {
        DiskFault::Lost => Ok(String::new()),
        DiskFault::BitRot => {
            let (at, bit) = (dice.below(len), dice.below(8));
            let mut byte = [0];
            file.read_exact_at(&mut byte, at)?;
            byte[0] ^= 1 << bit;
            file.write_all_at(&byte, at)?;
            Ok(format!("bit {bit} of byte {at} has turned"))
        }
        DiskFault::Misdirected => {
            let (from, to) = (dice.below(len) / SECTOR, dice.below(len) / SECTOR);
            let mut sector = Vec::new();
            read_sector(&file, from * SECTOR, len, &mut sector)?;
            let room = (len - to * SECTOR).min(SECTOR) as usize;
            sector.truncate(room);
            file.write_all_at(&sector, to * SECTOR)?;
            Ok(format!("sector {from} was written over sector {to}"))
        }
        DiskFault::Truncated => {
            let at = dice.below(len);
            file.set_len(at)?;
            Ok(format!("ends after {at} of {len} bytes"))
        }
    }
}

fn read_sector(file: &File, at: u64, len: u64, into: &mut Vec<u8>) -> io::Result<()> {
    into.resize((len - at).min(SECTOR) as usize, 0);
    file.read_exact_at(into, at)
}

/// Files with content.
fn list(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            list(&entry.path(), files)?;
        } else if meta.is_file() && meta.len() > 0 {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_does_what_it_says_and_only_that() {
        let content: Vec<u8> = (0..2_000_u32).map(|n| (n % 251) as u8).collect();
        for seed in 0..20 {
            for fault in [
                DiskFault::BitRot,
                DiskFault::Misdirected,
                DiskFault::Truncated,
            ] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("file");
                fs::write(&path, &content).unwrap();
                strike(dir.path(), fault, &mut Dice::new(seed)).unwrap();
                let now = fs::read(&path).unwrap();
                let other = content.iter().zip(&now).filter(|(a, b)| a != b).count();
                match fault {
                    DiskFault::BitRot => assert_eq!((other, now.len()), (1, content.len())),
                    DiskFault::Misdirected => {
                        assert!(other <= 512 && now.len() == content.len(), "{other}");
                    }
                    DiskFault::Truncated => {
                        assert!(other == 0 && now.len() < content.len());
                    }
                    DiskFault::Lost => unreachable!("not among the three"),
                }
            }
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        strike(dir.path(), DiskFault::Lost, &mut Dice::new(1)).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
