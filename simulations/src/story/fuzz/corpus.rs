//! Plans worth changing: each reached something that none before it had.

use super::{FuzzError, Options};
use crate::machines::rng::Dice;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::story::{plans, write};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

/// Plans kept. A search mutates each a few times an hour; more would only be older.
const PLANS_MOST: usize = 512;
/// Points of coverage remembered for each kept plan, for the choice of whom to evict: the smallest
/// hashes, a sample without bias. With [`PLANS_MOST`] at most 16 MiB.
const POINTS_MOST: usize = 4_096;
/// Points of coverage known at all, about 64 MiB: a program that reaches more counts too finely,
/// and from then on only the plans that are there are mutated.
const SEEN_MOST: usize = 4 << 20;
/// Bytes of a plan's file; as for failures.
const BYTES_MOST: u64 = 256 << 10;
/// What the file calls itself, and the version of its format.
const FORMAT: &str = "glasshouse-plan";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    version: u32,
    plan: Plan,
}

struct Entry {
    plan: Plan,
    points: Vec<u64>,
    /// Events of its run: what it costs to use.
    cost: u64,
    /// How often it was mutated.
    chosen: u32,
}

pub(super) enum Kept {
    Yes,
    No,
}

pub(super) struct Corpus {
    folder: PathBuf,
    entries: Vec<Entry>,
    /// Entries that hold a point.
    holders: HashMap<u64, u32>,
    seen: HashSet<u64>,
    most: usize,
}

impl Corpus {
    /// An empty one, and the plans that lie in its folder, to be run again: only a run says what
    /// they reach today.
    pub(super) fn open(
        options: &Options,
        notes: &mut Vec<String>,
    ) -> Result<(Self, Vec<Plan>), FuzzError> {
        let folder = options.dir.join("corpus");
        let bad = |error| FuzzError::Folder(folder.clone(), error);
        fs::create_dir_all(&folder).map_err(bad)?;
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(bad)? {
            let path = entry.map_err(bad)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                paths.push(path);
            }
        }
        // The order of a folder is nobody's decision, and this search repeats.
        paths.sort();
        let mut plans = Vec::new();
        for path in paths {
            match read(&path) {
                // Another scenario's plans stay where they are.
                Ok(plan)
                    if plan.scenario == options.outline.scenario
                        && plan.bugs == options.outline.bugs =>
                {
                    plans.push(plan);
                }
                Ok(_) => {}
                Err(why) => notes.push(format!("{} is not used: {why}", path.display())),
            }
        }
        plans.truncate(PLANS_MOST);
        let corpus = Self {
            folder,
            entries: Vec::new(),
            holders: HashMap::new(),
            seen: HashSet::new(),
            most: PLANS_MOST,
        };
        Ok((corpus, plans))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn coverage(&self) -> usize {
        self.seen.len()
    }

    /// A plan to change and another to splice: of three, the one that was chosen least.
    pub(super) fn choose(&mut self, dice: &mut Dice) -> Option<(&Plan, &Plan)> {
        if self.entries.is_empty() {
            return None;
        }
        let len = self.entries.len();
        let draws = [dice.index(len), dice.index(len), dice.index(len)];
        let first = *draws.iter().min_by_key(|&&n| self.entries[n].chosen)?;
        self.entries[first].chosen += 1;
        let other = dice.index(len);
        Some((&self.entries[first].plan, &self.entries[other].plan))
    }

    /// Keeps the plan of an outcome that reached something new.
    pub(super) fn offer(&mut self, outcome: Outcome) -> Result<Kept, FuzzError> {
        let room = SEEN_MOST.saturating_sub(self.seen.len());
        let before = self.seen.len();
        let new = outcome
            .coverage
            .iter()
            .filter(|point| !self.seen.contains(point));
        let new: Vec<u64> = new.take(room).copied().collect();
        self.seen.extend(new);
        if self.seen.len() == before {
            return Ok(Kept::No);
        }
        let entry = Entry {
            points: outcome.coverage.iter().take(POINTS_MOST).copied().collect(),
            cost: outcome.events,
            chosen: 0,
            plan: outcome.plan,
        };
        let path = self.path(&entry.plan);
        let file = File {
            format: FORMAT.into(),
            version: VERSION,
            plan: entry.plan.clone(),
        };
        let json = serde_json::to_vec_pretty(&file)
            .expect("structs of numbers and strings with string keys always serialize");
        write::whole(&path, &json).map_err(|error| FuzzError::Folder(path, error))?;
        for &point in &entry.points {
            *self.holders.entry(point).or_default() += 1;
        }
        self.entries.push(entry);
        if self.entries.len() > self.most {
            self.evict();
        }
        Ok(Kept::Yes)
    }

    /// The plan whose loss costs least goes: fewest points that it alone holds, then the dearest to
    /// run, then the oldest. What it reached stays known.
    fn evict(&mut self) {
        let alone = |entry: &Entry| {
            let own = |point: &&u64| self.holders.get(point) == Some(&1);
            entry.points.iter().filter(own).count()
        };
        let worst = (0..self.entries.len()).min_by_key(|&n| {
            let entry = &self.entries[n];
            (alone(entry), u64::MAX - entry.cost)
        });
        let Some(worst) = worst else { return };
        let entry = self.entries.remove(worst);
        for point in entry.points {
            if let Some(count) = self.holders.get_mut(&point) {
                *count -= 1;
                if *count == 0 {
                    self.holders.remove(&point);
                }
            }
        }
        self.remove(&entry.plan);
    }

    /// A plan of an earlier search that brings nothing new any more leaves the folder.
    pub(super) fn forget(&self, plan: &Plan) {
        if !self.entries.iter().any(|entry| entry.plan == *plan) {
            self.remove(plan);
        }
    }

    /// Most plans that are forgotten never had a file; one that cannot be removed is only run again.
    fn remove(&self, plan: &Plan) {
        let _ = fs::remove_file(self.path(plan));
    }

    fn path(&self, plan: &Plan) -> PathBuf {
        let json = serde_json::to_vec(plan)
            .expect("structs of numbers and strings with string keys always serialize");
        let name = hex::encode(&Sha256::digest(json)[..8]);
        self.folder.join(format!("{name}.json"))
    }
}

fn read(path: &PathBuf) -> Result<Plan, String> {
    if fs::metadata(path).map_err(|e| e.to_string())?.len() > BYTES_MOST {
        return Err(format!("it is larger than {BYTES_MOST} bytes"));
    }
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    let file: File = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    if (file.format.as_str(), file.version) != (FORMAT, VERSION) {
        return Err(format!(
            "it is `{}` of version {}, and only `{FORMAT}` of version {VERSION} can be read here",
            file.format, file.version
        ));
    }
    plans::check(&file.plan).map_err(|e| e.to_string())?;
    Ok(file.plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::fuzz::tests::options;
    use crate::story::toy::{Toy, deadly};

    fn outcome(seed: u64, points: &[u64], events: u64) -> Outcome {
        let mut plan = deadly();
        plan.seed = seed;
        let mut outcome = Toy::default().go(&plan, false);
        outcome.coverage = points.iter().copied().collect();
        outcome.events = events;
        outcome
    }

    fn seeds(corpus: &Corpus) -> Vec<u64> {
        corpus.entries.iter().map(|entry| entry.plan.seed).collect()
    }

    #[test]
    fn only_what_reaches_something_new_is_kept_and_the_least_missed_goes() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let (mut corpus, _) = Corpus::open(&options, &mut Vec::new()).unwrap();
        corpus.most = 2;
        assert!(matches!(
            corpus.offer(outcome(1, &[1, 2], 10)).unwrap(),
            Kept::Yes
        ));
        assert!(matches!(
            corpus.offer(outcome(2, &[1, 2], 10)).unwrap(),
            Kept::No
        ));
        assert!(matches!(
            corpus.offer(outcome(3, &[3], 10)).unwrap(),
            Kept::Yes
        ));
        // 1 and 2 are held by the newcomer as well: the first plan is not missed.
        assert!(matches!(
            corpus.offer(outcome(4, &[1, 2, 4], 10)).unwrap(),
            Kept::Yes
        ));
        assert_eq!(seeds(&corpus), [3, 4]);
        assert_eq!(corpus.coverage(), 4);
        // All hold points of their own now; among equals the dearest goes.
        corpus.offer(outcome(5, &[5], 99)).unwrap();
        assert_eq!(seeds(&corpus), [3, 4]);
        assert_eq!(fs::read_dir(&corpus.folder).unwrap().count(), 2);
    }

    #[test]
    fn plans_come_back_and_strangers_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        let (mut corpus, _) = Corpus::open(&options, &mut Vec::new()).unwrap();
        corpus.offer(outcome(1, &[1], 1)).unwrap();
        fs::write(corpus.folder.join("bad.json"), "{").unwrap();
        let mut notes = Vec::new();
        let (_, plans) = Corpus::open(&options, &mut notes).unwrap();
        assert_eq!(plans, [outcome(1, &[1], 1).plan]);
        assert!(notes[0].contains("bad.json is not used"), "{notes:?}");
        options.outline.scenario = "other".into();
        let (_, plans) = Corpus::open(&options, &mut notes).unwrap();
        assert_eq!(plans, []);
        assert_eq!(fs::read_dir(&corpus.folder).unwrap().count(), 2);
    }
}
