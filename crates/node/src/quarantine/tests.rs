use super::*;
use wire::{Source, UnixMillis};

fn put(quarantine: &Quarantine, reason: &str, bytes: usize) {
    let item = Quarantined {
        at: UnixMillis(1),
        source: Source::Mail,
        position: "7".to_owned(),
        sender: "x@y".to_owned(),
        reason: reason.to_owned(),
        raw: vec![0u8; bytes],
        shown: None,
    };
    quarantine.put(item).unwrap();
}

fn reasons(quarantine: &Quarantine) -> Vec<String> {
    let ids = quarantine.ids(0).into_iter();
    ids.map(|id| quarantine.read(id).unwrap().reason).collect()
}

#[test]
fn items_are_listed_shown_discarded_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quarantine");
    let quarantine = Quarantine::for_tests(path.clone());
    assert!(quarantine.ids(0).is_empty());
    put(&quarantine, "first", MAX_RAW + 1);
    put(&quarantine, "second", 10);
    let quarantine = Quarantine::for_tests(path.clone());
    put(&quarantine, "third", 10);
    assert_eq!(reasons(&quarantine), ["first", "second", "third"]);
    assert_eq!(quarantine.ids(1), [2, 3]);
    assert_eq!(quarantine.read(1).unwrap().raw.len(), MAX_RAW);
    quarantine.discard(2).unwrap();
    let again = quarantine.discard(2).unwrap_err();
    assert!(again.to_string().contains("no item 2"), "{again}");
    let mut item = quarantine.read(3).unwrap();
    item.reason = "still not".to_owned();
    quarantine.restate(3, &item).unwrap();
    assert_eq!(reasons(&quarantine), ["first", "still not"]);
    fs::write(path.join("0000000001.item"), b"junk").unwrap();
    let damaged = quarantine.read(1).unwrap_err();
    assert!(damaged.to_string().contains("damaged"), "{damaged}");
    quarantine.discard(1).unwrap();
    assert_eq!(quarantine.ids(0), [3]);
}

#[test]
fn items_are_sealed_and_open_as_themselves_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quarantine");
    let quarantine = Quarantine::for_tests(path.clone());
    assert!(!holds_sealed(&path).unwrap());
    // One from before there was sealing.
    put(&quarantine, "first MARKER", 10);
    let first = quarantine.read(1).unwrap();
    fs::write(file(&path, 1), wire::encode(&first)).unwrap();
    assert!(!holds_sealed(&path).unwrap());
    assert_eq!(quarantine.read(1).unwrap(), first);
    quarantine.restate(1, &first).unwrap();
    assert!(holds_sealed(&path).unwrap(), "written again, it is sealed");
    put(&quarantine, "second MARKER", 10);
    for id in [1, 2] {
        let bytes = fs::read(file(&path, id)).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"MARKER"));
    }
    fs::copy(file(&path, 1), file(&path, 2)).unwrap();
    let moved = quarantine.read(2).unwrap_err().to_string();
    assert!(moved.contains("changed or moved"), "{moved}");

    // Without the key nothing is read, and nothing is lost.
    let reason = "the wrapping key is missing".to_owned();
    let keyless = Quarantine::open(path.clone(), Err(reason)).unwrap();
    assert_eq!(keyless.ids(0), [1, 2]);
    let error = keyless.read(1).unwrap_err().to_string();
    assert!(error.contains("key is missing"), "{error}");
    let error = keyless.put(first.clone()).unwrap_err().to_string();
    assert!(error.contains("key is missing"), "{error}");
    assert_eq!(Quarantine::for_tests(path).read(1).unwrap(), first);
}

#[test]
fn a_former_wrapping_key_is_needed_until_items_are_renewed() {
    use custody::at_rest::{Keychain, WrappingKey};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quarantine");
    let key = |byte| WrappingKey::new([byte; 32]);
    let open = |newest: u8, former: &[u8]| {
        let keys = Keychain::new(key(newest), former.iter().map(|byte| key(*byte)).collect());
        let vault = Vault::new(dir.path().join("wrapping.key"), keys);
        Quarantine::open(path.clone(), Ok(Arc::new(vault))).unwrap()
    };
    let before = open(1, &[]);
    for reason in ["first", "second", "third"] {
        put(&before, reason, 10);
    }
    assert_eq!(before.renew().unwrap(), 0);
    // One from before there was sealing, and one that nobody can read.
    let plain = wire::encode(&before.read(2).unwrap());
    fs::write(file(&path, 2), plain).unwrap();
    fs::write(file(&path, 3), b"junk").unwrap();
    assert!(open(2, &[]).read(1).is_err());
    assert_eq!(open(2, &[1]).renew().unwrap(), 2);
    let after = open(2, &[]);
    assert_eq!(after.read(1).unwrap().reason, "first");
    assert_eq!(after.read(2).unwrap().reason, "second");
    assert_eq!(after.renew().unwrap(), 0);
    assert_eq!(fs::read(file(&path, 3)).unwrap(), b"junk");
}

#[test]
fn what_is_removed_or_written_anew_leaves_no_key_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quarantine");
    let quarantine = Quarantine::for_tests(path.clone());
    for _ in 1..=3 {
        put(&quarantine, "x", 400);
    }
    // Other names of the same blocks: what a look at the medium would find.
    let witness = |id: u64| dir.path().join(id.to_string());
    for id in 1..=3 {
        fs::hard_link(file(&path, id), witness(id)).unwrap();
    }
    let item = quarantine.read(1).unwrap();
    quarantine.restate(1, &item).unwrap();
    quarantine.discard(2).unwrap();
    assert_eq!(quarantine.discard_all().unwrap(), 2);
    for id in 1..=3 {
        let left = fs::read(witness(id)).unwrap();
        assert_eq!(left[..HEAD], [0; HEAD]);
        assert!(left[HEAD..].iter().any(|&byte| byte != 0));
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

#[test]
fn the_oldest_make_room_by_number_and_by_size() {
    let shelf = |sizes: &[u64]| {
        let mut shelf = Shelf::default();
        for (id, size) in (1..).zip(sizes) {
            shelf.add(id, *size);
        }
        shelf
    };
    for (sizes, items, bytes, gone) in [
        (&[10, 10, 10][..], 3, 30, &[][..]),
        (&[10, 10, 10], 2, 30, &[1]),
        (&[10, 10, 10], 3, 29, &[1]),
        (&[10, 10, 10], 3, 15, &[1, 2]),
        (&[10, 10, 100], 3, 50, &[1, 2]),
    ] {
        let mut shelf = shelf(sizes);
        assert_eq!(
            shelf.surplus(items, bytes),
            gone,
            "{sizes:?} {items} {bytes}"
        );
        assert_eq!(shelf.bytes, shelf.sizes.values().sum::<u64>());
    }
    let mut shelf = shelf(&[10, 10]);
    shelf.add(2, 25);
    assert_eq!(
        (shelf.bytes, shelf.next),
        (35, 3),
        "another size replaces the former"
    );
}
