//! The files of a node in the forms in which older programs wrote them.
//!
//! Which level a node speaks decides nothing about its small files, journals and `raft.log`: those are what the
//! program writes, and the simulated one is always this build. So what an older one would have left
//! is made from it while the node is down:
//!
//! | file | older form |
//! |---|---|
//! | `incarnation`, `postman` | digits without a checksum |
//! | `postman-ahead` | none |
//! | `mail/numbers`, `.copy` | the same; or none, where the numbers begin at one and the journal is begun |
//! | `mail/*.journal` | mails without the device that showed who it is |
//! | `quarantine/*.item` | the same |
//! | `ledger/raft.log` | entries without the mark of how far the log was durable |
//!
//! Everything else has one form since there is such a file. What a power loss has torn stays torn.

use crate::machines::rng::Dice;
use runtime::durable::number::{self, Kept};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use wire::{Quarantined, StoredMail};

/// Rewrites what there is; says what it did.
pub(super) fn rewrite(dir: &Path, dice: &mut Dice) -> io::Result<String> {
    let mut done = Vec::new();
    for name in ["incarnation", "postman"] {
        if bare(&dir.join(name))? {
            done.push(name.to_owned());
        }
    }
    let ahead = dir.join("postman-ahead");
    if ahead.exists() {
        fs::remove_file(&ahead)?;
        done.push("no postman-ahead".to_owned());
    }
    let mail = dir.join("mail");
    if numbers(&mail, dice)? {
        done.push("mail numbers".to_owned());
    }
    let mut mails = 0;
    for journal in with_ending(&mail, "journal")? {
        mails += replace(&journal, mailbox_journal)?;
    }
    let mut items = 0;
    for item in with_ending(&dir.join("quarantine"), "item")? {
        items += replace(&item, quarantined)?;
    }
    let entries = replace(&dir.join("ledger/raft.log"), raft_log)?;
    let counted = [
        (mails, "mails"),
        (items, "quarantined"),
        (entries, "entries of raft.log"),
    ];
    let counted = counted.into_iter().filter(|(count, _)| *count > 0);
    done.extend(counted.map(|(count, what)| format!("{count} {what}")));
    Ok(format!("in older forms: {}", done.join(", ")))
}

/// A number as its digits.
fn bare(path: &Path) -> io::Result<bool> {
    match number::read(path) {
        Ok(Some(Kept::Sound(number))) => {
            fs::write(path, number.to_string())?;
            Ok(true)
        }
        // Older already, not there, or damaged, which no program mends on its way out.
        Ok(Some(Kept::Unchecked(_)) | None) | Err(_) => Ok(false),
    }
}

/// The first programs had no such files, and their numbers were the journal's own.
fn numbers(mail: &Path, dice: &mut Dice) -> io::Result<bool> {
    let paths = ["numbers", "numbers.copy"].map(|name| mail.join(name));
    let own = matches!(number::read(&paths[0]), Ok(Some(kept)) if kept.number() == 0);
    let oldest = own && mail.join("processed").exists() && dice.below(2) == 0;
    let mut any = false;
    for path in &paths {
        any |= if oldest && path.exists() {
            fs::remove_file(path)?;
            true
        } else {
            bare(path)?
        };
    }
    Ok(any)
}

/// Files with this ending, in order: directories list them in none that two runs share.
fn with_ending(dir: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if dir.is_dir() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|found| found == ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Gives a file's bytes their older form, if they have another; how many records are other ones now.
fn replace(path: &Path, older: fn(&[u8]) -> (Vec<u8>, usize)) -> io::Result<usize> {
    if !path.is_file() {
        return Ok(0);
    }
    let (bytes, count) = older(&fs::read(path)?);
    if count > 0 {
        fs::write(path, bytes)?;
    }
    Ok(count)
}

/// An item as it was before devices could show who they are.
fn quarantined(bytes: &[u8]) -> (Vec<u8>, usize) {
    let Ok(item) = wire::decode::<Quarantined>(bytes) else {
        return (bytes.to_vec(), 0);
    };
    let Quarantined {
        at,
        source,
        position,
        sender,
        reason,
        raw,
        shown: _,
    } = item;
    (
        wire::encode(&(at, source, position, sender, reason, raw)),
        1,
    )
}

/// The record of a mail, as it was before devices could show who they are.
fn mail(bytes: &[u8]) -> Option<Vec<u8>> {
    let StoredMail {
        reverse_path,
        forward_paths,
        helo,
        peer,
        tls,
        profile,
        end_of_data,
        data,
        device: _,
    } = wire::decode(bytes).ok()?;
    let paths = (reverse_path, forward_paths);
    let from = (helo, peer, tls, profile);
    // Nested tuples encode as their fields in a row.
    Some(wire::encode(&(paths, from, end_of_data, data)))
}

/// A segment of the mail journal; its forms are those of `runtime::journal`.
fn mailbox_journal(bytes: &[u8]) -> (Vec<u8>, usize) {
    const SEGMENT: usize = 24;
    const RECORD: usize = 24;
    let Some((head, mut rest)) = bytes.split_at_checked(SEGMENT) else {
        return (bytes.to_vec(), 0);
    };
    let salt = &head[16..20];
    let checksum = |record: &[u8]| {
        let crc = crc32c::crc32c_append(crc32c::crc32c(salt), &record[..4]);
        crc32c::crc32c_append(crc, &record[8..])
    };
    let (mut out, mut count) = (head.to_vec(), 0);
    while let Some(len) = word(rest, 0)
        && let Some((record, behind)) = rest.split_at_checked(RECORD + len as usize)
        && word(record, 4) == Some(checksum(record))
        && let Some(payload) = mail(&record[RECORD..])
    {
        let start = out.len();
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&record[8..RECORD]);
        out.extend_from_slice(&payload);
        let crc = checksum(&out[start..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        rest = behind;
        count += 1;
    }
    out.extend_from_slice(rest);
    (out, count)
}

/// Entries without their marks; the frames are those of `replica::frames`.
fn raft_log(bytes: &[u8]) -> (Vec<u8>, usize) {
    const HEADER: usize = 12;
    /// First byte of an entry with its mark, which is eight bytes long.
    const MARKED: u8 = 0xb2;
    const MARK: usize = 9;
    let header_crc = |offset: usize, len: u32, crc: u32| {
        let sum = crc32c::crc32c(&(offset as u64).to_le_bytes());
        let sum = crc32c::crc32c_append(sum, &len.to_le_bytes());
        crc32c::crc32c_append(sum, &crc.to_le_bytes())
    };
    let (mut out, mut count, mut offset) = (Vec::new(), 0, 0);
    while let Some(len) = word(bytes, offset)
        && let Some(crc) = word(bytes, offset + 4)
        && word(bytes, offset + 8) == Some(header_crc(offset, len, crc))
        && let Some(payload) = bytes.get(offset + HEADER..offset + HEADER + len as usize)
        && crc32c::crc32c(payload) == crc
    {
        let unmarked = payload
            .get(MARK..)
            .filter(|_| payload.first() == Some(&MARKED));
        let entry = unmarked.unwrap_or(payload);
        let (len, crc, at) = (entry.len() as u32, crc32c::crc32c(entry), out.len());
        for word in [len, crc, header_crc(at, len, crc)] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(entry);
        offset += HEADER + payload.len();
        count += usize::from(unmarked.is_some());
    }
    if offset < bytes.len() {
        // A torn end tells by its place what it is: such a log stays as it is.
        return (bytes.to_vec(), 0);
    }
    (out, count)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests;
