//! Which metric stands in which slot.

use std::collections::BTreeMap;

use super::SLOTS;

/// The slots of one device class.
///
/// `m00` … `m39` name their slot (the Server Machine Dataset numbers its metrics so). Any other
/// name prefers the slot of its FNV-1a hash and moves on to the next free one if that is taken.
/// Names that arrive together are placed in sorted order, so nodes that see the same set agree,
/// and nodes that see different sets still agree on all names that do not collide. Names beyond
/// [`SLOTS`] get none.
#[derive(Clone, Debug, Default)]
pub struct SlotLayout {
    by_name: BTreeMap<String, usize>,
    names: BTreeMap<usize, String>,
}

impl SlotLayout {
    /// Gives slots to names that have none.
    pub fn learn<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let mut new: Vec<&str> = names
            .filter(|name| !self.by_name.contains_key(*name))
            .collect();
        new.sort_unstable();
        new.dedup();
        // Numbered names first: a hash must not take their place.
        let (numbered, hashed): (Vec<&str>, Vec<&str>) =
            new.into_iter().partition(|name| numbered(name).is_some());
        for name in numbered.into_iter().chain(hashed) {
            if self.names.len() == SLOTS {
                return;
            }
            let start = numbered_or_hashed(name);
            if let Some(slot) = (0..SLOTS)
                .map(|step| (start + step) % SLOTS)
                .find(|slot| !self.names.contains_key(slot))
            {
                self.by_name.insert(name.to_owned(), slot);
                self.names.insert(slot, name.to_owned());
            }
        }
    }

    /// Slot of a metric; `None` if it has none.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Metric in a slot.
    pub fn name(&self, slot: usize) -> Option<&str> {
        self.names.get(&slot).map(String::as_str)
    }
}

/// `m07` → 7.
fn numbered(name: &str) -> Option<usize> {
    let digits = name.strip_prefix('m')?;
    let exact = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
    exact
        .then(|| digits.parse().ok())?
        .filter(|&slot| slot < SLOTS)
}

fn numbered_or_hashed(name: &str) -> usize {
    numbered(name).unwrap_or_else(|| {
        // 64-bit FNV-1a: offset basis and prime of the IETF draft (draft-eastlake-fnv).
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        (hash % SLOTS as u64) as usize
    })
}
