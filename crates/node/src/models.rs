//! The cluster's models as this node has them: the published one, the few before it, and the one
//! on disk for the next start.

use learn::{Model, Shape};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use wire::{Digest, Round};

/// Models kept in memory: the current one, the one before for who is a round behind, and one to
/// spare for a takeover in between.
const KEPT: usize = 3;
/// Seed of the initial model. Any number does; all nodes must take the same.
const INITIAL_SEED: u64 = 0x61_5f_67_6c_61_73_73;

/// A model with its name on the ledger.
#[derive(Clone, Debug)]
pub struct Published {
    /// The round that made it; 0: the initial one.
    pub round: Round,
    /// SHA-256 over little-endian parameters.
    pub digest: Digest,
    /// The parameters.
    pub parameters: Arc<Vec<f32>>,
}

/// The node's models.
pub struct Models {
    file: PathBuf,
    initial: Published,
    kept: Mutex<VecDeque<Published>>,
    current: watch::Sender<Option<Published>>,
}

impl Models {
    /// With what `file` holds from the last run, if it is whole.
    pub fn open(file: PathBuf, shape: &Shape) -> Result<Self, learn::Error> {
        let parameters = Model::initial(shape.clone(), INITIAL_SEED)?.parameters();
        let initial = Published {
            round: Round(0),
            digest: federation::model_digest(&parameters),
            parameters: Arc::new(parameters),
        };
        let models = Self {
            file,
            initial,
            kept: Mutex::default(),
            current: watch::Sender::new(None),
        };
        if let Some(stored) = models.load() {
            models.remember(stored);
        }
        Ok(models)
    }

    /// What every node starts from.
    pub fn initial(&self) -> &Published {
        &self.initial
    }

    /// A model by its digest, if it is here.
    pub fn find(&self, digest: Digest) -> Option<Published> {
        if self.initial.digest == digest {
            return Some(self.initial.clone());
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|model| model.digest == digest).cloned()
    }

    /// Follows the published model.
    pub fn follow(&self) -> watch::Receiver<Option<Published>> {
        self.current.subscribe()
    }

    /// Keeps a model that may become the ledger's, by its digest. False, and nothing kept, when
    /// the digest is not that of the parameters.
    pub fn stage(&self, round: Round, digest: Digest, parameters: Arc<Vec<f32>>) -> bool {
        let whole = federation::model_digest(&parameters) == digest;
        if whole {
            self.remember(Published {
                round,
                digest,
                parameters,
            });
        }
        whole
    }

    /// The ledger names `digest` as the model made by `round`: put it to use. False when it is
    /// not here; it has to be fetched and staged first.
    pub fn publish(&self, round: Round, digest: Digest) -> bool {
        let Some(found) = self.find(digest) else {
            return false;
        };
        let model = Published { round, ..found };
        let newer = self.current.send_if_modified(|current| {
            let newer = current.as_ref().is_none_or(|current| current.round < round);
            if newer {
                *current = Some(model.clone());
            }
            newer
        });
        if newer && let Err(error) = self.store(&model) {
            // It can be had again from the peers; a full disk must not stop learning.
            tracing::warn!(
                "the model of round {round} is not stored in {}: {error}",
                self.file.display()
            );
        }
        true
    }

    fn remember(&self, model: Published) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| other.digest != model.digest);
        kept.push_front(model);
        kept.truncate(KEPT);
    }

    fn store(&self, model: &Published) -> std::io::Result<()> {
        let bytes = wire::encode(&(model.round, model.digest, model.parameters.as_ref()));
        // Frames of the links get here.
        runtime::blocking::in_place(|| runtime::durable::replace(&self.file, &bytes))
    }

    fn load(&self) -> Option<Published> {
        let bytes = std::fs::read(&self.file).ok()?;
        let (round, name, parameters): (Round, Digest, Vec<f32>) = wire::decode(&bytes).ok()?;
        (federation::model_digest(&parameters) == name).then(|| Published {
            round,
            digest: name,
            parameters: Arc::new(parameters),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape::default()
    }

    #[test]
    fn a_model_is_taken_by_its_digest_only_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model");
        let models = Models::open(file.clone(), &shape()).unwrap();
        let parameters = Arc::new(vec![0.5f32; 8]);
        let name = federation::model_digest(&parameters);
        assert!(!models.stage(Round(1), Digest::of(b"another"), parameters.clone()));
        assert!(
            !models.publish(Round(1), name),
            "nothing staged under that name"
        );
        assert!(models.follow().borrow().is_none());
        assert!(models.stage(Round(1), name, parameters.clone()));
        assert!(
            models.follow().borrow().is_none(),
            "staged is not published"
        );
        assert!(models.publish(Round(1), name));
        assert_eq!(models.follow().borrow().as_ref().unwrap().round, Round(1));
        assert!(models.find(models.initial().digest).is_some());

        let again = Models::open(file.clone(), &shape()).unwrap();
        assert_eq!(again.find(name).unwrap().parameters, parameters);
        assert_eq!(
            again.initial().digest,
            models.initial().digest,
            "all nodes start alike"
        );

        std::fs::write(&file, b"torn").unwrap();
        assert!(Models::open(file, &shape()).unwrap().find(name).is_none());
    }

    #[test]
    fn an_older_model_never_replaces_a_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        let models = Models::open(dir.path().join("model"), &shape()).unwrap();
        for (round, value, current) in [(2, 0.2f32, 2), (1, 0.1, 2), (3, 0.3, 3)] {
            let parameters = Arc::new(vec![value; 4]);
            let name = federation::model_digest(&parameters);
            assert!(models.stage(Round(round), name, parameters));
            assert!(models.publish(Round(round), name));
            assert_eq!(
                models.follow().borrow().as_ref().unwrap().round,
                Round(current)
            );
        }
    }
}
