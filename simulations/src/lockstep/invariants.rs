//! What must hold in every lockstep run. One rule, one id, one predicate; the controller feeds them
//! with what the processes show. Pure, so that anything else that can show the same can use them.
//!
//! Besides these every leaf of every replica passes `ledger::invariants` when the directories are
//! verified at the end. There is no rule about shares of secret values: the product does not
//! aggregate securely yet, so there are no shares.

use super::protocol::Fact;
use std::collections::{BTreeMap, BTreeSet};

/// A rule with a stable id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable id.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
}

/// A rule that did not hold, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// Where and how.
    pub detail: String,
}

impl Rule {
    /// `Err` unless `holds`.
    pub fn check(self, holds: bool, detail: impl FnOnce() -> String) -> Result<(), Broken> {
        if holds {
            Ok(())
        } else {
            Err(self.broken(detail()))
        }
    }

    /// It does not hold.
    pub fn broken(self, detail: impl Into<String>) -> Broken {
        Broken {
            rule: self,
            detail: detail.into(),
        }
    }
}

macro_rules! rules {
    ($($name:ident $id:literal $says:literal;)*) => {
        $(#[doc = $says] pub const $name: Rule = Rule { id: $id, says: $says };)*
        /// All rules.
        pub const ALL: &[Rule] = &[$($name),*];
    };
}

rules! {
    ONE_LEADER "RAFT-1" "a term has one leader at most";
    HISTORY_FIXED "LEDGER-1" "a committed leaf never changes: one root for each size, on all nodes and in all their lives";
    LOG_IS_TREE "LEDGER-2" "what a node folds is what its Merkle root says";
    ACKNOWLEDGED_STAYS "LEDGER-3" "an act that was acknowledged as a leaf is that leaf for ever";
    PROVABLE "LEDGER-4" "every replica's directory verifies, and accepted acts are provable by inclusion";
    EFFECT_ONCE "LEDGER-5" "a proposal takes effect once at most";
    DIES_FOR_A_REASON "PROC-1" "a process ends by a fault, or with a sentence; it never just dies";
    BOUNDED "PROC-2" "queues stay within their limits";
    MEMORY_BOUNDED "PROC-3" "a process stays within its memory";
    INTENSITY "PROC-4" "no supervisor restarts more often than its intensity allows";
    EPOCH_GROWS "KEYS-1" "a node's key epoch only grows while it lives";
    KEYS_EXPIRE "KEYS-3" "no key epoch stays readable longer than its grace";
    HOLDERS_ARE_MEMBERS "KEYS-4" "who holds the keys of an epoch was a member when it began";
    EVICTED_READS_NOTHING "KEYS-2" "an evicted node holds no key epoch that began after it was removed";
    ONE_MODEL "ROUND-1" "a round makes one model at most";
    COUNTED_ONCE "ROUND-2" "a round counts each participant once at most";
    SUM_OF_UPDATES "ROUND-3" "a round stands on the examples that its participants sent, each of them once";
    MODEL_NAMED "MODEL-1" "a node uses no model but the one that the ledger names for its round";
    MODEL_BOUNDED "MODEL-2" "a model is finite, and no further off than its rounds' updates may move it";
    MAIL_KEPT "MAIL-1" "no acknowledged mail is lost";
    MAIL_ONCE "MAIL-2" "no mail is counted twice";
    OFFSETS_BEHIND "KAFKA-1" "a committed offset is never ahead of what the ledger accounts for";
    NO_GAP "KAFKA-2" "the ledger accounts for every record: no offset is passed over";
    CONVERGED "LIVE-1" "after the faults all nodes are up and hold the same ledger";
    GOES_ON "LIVE-2" "after the faults acts are committed again";
    ONE_VIEW "LIVE-3" "after the faults all nodes name the same leader";
    ROUNDS_GO_ON "LIVE-4" "after the faults rounds of learning close again";
}

/// What was seen so far, as far as rules need it.
#[derive(Debug, Default)]
pub struct Checks {
    leaders: BTreeMap<u64, String>,
    roots: BTreeMap<u64, ([u8; 32], String)>,
    leaves: BTreeMap<u64, [u8; 32]>,
    acknowledged: BTreeMap<u64, ([u8; 32], String)>,
    epochs: BTreeMap<String, u64>,
    /// The key epoch of the ledger.
    epoch: u64,
    /// Former members, and the key epoch in which they were removed.
    removed: BTreeMap<String, u64>,
    models: BTreeMap<u64, [u8; 32]>,
    /// For each round and participant, the least and the most examples of an update that it sent: after
    /// a restart it trains anew, and either update may be the one that counts.
    updates: BTreeMap<(u64, String), (u64, u64)>,
    /// Proposals that took effect, and the leaf.
    proposals: BTreeMap<[u8; 16], u64>,
    /// For each key epoch, who was no member any more when it began.
    former: BTreeMap<u64, BTreeSet<String>>,
    mails: BTreeMap<String, Mails>,
    /// The next Kafka offset to be accounted for.
    offset: u64,
}

/// L2 norm of the model that all begin with, at most: some thousand weights, most of them far below one.
const FIRST_NORM_MOST: f64 = 100.0;
/// L2 norm of an update that counts, at most: `max_norm` of `federation::Config`. A mean moves no further.
const UPDATE_NORM_MOST: f64 = 100.0;

/// A model that a node keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The round that made it, the node says.
    pub round: u64,
    /// Its digest, the node says.
    pub name: [u8; 32],
    /// The digest of its parameters.
    pub digest: [u8; 32],
    /// Their L2 norm.
    pub norm: f64,
}

/// Mails at one node's door.
#[derive(Clone, Debug, Default)]
struct Mails {
    /// Sent to their end at least once.
    sent: BTreeSet<u64>,
    /// Answered 250.
    promised: BTreeSet<u64>,
    /// Accounted for on the ledger.
    counted: u64,
    /// The node's disk was damaged: what it had promised may be gone.
    damaged: bool,
}

impl Checks {
    /// `node` takes `leader` for the leader of `term`.
    pub fn leader(&mut self, node: &str, leader: &str, term: u64) -> Result<(), Broken> {
        let known = self
            .leaders
            .entry(term)
            .or_insert_with(|| leader.to_owned());
        ONE_LEADER.check(known == leader, || {
            format!("{node} takes {leader} for the leader of term {term}, which {known} was")
        })
    }

    /// `node` has leaf `index`, with the root it makes.
    pub fn leaf(
        &mut self,
        node: &str,
        index: u64,
        leaf: [u8; 32],
        root: [u8; 32],
        fact: &Fact,
    ) -> Result<(), Broken> {
        let news = !self.roots.contains_key(&index);
        let (known, first) = self
            .roots
            .entry(index)
            .or_insert_with(|| (root, node.to_owned()));
        HISTORY_FIXED.check(*known == root, || {
            format!(
                "the first {} leaves of {node} are not those of {first}",
                index + 1
            )
        })?;
        self.leaves.entry(index).or_insert(leaf);
        if news {
            self.fact(index, fact)?;
        }
        self.stays(index)
    }

    /// A leaf that nobody had before took effect.
    fn fact(&mut self, index: u64, fact: &Fact) -> Result<(), Broken> {
        match fact {
            Fact::Other => Ok(()),
            Fact::Mails { node, count } => {
                let mails = self.mails.entry(node.clone()).or_default();
                mails.counted += count;
                let (counted, sent) = (mails.counted, mails.sent.len() as u64);
                MAIL_ONCE.check(counted <= sent, || {
                    format!("{node} accounts for {counted} mails by leaf {index}, {sent} were sent")
                })
            }
            Fact::Records { first, last } => {
                let next = self.offset;
                self.offset = next.max(last + 1);
                NO_GAP.check(*first <= next, || {
                    format!(
                        "leaf {index} accounts for offsets from {first} on, before it stood {next}"
                    )
                })
            }
            Fact::Closed {
                round,
                model,
                participants,
                examples,
            } => {
                let known = self.models.entry(*round).or_insert(*model);
                ONE_MODEL.check(known == model, || {
                    format!("leaf {index} closes round {round} with a second model")
                })?;
                let once: BTreeSet<_> = participants.iter().collect();
                COUNTED_ONCE.check(once.len() == participants.len(), || {
                    format!("round {round} counts {participants:?}")
                })?;
                self.sum(*round, participants, *examples)
            }
            Fact::Epoch(epoch) => {
                let before = std::mem::replace(&mut self.epoch, *epoch);
                self.former
                    .insert(*epoch, self.removed.keys().cloned().collect());
                EPOCH_GROWS.check(*epoch > before, || {
                    format!("leaf {index} goes from key epoch {before} to {epoch}")
                })
            }
            Fact::Admitted(node) => {
                self.removed.remove(node);
                Ok(())
            }
            Fact::Removed(node) => {
                self.removed.insert(node.clone(), self.epoch);
                Ok(())
            }
        }
    }

    /// What a round says it stands on, against what its participants sent.
    fn sum(&self, round: u64, participants: &[String], examples: u64) -> Result<(), Broken> {
        let sent = |node: &String| self.updates.get(&(round, node.clone())).copied();
        let sums = participants
            .iter()
            .map(sent)
            .try_fold((0, 0), |sum: (u64, u64), sent| {
                let (least, most) = sent?;
                Some((sum.0 + least, sum.1 + most))
            });
        let fits = sums.is_some_and(|(least, most)| (least..=most).contains(&examples));
        SUM_OF_UPDATES.check(fits, || match sums {
            Some((least, _)) => format!(
                "round {round} says {examples} examples, {participants:?} sent {least} in all"
            ),
            None => {
                format!("round {round} counts {participants:?}, not all of whom sent an update")
            }
        })
    }

    /// `node` sent an update.
    pub fn update(&mut self, node: &str, round: u64, examples: u64) {
        let sent = self.updates.entry((round, node.to_owned()));
        let (least, most) = sent.or_insert((examples, examples));
        *least = examples.min(*least);
        *most = examples.max(*most);
    }

    /// Leaf `index` is this proposal, and it took effect.
    pub fn effect(&mut self, index: u64, proposal: [u8; 16]) -> Result<(), Broken> {
        let first = *self.proposals.entry(proposal).or_insert(index);
        EFFECT_ONCE.check(first == index, || {
            format!("a proposal took effect as leaf {first} and again as leaf {index}")
        })
    }

    /// `node` says who holds the keys of an epoch.
    pub fn holders(&self, node: &str, epoch: u64, holders: &[String]) -> Result<(), Broken> {
        let former = self.former.get(&epoch);
        let wrong = |holder: &&String| former.is_some_and(|former| former.contains(*holder));
        match holders.iter().find(wrong) {
            None => Ok(()),
            Some(holder) => Err(HOLDERS_ARE_MEMBERS.broken(format!(
                "{node} shares key epoch {epoch} with {holder}, which was removed before"
            ))),
        }
    }

    /// The house's consumers have committed this offset.
    pub fn committed(&self, offset: u64) -> Result<(), Broken> {
        OFFSETS_BEHIND.check(offset <= self.offset, || {
            format!(
                "offset {offset} is committed, accounted for is {}",
                self.offset
            )
        })
    }

    /// `node` keeps this model for its next start: it is the one in use.
    pub fn model(&self, node: &str, kept: &Kept) -> Result<(), Broken> {
        if self.mails.get(node).is_some_and(|mails| mails.damaged) {
            // What its disk made of it is no model of the node's; it finds that out itself.
            return Ok(());
        }
        let Kept { round, norm, .. } = kept;
        let known = self.models.get(round).unwrap_or(&kept.name);
        let named = kept.digest == kept.name && *known == kept.name;
        MODEL_NAMED.check(named, || {
            format!("{node} uses another model than the ledger names for round {round}")
        })?;
        let most = FIRST_NORM_MOST + UPDATE_NORM_MOST * *round as f64;
        // Not a number is not within either.
        MODEL_BOUNDED.check(*norm <= most, || {
            format!(
                "the model of round {round} on {node} has norm {norm:.1}, {most:.1} can be reached"
            )
        })
    }

    /// Rounds that made a model.
    pub fn rounds(&self) -> u64 {
        self.models.len() as u64
    }

    /// Gear sent mail `number` to the end, or was promised that it is kept.
    pub fn mail(&mut self, to: &str, number: u64, promised: bool) {
        let mails = self.mails.entry(to.to_owned()).or_default();
        mails.sent.insert(number);
        if promised {
            mails.promised.insert(number);
        }
    }

    /// A node's disk was damaged: its promises about mail are void.
    pub fn damaged(&mut self, node: &str) {
        self.mails.entry(node.to_owned()).or_default().damaged = true;
    }

    /// At the end: every promised mail is accounted for.
    pub fn mail_kept(&self) -> Result<(), Broken> {
        for (node, mails) in &self.mails {
            let former = self.removed.contains_key(node);
            let promised = mails.promised.len() as u64;
            MAIL_KEPT.check(former || mails.damaged || mails.counted >= promised, || {
                format!(
                    "{node} promised {promised} mails and accounts for {}",
                    mails.counted
                )
            })?;
        }
        Ok(())
    }

    /// Mails promised and accounted for, over all nodes.
    pub fn mails(&self) -> (u64, u64) {
        let all = self.mails.values();
        all.fold((0, 0), |(promised, counted), mails| {
            (
                promised + mails.promised.len() as u64,
                counted + mails.counted,
            )
        })
    }

    /// Former members.
    pub fn former(&self, node: &str) -> bool {
        self.removed.contains_key(node)
    }

    /// `node` was told that its act is leaf `index`.
    pub fn acknowledged(&mut self, node: &str, index: u64, act: [u8; 32]) -> Result<(), Broken> {
        let (known, first) = self
            .acknowledged
            .entry(index)
            .or_insert_with(|| (act, node.to_owned()));
        ACKNOWLEDGED_STAYS.check(*known == act, || {
            format!("leaf {index} was acknowledged to {first} and, for another act, to {node}")
        })?;
        self.stays(index)
    }

    fn stays(&self, index: u64) -> Result<(), Broken> {
        let (Some(leaf), Some((act, node))) =
            (self.leaves.get(&index), self.acknowledged.get(&index))
        else {
            return Ok(());
        };
        ACKNOWLEDGED_STAYS.check(leaf == act, || {
            format!("leaf {index} is another act than the one acknowledged to {node}")
        })
    }

    /// At the end: nothing acknowledged is missing in a ledger of `size` leaves.
    pub fn all_there(&self, size: u64) -> Result<(), Broken> {
        match self.acknowledged.range(size..).next() {
            None => Ok(()),
            Some((index, (_, node))) => Err(ACKNOWLEDGED_STAYS.broken(format!(
                "leaf {index} was acknowledged to {node}, and the ledger has {size} leaves"
            ))),
        }
    }

    /// Acknowledged leaves.
    pub fn acknowledgements(&self) -> impl Iterator<Item = u64> {
        self.acknowledged.keys().copied()
    }

    /// Leaves seen on any node.
    pub fn size(&self) -> u64 {
        self.roots
            .last_key_value()
            .map_or(0, |(index, _)| index + 1)
    }

    /// `node` holds this key epoch.
    pub fn epoch(&mut self, node: &str, epoch: u64) -> Result<(), Broken> {
        let held = self.epochs.entry(node.to_owned()).or_default();
        let before = std::mem::replace(held, epoch);
        EPOCH_GROWS.check(epoch >= before, || {
            format!("{node} went from key epoch {before} back to {epoch}")
        })?;
        let last = self.removed.get(node).copied().unwrap_or(u64::MAX);
        EVICTED_READS_NOTHING.check(epoch <= last, || {
            format!("{node} was removed in key epoch {last} and holds {epoch}")
        })
    }

    /// `node` has started again.
    pub fn started(&mut self, node: &str) {
        self.epochs.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique() {
        let ids: std::collections::BTreeSet<_> = ALL.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), ALL.len());
    }

    #[test]
    fn two_leaders_of_one_term_are_one_too_many() {
        let mut checks = Checks::default();
        checks.leader("a", "a", 1).unwrap();
        checks.leader("b", "a", 1).unwrap();
        checks.leader("b", "b", 2).unwrap();
        assert_eq!(checks.leader("b", "b", 1).unwrap_err().rule, ONE_LEADER);
    }

    #[test]
    fn history_is_one() {
        let mut checks = Checks::default();
        checks.leaf("a", 0, [1; 32], [1; 32], &Fact::Other).unwrap();
        checks.leaf("b", 0, [1; 32], [1; 32], &Fact::Other).unwrap();
        let forked = checks
            .leaf("b", 0, [2; 32], [2; 32], &Fact::Other)
            .unwrap_err();
        assert_eq!(forked.rule, HISTORY_FIXED);
    }

    #[test]
    fn what_was_acknowledged_stays_whichever_is_heard_first() {
        let mut checks = Checks::default();
        checks.acknowledged("a", 3, [3; 32]).unwrap();
        assert_eq!(
            checks
                .leaf("b", 3, [4; 32], [9; 32], &Fact::Other)
                .unwrap_err()
                .rule,
            ACKNOWLEDGED_STAYS
        );
        let mut checks = Checks::default();
        checks.leaf("b", 3, [4; 32], [9; 32], &Fact::Other).unwrap();
        assert_eq!(
            checks.acknowledged("a", 3, [3; 32]).unwrap_err().rule,
            ACKNOWLEDGED_STAYS
        );
        assert_eq!(checks.all_there(3).unwrap_err().rule, ACKNOWLEDGED_STAYS);
        checks.all_there(4).unwrap();
    }

    #[test]
    fn key_epochs_grow_within_a_life() {
        let mut checks = Checks::default();
        checks.epoch("a", 4).unwrap();
        assert_eq!(checks.epoch("a", 3).unwrap_err().rule, EPOCH_GROWS);
        checks.started("a");
        checks.epoch("a", 1).unwrap();
    }

    #[test]
    fn mail_is_kept_and_counted_once() {
        let mails = |count| Fact::Mails {
            node: "a".to_owned(),
            count,
        };
        let mut checks = Checks::default();
        checks.mail("a", 1, false);
        checks.mail("a", 2, true);
        assert_eq!(checks.mail_kept().unwrap_err().rule, MAIL_KEPT);
        checks.leaf("a", 0, [0; 32], [0; 32], &mails(2)).unwrap();
        // The same leaf on another node is the same mails.
        checks.leaf("b", 0, [0; 32], [0; 32], &mails(2)).unwrap();
        checks.mail_kept().unwrap();
        let twice = checks.leaf("a", 1, [1; 32], [1; 32], &mails(1));
        assert_eq!(twice.unwrap_err().rule, MAIL_ONCE);
    }

    #[test]
    fn who_was_evicted_gets_no_later_keys() {
        let mut checks = Checks::default();
        checks
            .leaf("a", 0, [0; 32], [0; 32], &Fact::Epoch(5))
            .unwrap();
        checks
            .leaf("a", 1, [1; 32], [1; 32], &Fact::Removed("c".to_owned()))
            .unwrap();
        checks.epoch("c", 5).unwrap();
        assert_eq!(
            checks.epoch("c", 6).unwrap_err().rule,
            EVICTED_READS_NOTHING
        );
    }

    #[test]
    fn a_model_is_the_ledgers_and_within_its_bounds() {
        let closed = Fact::Closed {
            round: 1,
            model: [1; 32],
            participants: vec!["a".to_owned()],
            examples: 10,
        };
        let mut checks = Checks::default();
        checks.update("a", 1, 10);
        checks.leaf("a", 0, [0; 32], [0; 32], &closed).unwrap();
        let good = Kept {
            round: 1,
            name: [1; 32],
            digest: [1; 32],
            norm: 150.0,
        };
        checks.model("a", &good).unwrap();
        let broken = |kept: Kept| checks.model("a", &kept).unwrap_err().rule;
        let other = [2; 32];
        assert_eq!(
            broken(Kept {
                digest: other,
                ..good.clone()
            }),
            MODEL_NAMED
        );
        let renamed = Kept {
            digest: other,
            name: other,
            ..good.clone()
        };
        assert_eq!(broken(renamed), MODEL_NAMED);
        for norm in [250.0, f64::INFINITY, f64::NAN] {
            assert_eq!(
                broken(Kept {
                    norm,
                    ..good.clone()
                }),
                MODEL_BOUNDED
            );
        }
    }

    #[test]
    fn a_round_makes_one_model_and_counts_each_once() {
        let closed = |model, participants: &[&str]| Fact::Closed {
            round: 1,
            model: [model; 32],
            participants: participants.iter().map(|node| (*node).to_owned()).collect(),
            examples: 30,
        };
        let mut checks = Checks::default();
        checks.update("a", 1, 10);
        checks.update("b", 1, 20);
        checks
            .leaf("a", 0, [0; 32], [0; 32], &closed(1, &["a", "b"]))
            .unwrap();
        let second = checks.leaf("a", 1, [1; 32], [1; 32], &closed(2, &["a", "b"]));
        assert_eq!(second.unwrap_err().rule, ONE_MODEL);
        let mut checks = Checks::default();
        let twice = checks.leaf("a", 0, [0; 32], [0; 32], &closed(1, &["a", "a"]));
        assert_eq!(twice.unwrap_err().rule, COUNTED_ONCE);
    }
}
