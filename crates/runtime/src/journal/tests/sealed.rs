//! Sealed journals, with a real cipher: what an owner finds, and what a stranger with the disk does not get
//! past.

use super::cipher::{KeyPlace, RecordCipher, RecordKey, TAG, Under};
use super::space::Scarce;
use super::unseal::Keys;
use super::*;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use std::collections::BTreeSet;

/// Keys with the numbers that they sealed.
type Sealed = Arc<Mutex<BTreeSet<([u8; 32], u64)>>>;

/// Wraps by ChaCha20-Poly1305 with the place as associated data, and remembers what was sealed under
/// which key and number.
#[derive(Debug)]
struct Ring {
    wrapping: [u8; 32],
    generation: AtomicU64,
    keys: AtomicU64,
    sealed: Sealed,
}

impl Ring {
    fn new(wrapping: u8) -> Arc<Self> {
        Arc::new(Self {
            wrapping: [wrapping; 32],
            generation: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            sealed: Arc::default(),
        })
    }

    fn options(self: &Arc<Self>) -> JournalOptions {
        JournalOptions {
            cipher: Some(self.clone()),
            ..small()
        }
    }

    fn keys(&self) -> u64 {
        self.keys.load(Ordering::SeqCst)
    }

    fn key(&self, key: [u8; 32]) -> Box<dyn RecordKey> {
        Box::new(Key {
            key,
            sealed: self.sealed.clone(),
        })
    }
}

fn bound(place: &KeyPlace) -> Vec<u8> {
    let mut bound = place.shred.to_vec();
    bound.extend(place.segment.to_le_bytes());
    bound.extend(place.seq.to_le_bytes());
    bound
}

fn nonce(seq: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&seq.to_be_bytes());
    nonce.into()
}

impl RecordCipher for Ring {
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn fresh(&self, place: &KeyPlace) -> (Box<dyn RecordKey>, Vec<u8>) {
        self.keys.fetch_add(1, Ordering::SeqCst);
        let key = crate::entropy::bytes::<32>();
        let number = u64::from_le_bytes(crate::entropy::bytes());
        let mut kept = number.to_le_bytes().to_vec();
        kept.extend(key);
        let tag = ChaCha20Poly1305::new(&self.wrapping.into())
            .encrypt_inout_detached(&nonce(number), &bound(place), (&mut kept[8..]).into())
            .expect("short");
        kept.extend(tag);
        (self.key(key), kept)
    }

    fn again(&self, place: &KeyPlace, kept: &[u8]) -> Result<Box<dyn RecordKey>, String> {
        let (number, rest) = kept.split_first_chunk().ok_or("too short")?;
        let (key, tag) = rest.split_last_chunk::<TAG>().ok_or("too short")?;
        let mut key: [u8; 32] = key.try_into().map_err(|_| "not a key".to_owned())?;
        ChaCha20Poly1305::new(&self.wrapping.into())
            .decrypt_inout_detached(
                &nonce(u64::from_le_bytes(*number)),
                &bound(place),
                (&mut key[..]).into(),
                tag.into(),
            )
            .map_err(|_| "it is none of ours".to_owned())?;
        Ok(self.key(key))
    }
}

#[derive(Debug)]
struct Key {
    key: [u8; 32],
    sealed: Sealed,
}

impl RecordKey for Key {
    fn seal(&self, seq: u64, bound: &[u8], payload: &mut [u8]) -> [u8; TAG] {
        let fresh = self
            .sealed
            .lock()
            .expect("no panic")
            .insert((self.key, seq));
        assert!(fresh, "record {seq} was sealed twice under one key");
        ChaCha20Poly1305::new(&self.key.into())
            .encrypt_inout_detached(&nonce(seq), bound, payload.into())
            .expect("short")
            .into()
    }

    fn open(&self, seq: u64, bound: &[u8], payload: &mut [u8], tag: &[u8; TAG]) -> bool {
        ChaCha20Poly1305::new(&self.key.into())
            .decrypt_inout_detached(&nonce(seq), bound, payload.into(), tag.into())
            .is_ok()
    }
}

/// All bytes of all files.
fn everything(dir: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(dir).expect("lists");
    entries
        .map(|entry| fs::read(entry.expect("an entry").path()).expect("reads"))
        .collect()
}

fn contains(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sealed_journal_is_read_by_its_owner_and_shows_nothing_to_others() {
    let dir = TempDir::new().expect("a directory");
    let ring = Ring::new(1);
    let (journal, _) = open(dir.path(), ring.options());
    fill(&journal, 1, 20).await;
    assert_eq!(records(&journal, 0), expected(1, 20));
    drop(journal);
    let (journal, recovery) = open(dir.path(), ring.options());
    assert_eq!((recovery.records, recovery.next), (20, 21));
    fill(&journal, 21, 30).await;
    assert_eq!(records(&journal, 17), expected(17, 30));
    assert!(holds_sealed(dir.path()).expect("reads"));
    for bytes in everything(dir.path()) {
        assert!(!contains(&bytes, b"record "));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fresh_key_with_each_start_each_segment_and_each_generation() {
    let dir = TempDir::new().expect("a directory");
    let ring = Ring::new(1);
    let options = JournalOptions {
        segment_bytes: 1 << 20,
        ..ring.options()
    };
    let (journal, _) = open(dir.path(), options.clone());
    fill(&journal, 1, 5).await;
    assert_eq!(ring.keys(), 1);
    ring.generation.store(7, Ordering::SeqCst);
    fill(&journal, 6, 9).await;
    assert_eq!(ring.keys(), 2);
    drop(journal);
    let (journal, _) = open(dir.path(), options);
    fill(&journal, 10, 12).await;
    assert_eq!(ring.keys(), 3);
    assert_eq!(segments(dir.path()).len(), 1);
    assert_eq!(records(&journal, 1), expected(1, 12));
    drop(journal);
    let (journal, _) = open(dir.path(), ring.options());
    fill(&journal, 13, 40).await;
    assert_eq!(ring.keys() as usize, 2 + segments(dir.path()).len());
    assert_eq!(records(&journal, 1), expected(1, 40));
}

/// `Key::seal` asserts that no number is sealed twice under one key.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_given_up_does_not_lend_its_key_to_the_next_of_its_number() {
    for left in (0..700).step_by(23) {
        let dir = TempDir::new().expect("a directory");
        let (disk, ring) = (Scarce::new(left), Ring::new(1));
        let (journal, _) =
            Journal::open_on(disk.clone(), dir.path(), ring.options()).expect("opens");
        let mut last = 0;
        while let Ok(seq) = journal.append(payload(last + 1)).await {
            last = seq;
        }
        disk.left.store(u64::MAX / 2, Ordering::SeqCst);
        fill(&journal, last + 1, last + 5).await;
        drop(journal);
        let (journal, recovery) = open(dir.path(), ring.options());
        assert_eq!(recovery.torn_tail, None);
        assert_eq!(records(&journal, 1), expected(1, last + 5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sealed_tail_torn_at_any_byte_is_cut_off() {
    let (origin, ring) = (TempDir::new().expect("a directory"), Ring::new(1));
    let (journal, _) = open(origin.path(), ring.options());
    fill(&journal, 1, 2).await;
    // The torn write begins with a key frame.
    ring.generation.store(1, Ordering::SeqCst);
    let file = segments(origin.path()).pop().expect("one");
    drop(journal);
    let before = fs::metadata(&file).expect("exists").len();
    let (journal, _) = open(origin.path(), ring.options());
    fill(&journal, 3, 3).await;
    drop(journal);
    assert_eq!(segments(origin.path()).len(), 1);
    let whole = fs::read(&file).expect("reads");
    for len in before as usize..whole.len() {
        let dir = TempDir::new().expect("a directory");
        copy(origin.path(), dir.path());
        let file = segments(dir.path()).pop().expect("one");
        fs::write(&file, &whole[..len]).expect("cuts");
        let (journal, recovery) = open(dir.path(), ring.options());
        assert_eq!((recovery.records, recovery.next), (2, 3), "cut at {len}");
        fill(&journal, 3, 4).await;
        assert_eq!(records(&journal, 1), expected(1, 4));
    }
    for len in 0..=segment::SEALED_HEADER {
        let dir = TempDir::new().expect("a directory");
        fs::write(
            dir.path().join(file.file_name().expect("a name")),
            &whole[..len],
        )
        .expect("writes");
        let (_, recovery) = open(dir.path(), ring.options());
        assert_eq!(
            (recovery.records, recovery.next),
            (0, 1),
            "header cut at {len}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_plain_journal_is_read_on_and_what_is_new_is_sealed() {
    let (dir, ring) = (TempDir::new().expect("a directory"), Ring::new(1));
    for before in [0, 10] {
        let (journal, _) = open(dir.path(), small());
        fill(&journal, journal.last() + 1, before).await;
        drop(journal);
        assert!(!holds_sealed(dir.path()).expect("reads"));
    }
    let plain = segments(dir.path());
    let (journal, recovery) = open(dir.path(), ring.options());
    assert_eq!(recovery.records, 10);
    fill(&journal, 11, 20).await;
    assert_eq!(records(&journal, 1), expected(1, 20));
    drop(journal);
    for path in segments(dir.path()) {
        let bytes = fs::read(&path).expect("reads");
        assert_eq!(
            contains(&bytes, b"record "),
            plain.contains(&path),
            "{path:?}"
        );
    }
    let (journal, _) = open(dir.path(), ring.options());
    assert_eq!(records(&journal, 1), expected(1, 20));
    journal.mark_processed(20).expect("written");
    journal.release(20).expect("releases");
    drop(journal);

    // Somebody puts a plain segment of his own behind the sealed one.
    let segment = segment::Segment::new(dir.path(), 21);
    let head = segment::Head {
        salt: 0,
        shred: None,
    };
    let mut bytes = segment.header(head);
    record::write(0, 21, 20, b"forged", &mut bytes);
    fs::write(&segment.path, bytes).expect("writes");
    let error = Journal::open(dir.path(), ring.options()).err();
    let error = error.expect("refused").to_string();
    assert!(error.contains("not sealed"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_key_or_none_is_told_and_changes_nothing() {
    let (dir, ring) = (TempDir::new().expect("a directory"), Ring::new(1));
    let (journal, _) = open(dir.path(), ring.options());
    fill(&journal, 1, 9).await;
    drop(journal);
    let before = everything(dir.path());
    for options in [Ring::new(2).options(), small()] {
        let error = Journal::open(dir.path(), options).err().expect("refused");
        assert!(matches!(error, OpenError::Key { seq: 1, .. }), "{error}");
    }
    assert_eq!(everything(dir.path()), before);
    let (journal, _) = open(dir.path(), ring.options());
    assert_eq!(records(&journal, 1), expected(1, 9));
}

/// A stranger who can write to the disk knows the salt and makes every checksum right.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_change_moves_or_swaps_a_record_unnoticed() {
    let (dir, ring) = (TempDir::new().expect("a directory"), Ring::new(1));
    let options = JournalOptions {
        segment_bytes: 1 << 20,
        ..ring.options()
    };
    let (journal, _) = open(dir.path(), options.clone());
    for _ in 1..=4 {
        journal
            .append(b"of one length".to_vec())
            .await
            .expect("durable");
    }
    drop(journal);
    let file = segments(dir.path()).pop().expect("one");
    let sound = fs::read(&file).expect("reads");
    let segment = segment::list(dir.path()).expect("lists").remove(0);
    let head = segment.head(&sound).expect("sound");
    let frames = frames(&sound, head);
    assert_eq!(frames.len(), 5, "a key and four records");

    let outcome = |bytes: &[u8]| -> Result<usize, OpenError> {
        fs::write(&file, bytes).expect("writes");
        let (journal, _) = Journal::open(dir.path(), options.clone())?;
        let read: Result<Vec<Record>, OpenError> = journal.read_from(1)?.collect();
        read.map(|read| read.len())
    };
    // Every byte of every body, with its checksum put right.
    for range in &frames {
        for at in range.start + record::HEADER..range.end {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            checksum(head.salt, &mut bytes[range.clone()]);
            assert!(outcome(&bytes).is_err(), "byte {at}");
        }
    }
    // Two records change places, each with the number of its new place.
    let mut swapped = sound.clone();
    let body = |range: &std::ops::Range<usize>| range.start + record::HEADER..range.end;
    swapped[body(&frames[1])].copy_from_slice(&sound[body(&frames[2])]);
    swapped[body(&frames[2])].copy_from_slice(&sound[body(&frames[1])]);
    for range in &frames[1..3] {
        checksum(head.salt, &mut swapped[range.clone()]);
    }
    assert!(outcome(&swapped).is_err());
    // One is cut out, and those behind it move up.
    let mut cut = sound.clone();
    cut.drain(frames[2].clone());
    assert!(outcome(&cut).is_err());
    // The `synced` of a record decides what recovery calls torn: it is bound, too.
    let mut other = sound.clone();
    other[frames[4].start + 16] ^= 1;
    checksum(head.salt, &mut other[frames[4].clone()]);
    assert!(outcome(&other).is_err());
    assert_eq!(outcome(&sound).expect("sound"), 4);
}

fn frames(bytes: &[u8], head: segment::Head) -> Vec<std::ops::Range<usize>> {
    let mut frames = Vec::new();
    let mut at = head.len();
    while at < bytes.len() {
        let len = record::read(head.salt, &bytes[at..]).expect("whole").len();
        frames.push(at..at + len);
        at += len;
    }
    frames
}

fn checksum(salt: u32, frame: &mut [u8]) {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &frame[..4]), &frame[8..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_released_cannot_be_opened_again_by_the_owner_either() {
    let (dir, ring) = (TempDir::new().expect("a directory"), Ring::new(1));
    let (journal, _) = open(dir.path(), ring.options());
    fill(&journal, 1, 20).await;
    let first = segment::list(dir.path()).expect("lists").remove(0);
    let before = fs::read(&first.path).expect("reads");
    // Another name of the same blocks: what a look at the medium would find.
    let witness = dir.path().join("witness");
    fs::hard_link(&first.path, &witness).expect("links");
    journal.mark_processed(20).expect("written");
    assert!(journal.release(20).expect("releases") > 1);
    assert!(!first.path.exists());
    let left = fs::read(&witness).expect("reads");
    let header = segment::SEALED_HEADER;
    assert_eq!(left[..header], [0; 56]);
    assert_eq!(left[header..], before[header..]);

    // Whoever guesses all of the header but the shred gets no key.
    let head = first.head(&before).expect("sound");
    let framed = record::read(head.salt, &left[header..]).expect("a key frame");
    assert!(framed.is_key);
    let without = segment::Head {
        shred: Some([0; 32]),
        ..head
    };
    let take = |head| Keys::at_start(head).take(Some(&*ring), &first, header, &framed);
    assert!(take(without).is_err());
    take(head).expect("with the shred the key would open");
}

#[test]
fn what_a_tag_covers_is_all_of_the_header_but_the_checksum() {
    let under = Under {
        key: Ring::new(1).key([0; 32]),
        segment: 7,
    };
    let header: [u8; 24] = std::array::from_fn(|at| at as u8);
    for at in 0..24 {
        let mut other = header;
        other[at] ^= 1;
        let same = under.bound(&header) == under.bound(&other);
        assert_eq!(same, (4..8).contains(&at), "byte {at}");
    }
}
