//! The fuzz targets' entries over the stored corpora (`fuzz/corpus`), as they are and changed at random:
//! what cargo-fuzz does with coverage and for hours, here with a seed and for seconds.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use telemetry::formats::Format;
use telemetry::harness;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
const TARGETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/fuzz_targets");

/// Changed copies of each file: some tens of thousands of runs in all.
const CHANGED: u64 = 300;
/// Edits in one copy.
const EDITS: u64 = 8;

/// What a target runs.
type Entry = dyn Fn(&[u8]);

/// A file of a corpus.
type Stored = (PathBuf, Vec<u8>);

/// SplitMix64: a failing run is named by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }
}

fn target_of(format: Format) -> String {
    format!("format_{}", format.name().replace('-', "_"))
}

fn entry(target: &str) -> Box<Entry> {
    match target {
        "mime_to_reports" => Box::new(harness::mime_to_reports),
        "pattern_file" => Box::new(harness::pattern_file),
        "copybook_text" => Box::new(harness::copybook_text),
        "record_bytes" => Box::new(harness::record_bytes),
        other => {
            let mut formats = Format::ALL.into_iter();
            let format = formats.find(|format| other == target_of(*format));
            let format = format.unwrap_or_else(|| panic!("{other} is the target of nothing"));
            Box::new(move |bytes| harness::one_format(format, bytes))
        }
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// Targets with the files of their corpora.
fn corpora() -> Vec<(String, Vec<Stored>)> {
    sorted(Path::new(CORPUS))
        .into_iter()
        .map(|folder| {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
            (name, sorted(&folder).into_iter().map(read).collect())
        })
        .collect()
}

#[test]
fn every_format_has_a_target_and_a_corpus() {
    let corpora = corpora();
    for format in Format::ALL {
        let target = target_of(format);
        let files = corpora.iter().find(|(name, _)| *name == target);
        assert!(
            files.is_some_and(|(_, files)| !files.is_empty()),
            "{target}"
        );
    }
    for (name, _) in &corpora {
        let target = Path::new(TARGETS).join(format!("{name}.rs"));
        assert!(target.exists(), "{}", target.display());
    }
}

/// A fixture that is not in its format's corpus is a layout that nobody fuzzes.
#[test]
fn every_fixture_is_in_a_corpus() {
    let corpora = corpora();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mail");
    for path in sorted(Path::new(fixtures)) {
        if path.extension().is_some_and(|extension| extension == "eml") {
            let raw = fs::read(&path).unwrap();
            let mut files = corpora.iter().flat_map(|(_, files)| files);
            assert!(files.any(|(_, bytes)| *bytes == raw), "{}", path.display());
        }
    }
}

#[test]
fn stored_inputs_hold() {
    for (target, files) in corpora() {
        let run = entry(&target);
        for (_, bytes) in files {
            run(&bytes);
            harness::mime_to_reports(&bytes);
        }
    }
}

#[test]
fn changed_inputs_hold() {
    for (target, files) in corpora() {
        let run = entry(&target);
        for (path, bytes) in &files {
            for seed in 0..CHANGED {
                let mut random = Random(seed ^ bytes.len() as u64);
                let other = &files[random.below(files.len())].1;
                let changed = changed(bytes, other, &mut random);
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    run(&changed);
                }));
                assert!(outcome.is_ok(), "{}, seed {seed}", path.display());
            }
        }
    }
}

/// What fuzzers do: bytes changed, put in, taken out; pieces doubled, or from another file.
fn changed(bytes: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    const INTERESTING: [&[u8]; 12] = [
        b"\r\n",
        b"\n\n",
        b":",
        b"\0",
        b"\xff",
        b"--",
        b"%",
        b"=?utf-8?Q?",
        b"0",
        b"-1",
        b"1e999",
        b"99999999999999999999",
    ];
    let mut out = bytes.to_vec();
    for _ in 0..=random.next() % EDITS {
        let at = random.below(out.len());
        let end = (at + random.below(40)).min(out.len());
        match random.next() % 7 {
            0 if !out.is_empty() => out[at] = random.next() as u8,
            1 => out.insert(at, random.next() as u8),
            2 => drop(out.drain(at..end)),
            3 => {
                let piece = out[at..end].to_vec();
                out.splice(at..at, piece);
            }
            4 => out.truncate(at),
            5 => {
                let word = INTERESTING[random.below(INTERESTING.len())];
                out.splice(at..at, word.iter().copied());
            }
            _ => {
                let from = random.below(other.len());
                let to = (from + random.below(200)).min(other.len());
                out.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    out
}
