//! Several acts in one entry of Raft's log.
//!
//! The followers' disks, and openraft's own work, are paid for by the entry, so what decides the number
//! of acts a second is how many share one. An entry with one act is the encoded `wire::Record` itself, as the first
//! release wrote it; its first byte is the codec's version. An entry with several starts with
//! [`BATCH`] instead and is written only once the ledger's level says that every member reads it.

use super::StoreError;
use std::path::Path;

/// First byte of an entry with several acts. Never a version of the codec: those count from 1.
const BATCH: u8 = 0xb1;

/// Bytes of acts in one entry, unless a single act is larger. Replication sends up to 4 MiB at once
/// (`MAX_READ` in `log.rs`); a quarter of that keeps a heartbeat from waiting behind it.
pub(super) const MAX_BATCH_BYTES: usize = 1 << 20;

/// Acts in one entry. Two hundred small ones cost less to encode and hash than one `fdatasync`;
/// beyond that the entry only gets later.
pub(super) const MAX_BATCH_ACTS: usize = 512;

/// One entry of these acts; one act stays as it is.
pub(super) fn join(mut acts: Vec<Vec<u8>>) -> Vec<u8> {
    if acts.len() == 1 {
        return acts.swap_remove(0);
    }
    let mut entry = Vec::with_capacity(1 + acts.iter().map(|act| act.len() + 4).sum::<usize>());
    entry.push(BATCH);
    for act in acts {
        // Callers bound an act by `MAX_LEAF`, far below 4 GiB.
        let len = u32::try_from(act.len()).unwrap_or(u32::MAX);
        entry.extend_from_slice(&len.to_le_bytes());
        entry.extend_from_slice(&act);
    }
    entry
}

/// The acts of an entry.
pub(super) fn split(entry: Vec<u8>, file: &Path) -> Result<Vec<Vec<u8>>, StoreError> {
    if entry.first() != Some(&BATCH) {
        return Ok(vec![entry]);
    }
    let cut_off =
        || StoreError::mismatch(file, "an entry of Raft's log with several acts is cut off");
    let mut rest = &entry[1..];
    let mut acts = Vec::new();
    while let Some((len, behind)) = rest.split_first_chunk::<4>() {
        let len = u32::from_le_bytes(*len) as usize;
        let (act, behind) = behind.split_at_checked(len).ok_or_else(cut_off)?;
        acts.push(act.to_vec());
        rest = behind;
    }
    if !rest.is_empty() || acts.is_empty() {
        return Err(cut_off());
    }
    Ok(acts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_act_stays_as_it_is_and_several_come_back() {
        let file = Path::new("raft.log");
        assert_eq!(join(vec![vec![1, 2, 3]]), [1, 2, 3]);
        assert_eq!(split(vec![1, 2, 3], file).unwrap(), [[1, 2, 3]]);
        let acts = vec![vec![1; 300], vec![1], vec![1, 9]];
        let entry = join(acts.clone());
        assert_eq!(split(entry.clone(), file).unwrap(), acts);
        for end in 1..entry.len() {
            let cut = split(entry[..end].to_vec(), file);
            let whole = [305, 310].contains(&end);
            assert_eq!(cut.is_ok(), whole, "cut at {end}");
        }
    }
}
