//! The content of one file since its last sync.

use super::Mood;
use crate::lockstep::guest::raw::{self, Errno};
use crate::machines::rng::Dice;
use std::collections::BTreeMap;

/// What a disk writes at once, or not at all if it keeps its promise.
const SECTOR: u64 = 512;

/// One of how many lost sectors is torn: some bytes of the new one, the rest of the old one.
const TORN: u64 = 8;

#[derive(Debug)]
pub(super) struct Content {
    /// A descriptor of our own: the file may be closed or removed before the power goes.
    fd: i32,
    /// The how manyth file it is that was written.
    pub(super) order: u64,
    durable_len: u64,
    /// By number: what the medium holds of sectors that were written since. Sectors wholly behind
    /// `durable_len` are not on the medium at all.
    durable: BTreeMap<u64, Vec<u8>>,
}

impl Content {
    /// Nothing is changed yet.
    pub(super) fn of(fd: i32, order: u64) -> Result<Self, Errno> {
        let path = format!("/proc/self/fd/{fd}\0");
        let path =
            std::ffi::CStr::from_bytes_with_nul(path.as_bytes()).map_err(|_| libc::EINVAL)?;
        let own = raw::open(libc::AT_FDCWD, path, libc::O_RDWR | libc::O_CLOEXEC, 0)?;
        Ok(Self {
            fd: own,
            order,
            durable_len: raw::stat(fd)?.len,
            durable: BTreeMap::new(),
        })
    }

    /// These bytes are about to change.
    pub(super) fn touch(&mut self, at: u64, len: u64) {
        if len == 0 {
            return;
        }
        for sector in at / SECTOR..=(at + len - 1) / SECTOR {
            let start = sector * SECTOR;
            if start >= self.durable_len {
                break;
            }
            let (fd, end) = (self.fd, self.durable_len.min(start + SECTOR));
            self.durable.entry(sector).or_insert_with(|| {
                let mut image = vec![0; (end - start) as usize];
                let read = raw::pread(fd, &mut image, start).unwrap_or(0);
                image.truncate(read);
                image
            });
        }
    }

    /// Makes the file what the medium could hold; gives the number of sectors that differ from
    /// what was written.
    pub(super) fn lose_power(self, dice: &mut Dice, mood: Mood) -> Result<u64, Errno> {
        let written_len = raw::stat(self.fd)?.len;
        let (short, long) = (
            self.durable_len.min(written_len),
            self.durable_len.max(written_len),
        );
        let len = match mood {
            Mood::All => self.durable_len,
            Mood::Nothing => written_len,
            Mood::Dice => match dice.below(4) {
                0 => self.durable_len,
                1 => written_len,
                _ => short + dice.below(long - short + 1),
            },
        };
        let mut changed = 0;
        let fresh = self.durable_len.div_ceil(SECTOR)..written_len.div_ceil(SECTOR);
        let sectors: Vec<u64> = self.durable.keys().copied().chain(fresh).collect();
        raw::truncate(self.fd, len)?;
        for sector in sectors {
            let start = sector * SECTOR;
            let lost = match mood {
                Mood::All => true,
                Mood::Nothing => false,
                Mood::Dice => dice.below(2) == 0,
            };
            if start >= len {
                continue;
            }
            let here = (len - start).min(SECTOR) as usize;
            // Nothing was ever written behind a cut: where the cut is lost, the old bytes are.
            let written = written_len.saturating_sub(start).min(SECTOR) as usize;
            let from = if !lost {
                written
            } else if matches!(mood, Mood::Dice) && dice.below(TORN) == 0 {
                dice.index(here).min(written)
            } else {
                0
            };
            if from >= here {
                continue;
            }
            let mut image = self.durable.get(&sector).cloned().unwrap_or_default();
            image.resize(SECTOR as usize, 0);
            raw::pwrite(self.fd, &image[from..here], start + from as u64)?;
            changed += 1;
        }
        Ok(changed)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        // Nothing depends on it but the number of open files.
        let _ = raw::close(self.fd);
    }
}
