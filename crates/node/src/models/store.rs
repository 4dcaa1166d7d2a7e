//! Models on disk: one safetensors file each, named by the round that made it and by its digest.

use super::Published;
use learn::{Shape, file};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};
use wire::{Digest, Round};

/// Models kept on disk, newest first: what people may want to go back to. By default 40 kB each, 12 MB at
/// most.
pub const KEPT_ON_DISK: usize = 16;
/// Hexadecimal digits of the round in a name: names sort as rounds do.
const ROUND_DIGITS: usize = 16;

/// A directory of models.
pub struct Store {
    dir: PathBuf,
    shape: Shape,
}

impl Store {
    /// In this directory, which is made when something is to be kept.
    pub fn new(dir: PathBuf, shape: Shape) -> Self {
        Self { dir, shape }
    }

    /// Keeps a model; all but the newest and the one `in_use` go.
    pub fn keep(&self, model: &Published, in_use: Option<Digest>) -> io::Result<()> {
        runtime::durable::create_dir(&self.dir)?;
        let about = BTreeMap::from([
            ("round".to_owned(), model.round.to_string()),
            ("digest".to_owned(), model.digest.to_string()),
        ]);
        let bytes = file::encode(&self.shape, &model.parameters, &about)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let path = self.dir.join(name(model.round, model.digest));
        runtime::durable::replace(&path, &bytes)?;
        let others = self.list().into_iter().skip(KEPT_ON_DISK);
        for (_, digest, path) in others {
            if Some(digest) != in_use {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Round, digest and file of the models here, newest first.
    pub fn list(&self) -> Vec<(Round, Digest, PathBuf)> {
        list(&self.dir)
    }

    /// A model by its digest, if it is here and whole.
    pub fn load(&self, digest: Digest) -> Option<Published> {
        let found = self.list().into_iter().find(|(_, of, _)| *of == digest);
        let (round, _, path) = found?;
        match read(&path, digest) {
            Ok(stored) if stored.shape == self.shape => Some(Published {
                round,
                digest,
                parameters: Arc::new(stored.parameters),
            }),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!("{}: {error}; it is passed over", path.display());
                None
            }
        }
    }
}

/// Round, digest and file of the models in a directory, newest first.
pub fn list(dir: &Path) -> Vec<(Round, Digest, PathBuf)> {
    // No directory: nothing was kept yet.
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let (round, digest) = parse(entry.file_name().to_str()?)?;
        Some((round, digest, entry.path()))
    });
    let mut models: Vec<_> = named.collect();
    models.sort_by(|a, b| b.cmp(a));
    models
}

/// The model in a file, which must be the one of that digest.
pub fn read(
    path: &Path,
    digest: Digest,
) -> Result<file::Stored, Box<dyn std::error::Error + Send + Sync>> {
    let stored = file::decode(&fs::read(path)?)?;
    if federation::model_digest(&stored.parameters) != digest {
        return Err(format!("it does not hold model {digest}").into());
    }
    Ok(stored)
}

fn name(round: Round, digest: Digest) -> String {
    format!("{:0ROUND_DIGITS$x}-{digest}.safetensors", round.0)
}

fn parse(file: &str) -> Option<(Round, Digest)> {
    let (round, digest) = file.strip_suffix(".safetensors")?.split_once('-')?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(digest, &mut bytes).ok()?;
    let model = (Round(u64::from_str_radix(round, 16).ok()?), Digest(bytes));
    // One name for each model.
    (name(model.0, model.1) == file).then_some(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(round: u64) -> Published {
        let shape = Shape::default();
        let mut parameters = vec![0.0; shape.parameter_count()];
        parameters[0] = round as f32;
        Published {
            round: Round(round),
            digest: federation::model_digest(&parameters),
            parameters: Arc::new(parameters),
        }
    }

    #[test]
    fn the_newest_and_the_one_in_use_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("models"), Shape::default());
        assert!(store.list().is_empty());
        let pinned = model(2);
        for round in 1..=40 {
            store.keep(&model(round), Some(pinned.digest)).unwrap();
        }
        let rounds: Vec<u64> = store.list().iter().map(|(round, _, _)| round.0).collect();
        let expected: Vec<u64> = (25..=40).rev().chain([2]).collect();
        assert_eq!(rounds, expected);
        let loaded = store.load(pinned.digest).unwrap();
        assert_eq!(
            (loaded.round, loaded.parameters),
            (Round(2), pinned.parameters)
        );
        assert!(store.load(model(3).digest).is_none());
    }

    #[test]
    fn a_file_that_is_not_what_it_is_called_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_owned(), Shape::default());
        store.keep(&model(1), None).unwrap();
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        let other = dir.path().join(name(Round(2), model(2).digest));
        fs::copy(&store.list()[0].2, &other).unwrap();
        assert_eq!(store.list().len(), 2);
        assert!(store.load(model(2).digest).is_none());
        fs::write(&other, "torn").unwrap();
        assert!(store.load(model(2).digest).is_none());
        assert!(store.load(model(1).digest).is_some());
    }
}
