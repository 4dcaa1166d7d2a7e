//! The cluster's models as this node has them: the one rows are scored by, the newest ones in memory for
//! rounds, and a few on disk for the next start and for people who want one back.

pub mod name;
pub mod store;

use learn::{Model, Shape};
use ledger::ScoringModel;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use store::Store;
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

/// The model rows are scored by.
#[derive(Clone, Debug)]
pub struct InUse {
    /// Ledger leaf that put it to use.
    pub leaf: u64,
    /// Whether somebody chose it; what a round makes has to stand a trial first.
    pub chosen: bool,
    /// It.
    pub model: Published,
}

/// The node's models.
pub struct Models {
    store: Store,
    initial: Published,
    kept: Mutex<VecDeque<Published>>,
    current: watch::Sender<Option<InUse>>,
}

impl Models {
    /// With what is in the directory from former runs.
    pub fn open(dir: PathBuf, shape: &Shape) -> Result<Self, learn::Error> {
        let store = Store::new(dir, shape.clone());
        let parameters = Model::initial(shape.clone(), INITIAL_SEED)?.parameters();
        let initial = Published {
            round: Round(0),
            digest: federation::model_digest(&parameters),
            parameters: Arc::new(parameters),
        };
        Ok(Self {
            store,
            initial,
            kept: Mutex::default(),
            current: watch::Sender::new(None),
        })
    }

    /// Takes over the one file in which nodes of levels below 5 kept the model in use.
    pub fn take_over(&self, former: &Path) -> std::io::Result<()> {
        let bytes = match std::fs::read(former) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let stored: Result<(Round, Digest, Vec<f32>), _> = wire::decode(&bytes);
        if let Ok((round, digest, parameters)) = stored
            && federation::model_digest(&parameters) == digest
        {
            self.store.keep(
                &Published {
                    round,
                    digest,
                    parameters: Arc::new(parameters),
                },
                None,
            )?;
        }
        std::fs::remove_file(former)
    }

    /// What every node starts from.
    pub fn initial(&self) -> &Published {
        &self.initial
    }

    /// A model by its digest, if it is in memory or on disk.
    pub fn find(&self, digest: Digest) -> Option<Published> {
        self.at_hand(digest).or_else(|| {
            let found = runtime::blocking::in_place(|| self.store.load(digest))?;
            self.remember(found.clone());
            Some(found)
        })
    }

    fn at_hand(&self, digest: Digest) -> Option<Published> {
        if self.initial.digest == digest {
            return Some(self.initial.clone());
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|model| model.digest == digest).cloned()
    }

    /// Digests of the models on disk.
    pub fn stored(&self) -> Vec<Digest> {
        let listed = runtime::blocking::in_place(|| self.store.list());
        listed.into_iter().map(|(_, digest, _)| digest).collect()
    }

    /// Follows the model that rows are scored by.
    pub fn follow(&self) -> watch::Receiver<Option<InUse>> {
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

    /// The ledger has `scoring` for the model that rows are scored by: put it to use, unless a later leaf
    /// has said otherwise. False when it is not here; it has to be fetched and staged first.
    pub fn publish(&self, scoring: ScoringModel, chosen: bool) -> bool {
        let Some(found) = self.find(scoring.model) else {
            return false;
        };
        let model = Published {
            round: scoring.round,
            ..found
        };
        let later = self.current.send_if_modified(|current| {
            let later = current
                .as_ref()
                .is_none_or(|current| current.leaf < scoring.leaf);
            if later {
                *current = Some(InUse {
                    leaf: scoring.leaf,
                    chosen,
                    model: model.clone(),
                });
            }
            later
        });
        if later && let Err(error) = self.keep(&model) {
            // It can be had again from the peers; a full disk must not stop learning.
            tracing::warn!("the model of round {} is not stored: {error}", model.round);
        }
        true
    }

    /// Puts a model that is at hand on disk.
    pub fn keep(&self, model: &Published) -> std::io::Result<()> {
        let in_use = self.current.borrow().as_ref().map(|used| used.model.digest);
        // Frames of the links get here.
        runtime::blocking::in_place(|| self.store.keep(model, in_use))
    }

    fn remember(&self, model: Published) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| other.digest != model.digest);
        kept.push_front(model);
        kept.truncate(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(seed: f32) -> (Digest, Arc<Vec<f32>>) {
        let mut parameters = vec![0.0; Shape::default().parameter_count()];
        parameters[0] = seed;
        (federation::model_digest(&parameters), Arc::new(parameters))
    }

    fn scoring(leaf: u64, round: u64, model: Digest) -> ScoringModel {
        ScoringModel {
            leaf,
            round: Round(round),
            model,
        }
    }

    #[test]
    fn a_model_is_taken_by_its_digest_only_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("models");
        let models = Models::open(place.clone(), &Shape::default()).unwrap();
        let (name, parameters) = made(0.5);
        assert!(!models.stage(Round(1), Digest::of(b"another"), parameters.clone()));
        assert!(
            !models.publish(scoring(1, 1, name), false),
            "nothing staged under that name"
        );
        assert!(models.follow().borrow().is_none());
        assert!(models.stage(Round(1), name, parameters.clone()));
        assert!(
            models.follow().borrow().is_none(),
            "staged is not published"
        );
        assert!(models.publish(scoring(1, 1, name), false));
        let current = models.follow();
        assert_eq!(current.borrow().as_ref().unwrap().model.round, Round(1));
        assert!(models.find(models.initial().digest).is_some());

        let again = Models::open(place.clone(), &Shape::default()).unwrap();
        assert_eq!(again.find(name).unwrap().parameters, parameters);
        assert_eq!(again.stored(), [name]);
        assert_eq!(
            again.initial().digest,
            models.initial().digest,
            "all nodes start alike"
        );

        let file = again.store.list().remove(0).2;
        std::fs::write(file, b"torn").unwrap();
        let torn = Models::open(place, &Shape::default()).unwrap();
        assert!(torn.find(name).is_none());
    }

    #[test]
    fn the_file_of_former_releases_is_taken_over_once() {
        let dir = tempfile::tempdir().unwrap();
        let former = dir.path().join("model");
        let models = Models::open(dir.path().join("models"), &Shape::default()).unwrap();
        models.take_over(&former).unwrap();
        let (name, parameters) = made(0.25);
        let bytes = wire::encode(&(Round(9), name, parameters.as_ref()));
        for (bytes, expected) in [(b"torn".to_vec(), vec![]), (bytes, vec![name])] {
            std::fs::write(&former, bytes).unwrap();
            models.take_over(&former).unwrap();
            assert_eq!(models.stored(), expected);
            assert!(!former.exists());
        }
        assert_eq!(models.find(name).unwrap().round, Round(9));
    }

    #[test]
    fn the_later_leaf_counts_whichever_round_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let models = Models::open(dir.path().join("models"), &Shape::default()).unwrap();
        // Leaf, round, round in use then: the last but one is a roll-back, the last one came late.
        for (leaf, round, current) in [(5, 2, 2), (3, 1, 2), (8, 3, 3), (9, 1, 1), (8, 3, 1)] {
            let (name, parameters) = made(round as f32);
            assert!(models.stage(Round(round), name, parameters));
            assert!(models.publish(scoring(leaf, round, name), false));
            let used = models.follow();
            assert_eq!(used.borrow().as_ref().unwrap().model.round, Round(current));
        }
    }
}
