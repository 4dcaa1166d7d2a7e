//! Counters of sealed messages: each counts once.
//!
//! The newest of each device are known one by one, so that relays may change the order of messages;
//! below them nothing is taken. What the journal still holds is found there at the start; what it
//! gave back stands in a file, which is written before.

use runtime::durable;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use wire::{DeviceId, StoredMail};

/// Counters of a device known one by one: as far as relays may mix up messages.
const WINDOW: usize = 1_024;
/// Bytes of the file that are read at most; some megabytes are ten thousand busy devices.
const MAX_FILE: u64 = 256 << 20;
const FILE: &str = "sealed-counters";

/// A device's counter.
pub(super) type Key = (DeviceId, u64);

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Window {
    /// Up to and with this one all are used.
    floor: u64,
    used: BTreeSet<u64>,
}

impl Window {
    fn insert(&mut self, counter: u64) {
        if counter <= self.floor {
            return;
        }
        self.used.insert(counter);
        while self.used.len() > WINDOW {
            self.floor = self.used.pop_first().unwrap_or(self.floor);
        }
    }
}

/// All counters that were used.
#[derive(Debug, Default)]
pub(super) struct Replays {
    windows: BTreeMap<DeviceId, Window>,
    under_way: HashSet<Key>,
    changed: bool,
}

/// Makes what is known durable, if it has changed. Nobody waits for the disk but the caller.
pub(super) fn save(replays: &Mutex<Replays>, dir: &Path) -> io::Result<()> {
    let lock = || replays.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(text) = lock().snapshot() else {
        return Ok(());
    };
    durable::replace(&dir.join(FILE), text.as_bytes()).inspect_err(|_| lock().changed = true)
}

/// The counter that a message is sealed with, if it is.
pub(super) fn key(mail: &StoredMail) -> Option<Key> {
    let device = mail.device.as_ref()?;
    Some((device.id.clone(), device.counter?))
}

impl Replays {
    /// What stands in the folder's file; nothing if there is none.
    pub(super) fn load(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let length = match fs::metadata(&path) {
            Ok(data) => data.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        if length > MAX_FILE {
            return Err(io::Error::other(format!("{} is too large", path.display())));
        }
        let malformed = || io::Error::other(format!("{} is malformed", path.display()));
        let mut replays = Self::default();
        for line in fs::read_to_string(&path)?.lines() {
            let (numbers, device) = line.split_once('\t').ok_or_else(malformed)?;
            let numbers: Result<Vec<u64>, _> = numbers.split(' ').map(str::parse).collect();
            let numbers = numbers.map_err(|_| malformed())?;
            let (&floor, used) = numbers.split_first().ok_or_else(malformed)?;
            let window = Window {
                floor,
                used: used.iter().copied().collect(),
            };
            replays.windows.insert(DeviceId::new(device), window);
        }
        Ok(replays)
    }

    /// What the file must say before the journal forgets a message, if that is something new.
    fn snapshot(&mut self) -> Option<String> {
        if !core::mem::take(&mut self.changed) {
            return None;
        }
        let mut text = String::new();
        for (device, window) in &self.windows {
            text.push_str(&window.floor.to_string());
            for counter in &window.used {
                text.push(' ');
                text.push_str(&counter.to_string());
            }
            text.push('\t');
            text.push_str(device.as_str());
            text.push('\n');
        }
        Some(text)
    }

    /// Begins with a message; false: its counter was used.
    pub(super) fn begin(&mut self, key: &Key) -> bool {
        let is_fresh = match self.windows.get(&key.0) {
            Some(window) => key.1 > window.floor && !window.used.contains(&key.1),
            None => key.1 > 0,
        };
        is_fresh && self.under_way.insert(key.clone())
    }

    /// The message is durable, or its counter is still to be had.
    pub(super) fn end(&mut self, key: &Key, is_durable: bool) {
        self.under_way.remove(key);
        if is_durable {
            self.used(key);
        }
    }

    /// A message in the journal has it.
    pub(super) fn used(&mut self, key: &Key) {
        self.windows.entry(key.0.clone()).or_default().insert(key.1);
        self.changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_counts_once_in_any_order_and_across_starts() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let key = |device: &str, counter| (DeviceId::new(device), counter);
        let mut replays = Replays::load(dir.path()).expect("nothing yet");
        for counter in [5, 3, u64::MAX, 4] {
            assert!(replays.begin(&key("a b", counter)));
            assert!(!replays.begin(&key("a b", counter)), "under way");
            replays.end(&key("a b", counter), true);
        }
        assert!(!replays.begin(&key("new", 0)), "counters begin with one");
        assert!(replays.begin(&key("b", 3)));
        replays.end(&key("b", 3), false);
        let windows = replays.windows.clone();
        save(&Mutex::new(replays), dir.path()).expect("written");
        let mut again = Replays::load(dir.path()).expect("read");
        assert_eq!(again.windows, windows);
        for counter in [5, 3, u64::MAX, 4] {
            assert!(!again.begin(&key("a b", counter)));
        }
        assert!(again.begin(&key("a b", 2)) && again.begin(&key("b", 3)));
    }

    #[test]
    fn what_is_too_old_is_taken_for_used() {
        let key = |counter| (DeviceId::new("a"), counter);
        let mut replays = Replays::default();
        for counter in 1..=2_000 {
            replays.used(&key(2 * counter));
        }
        assert_eq!(replays.windows[&DeviceId::new("a")].used.len(), WINDOW);
        assert!(!replays.begin(&key(1_951)), "below the window, used or not");
        assert!(replays.begin(&key(1_955)));
        assert!(!replays.begin(&key(1_956)));
    }
}
