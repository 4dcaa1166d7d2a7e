use super::*;
use std::fs;
use tempfile::TempDir;

struct House {
    root: TempDir,
    disk: Disk,
}

fn house() -> House {
    let root = tempfile::tempdir().unwrap();
    let (data, attic) = (root.path().join("data"), root.path().join("attic"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&attic).unwrap();
    House {
        disk: Disk::new(data, attic),
        root,
    }
}

impl House {
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("data").join(name)
    }

    fn create(&mut self, name: &str) -> i32 {
        let path = self.path(name);
        self.disk
            .open(&path, libc::O_RDWR | libc::O_CREAT, 0o600)
            .unwrap()
    }

    fn sync_dir(&mut self) {
        let dir = self.path("");
        let fd = self.disk.open(&dir, libc::O_RDONLY, 0).unwrap();
        self.disk.sync(fd).unwrap();
        self.disk.close(fd).unwrap();
    }

    /// A file that is there, name and content.
    fn durable(&mut self, name: &str, content: &[u8]) -> i32 {
        let fd = self.create(name);
        self.disk.write(fd, content).unwrap();
        self.disk.sync(fd).unwrap();
        self.sync_dir();
        fd
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

const SEEDS: std::ops::Range<u64> = 0..200;

#[test]
fn what_was_synced_survives_every_power_loss() {
    for seed in SEEDS {
        let mut house = house();
        let content: Vec<u8> = (0..5_000_u32).map(|n| (n % 241) as u8).collect();
        let fd = house.durable("log", &content);
        // Unsynced writes behind it, and over a part that nobody promised.
        house.disk.write_at(fd, &[7; 3_000], 5_000).unwrap();
        house.disk.lose_power(&mut Dice::new(seed)).unwrap();
        let left = house.read("log");
        assert_eq!(left[..5_000], content, "seed {seed}");
        assert!(left.len() <= 8_000);
        assert!(left[5_000..].iter().all(|byte| [0, 7].contains(byte)));
    }
}

#[test]
fn an_unsynced_sector_is_old_new_or_torn() {
    let (mut old, mut new, mut torn) = (0, 0, 0);
    for seed in SEEDS {
        let mut house = house();
        let fd = house.durable("file", &[1; 2_048]);
        house.disk.write_at(fd, &[2; 2_048], 0).unwrap();
        house.disk.lose_power(&mut Dice::new(seed)).unwrap();
        let left = house.read("file");
        assert_eq!(left.len(), 2_048, "its length was never in doubt");
        for sector in left.chunks(512) {
            let turns = sector.windows(2).filter(|pair| pair[0] != pair[1]).count();
            match (sector[0], turns) {
                (1, 0) => old += 1,
                (2, 0) => new += 1,
                (2, 1) => torn += 1,
                other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
    assert!(old > 50 && new > 50 && torn > 5, "{old} {new} {torn}");
}

#[test]
fn a_length_is_between_the_old_and_the_new_one() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in SEEDS {
        let mut house = house();
        let fd = house.durable("file", &[1; 1_000]);
        house.disk.truncate(fd, 200).unwrap();
        house.disk.lose_power(&mut Dice::new(seed)).unwrap();
        let left = house.read("file");
        assert!((200..=1_000).contains(&left.len()));
        // What a cut that did not happen leaves is the old content, as far as it is there.
        assert!(left.iter().all(|byte| *byte == 1));
        lengths.insert(left.len());
    }
    assert!(lengths.contains(&200) && lengths.contains(&1_000) && lengths.len() > 5);
}

#[test]
fn names_of_a_directory_are_lost_from_the_newest_on() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in SEEDS {
        let mut house = house();
        house.durable("mark", b"old");
        let fd = house.create("mark.new");
        house.disk.write(fd, b"new").unwrap();
        house.disk.sync(fd).unwrap();
        let (from, to) = (house.path("mark.new"), house.path("mark"));
        house.disk.rename(&from, &to).unwrap();
        house.create("later");
        house.disk.lose_power(&mut Dice::new(seed)).unwrap();
        let names = house.names().join(" ");
        let content = String::from_utf8(house.read("mark")).unwrap();
        let legal = [
            ("mark", "old"),          // nothing happened
            ("mark mark.new", "old"), // created
            ("mark", "new"),          // renamed
            ("later mark", "new"),    // all of it
        ];
        assert!(
            legal.contains(&(names.as_str(), content.as_str())),
            "{names}: {content}"
        );
        seen.insert((names, content));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn a_synced_directory_keeps_its_names_and_a_removed_file_may_come_back() {
    let mut back = 0;
    for seed in SEEDS {
        let mut house = house();
        house.durable("kept", b"1");
        house.durable("gone", b"2");
        let gone = house.path("gone");
        house.disk.unlink(&gone).unwrap();
        assert!(!gone.exists());
        house.disk.lose_power(&mut Dice::new(seed)).unwrap();
        assert_eq!(house.read("kept"), b"1");
        if gone.exists() {
            assert_eq!(house.read("gone"), b"2");
            back += 1;
        }
    }
    assert!((20..180).contains(&back), "{back}");
    let mut house = house();
    house.durable("gone", b"2");
    let gone = house.path("gone");
    house.disk.unlink(&gone).unwrap();
    house.sync_dir();
    house.disk.lose_power(&mut Dice::new(1)).unwrap();
    assert!(!gone.exists(), "its removal was synced");
    assert_eq!(
        fs::read_dir(house.root.path().join("attic"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_file_whose_creation_is_lost_is_lost_with_its_synced_content() {
    let mut lost = 0;
    for seed in SEEDS {
        let mut house = house();
        let fd = house.create("fresh");
        house.disk.write(fd, b"synced").unwrap();
        house.disk.sync(fd).unwrap();
        house.disk.lose_power(&mut Dice::new(seed)).unwrap();
        if house.path("fresh").exists() {
            assert_eq!(house.read("fresh"), b"synced");
        } else {
            lost += 1;
        }
    }
    assert!(lost > 20, "{lost}");
}

#[test]
fn a_new_directory_goes_with_everything_in_it() {
    for seed in SEEDS {
        let mut house = house();
        let dir = house.path("segments");
        house.disk.mkdir(&dir, 0o700).unwrap();
        house.create("segments/1");
        house.disk.lose_power(&mut Dice::new(seed)).unwrap();
        assert!(dir.is_dir() || house.names().is_empty());
    }
}

#[test]
fn opening_with_truncation_forgets_the_old_content_only_when_synced() {
    let mut old = 0;
    for seed in SEEDS {
        let mut house = house();
        let fd = house.durable("file", b"old content");
        house.disk.close(fd).unwrap();
        let path = house.path("file");
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
        house.disk.open(&path, flags, 0o600).unwrap();
        assert_eq!(house.read("file"), b"");
        house.disk.lose_power(&mut Dice::new(seed)).unwrap();
        let left = house.read("file");
        assert!(b"old content".starts_with(&left[..]), "{left:?}");
        old += usize::from(left == b"old content");
    }
    assert!(old > 20, "{old}");
}

#[test]
fn a_full_disk_takes_what_fits_and_then_says_so() {
    let mut house = house();
    let fd = house.durable("file", &[1; 100]);
    house.disk.set_room(Some(50));
    assert_eq!(
        house.disk.write_at(fd, &[2; 100], 0),
        Ok(100),
        "nothing grows"
    );
    assert_eq!(
        house.disk.write_at(fd, &[3; 80], 100),
        Ok(50),
        "a short write"
    );
    assert_eq!(house.disk.write_at(fd, &[3; 30], 150), Err(libc::ENOSPC));
    assert_eq!(house.disk.allocate(fd, 0, 150, 10), Err(libc::ENOSPC));
    house.disk.set_room(None);
    assert_eq!(house.disk.write_at(fd, &[3; 30], 150), Ok(30));
    assert_eq!(house.read("file").len(), 180);
}

#[test]
fn copies_of_a_descriptor_are_the_same_file() {
    let mut house = house();
    let fd = house.durable("file", b"1");
    let copy = raw::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0).unwrap();
    house.disk.copied(fd, copy);
    house.disk.write_at(copy, b"2", 0).unwrap();
    house.disk.close(copy).unwrap();
    house.disk.sync(fd).unwrap();
    house.disk.lose_power(&mut Dice::new(3)).unwrap();
    assert_eq!(house.read("file"), b"2");
}
