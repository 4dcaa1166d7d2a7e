//! For tests: the stored corpora of the fuzz targets (`fuzz/corpus`), replayed as they are and changed at
//! random. What cargo-fuzz does with coverage and for hours (`cargo xtask fuzz`) is done here with a seed and for
//! seconds, on the toolchain that ships, through the same entries. docs/fuzzing.md has the whole of it.

mod change;

use change::{Random, changed};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz");

/// Largest file of a corpus: it is committed, and every test run reads it.
pub const MAX_FILE_BYTES: usize = 64 << 10;

/// A file of a corpus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Where it lies.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Names of all targets, sorted: those of the sources in `fuzz/fuzz_targets`.
///
/// # Panics
/// The repository is not as it should be; so do all functions here, for they serve tests.
pub fn targets() -> Vec<String> {
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let sources = listed(&Path::new(FUZZ).join("fuzz_targets"));
    sources.into_iter().filter_map(stem).collect()
}

/// The corpus of a target, sorted; empty if it has none.
///
/// # Panics
/// A file cannot be read, or is over [`MAX_FILE_BYTES`].
pub fn files(target: &str) -> Vec<Stored> {
    let folder = Path::new(FUZZ).join("corpus").join(target);
    if !folder.is_dir() {
        return Vec::new();
    }
    let stored = |path: PathBuf| {
        let bytes = read(&path);
        assert!(
            bytes.len() <= MAX_FILE_BYTES,
            "{} is too large to keep",
            path.display()
        );
        Stored { path, bytes }
    };
    listed(&folder).into_iter().map(stored).collect()
}

/// Runs an entry over the corpus of its target, each file as it is and in `copies` changed copies.
///
/// # Panics
/// The corpus is empty, or the entry panicked; the message names file and seed.
pub fn replay(target: &str, copies: u64, entry: impl Fn(&[u8])) {
    let files = files(target);
    assert!(!files.is_empty(), "the target {target} has no corpus");
    for file in &files {
        run(&entry, &file.bytes, || file.path.display().to_string());
        for seed in 0..copies {
            let mut random = Random::new(seed ^ file.bytes.len() as u64);
            let other = &files[random.below(files.len())].bytes;
            let input = changed(&file.bytes, other, &mut random);
            run(&entry, &input, || {
                format!("{}, changed by seed {seed}", file.path.display())
            });
        }
    }
}

fn run(entry: &impl Fn(&[u8]), input: &[u8], what: impl Fn() -> String) {
    let outcome = catch_unwind(AssertUnwindSafe(|| entry(input)));
    assert!(outcome.is_ok(), "failed on {}", what());
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| {
            entry
                .expect("a folder of the repository is readable")
                .path()
        })
        .collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_corpus_and_a_place_in_the_manifest() {
        let manifest = fs::read_to_string(Path::new(FUZZ).join("Cargo.toml")).unwrap();
        for target in targets() {
            assert!(!files(&target).is_empty(), "{target} has no corpus");
            let name = format!("name = \"{target}\"");
            assert!(
                manifest.contains(&name),
                "{target} is not in fuzz/Cargo.toml"
            );
        }
        for folder in listed(&Path::new(FUZZ).join("corpus")) {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(targets().contains(&name), "{name} is the corpus of nothing");
        }
    }

    #[test]
    fn a_failure_names_file_and_seed_and_can_be_had_again() {
        let fails = |input: &[u8]| assert!(!input.contains(&0xff));
        let message = || {
            let outcome = catch_unwind(AssertUnwindSafe(|| replay("format_csv", 300, fails)));
            outcome
                .unwrap_err()
                .downcast_ref::<String>()
                .unwrap()
                .clone()
        };
        let first = message();
        assert!(first.contains("changed by seed "), "{first}");
        assert_eq!(message(), first);
    }
}
