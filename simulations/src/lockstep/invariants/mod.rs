//! What must hold in every lockstep run. One rule, one id, one predicate; the controller feeds them
//! with what the processes show. Pure, so that anything else that can show the same can use them.
//!
//! Besides these every leaf of every replica passes `ledger::invariants` when the directories are
//! verified at the end.
//!
//! | module | rules about |
//! |---|---|
//! | `log` | terms, leaves, acknowledgements, proposals |
//! | `keys` | key epochs and who holds them |
//! | `rounds` | models, what they stand on, and which are in use |
//! | `late` | updates that count in a later round than their own |
//! | `variates` | control variates |
//! | `privacy` | accounts of private rounds |
//! | `edges` | mails and Kafka's offsets |
//! | `space` | samples on the data space |

mod edges;
mod keys;
mod late;
mod log;
mod privacy;
mod rounds;
mod space;
mod variates;

use super::learning;
use super::protocol::{self, Fact};
use super::seen::Variate;
use privacy::Budget;
pub use privacy::Told;
pub use rounds::{Kept, shadow};
pub use space::Life;

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
    LEVEL_SPOKEN "LEDGER-6" "the ledger's level is one that the programs of all members speak";
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
    MODEL_OF_UPDATES "ROUND-4" "a model is its predecessor moved by the plain mean of the updates of its participants";
    ONE_SHARE "ROUND-5" "nobody reveals both shares of a member";
    LEFT_OUT_ONCE "ROUND-6" "what a smaller update leaves out is in the next one that counts, once, whether or not its node was restarted";
    MEAN_VARIATE "ROUND-7" "in rounds of SCAFFOLD the server's variate is the mean of those that the members keep";
    OWN_VARIATE "ROUND-8" "a participant goes on from the variate that its last round that counted left, whether or not its node was restarted";
    LOST_WITH_DISK "ROUND-9" "nobody takes its variate for lost whose disk was not damaged";
    COUNTED_BY_AGE "ROUND-10" "an update that is taken as it comes counts once at most, by the age on the ledger, and none is older than allowed";
    PAID_FIRST "PRIVACY-1" "a private round is charged for, once and to those who are in it, before its masks come off";
    WITHIN_BUDGET "PRIVACY-2" "no charge takes the account of a node or tenant over its ε";
    ACCOUNTS_AGREE "PRIVACY-3" "all nodes hold the same accounts of tenants for the same leaves, and none is below what was told";
    MODEL_NAMED "MODEL-1" "a node uses no model but the one that the ledger names for its round";
    MODEL_BOUNDED "MODEL-2" "a model is finite, and no further off than its rounds' updates may move it";
    MAIL_KEPT "MAIL-1" "no acknowledged mail is lost";
    MAIL_ONCE "MAIL-2" "no mail is counted twice";
    OFFSETS_BEHIND "KAFKA-1" "a committed offset is never ahead of what the ledger accounts for";
    NO_GAP "KAFKA-2" "the ledger accounts for every record: no offset is passed over";
    IN_ORDER_ONCE "SPACE-1" "of a writer's samples of a device a reader takes each once, in their order";
    ONLY_WRITTEN "SPACE-2" "a reader takes nothing but what was written";
    RETAINED "SPACE-3" "after the faults every reader has what every living writer retains";
    REPLAYS_COUNTED "SPACE-4" "a sample that comes again is refused and counted";
    CONVERGED "LIVE-1" "after the faults all nodes are up and hold the same ledger";
    GOES_ON "LIVE-2" "after the faults acts are committed again";
    ONE_VIEW "LIVE-3" "after the faults all nodes name the same leader";
    ROUNDS_GO_ON "LIVE-4" "after the faults rounds of learning close again";
    LEVEL_RISES "LIVE-5" "after the faults the ledger has the level that all programs speak";
}

/// What was seen so far, as far as rules need it.
#[derive(Debug, Default)]
pub struct Checks {
    log: log::Log,
    keys: keys::Keys,
    rounds: rounds::Rounds,
    variates: variates::Variates,
    privacy: privacy::Privacy,
    edges: edges::Edges,
    space: space::Space,
}

impl Checks {
    /// `node` takes `leader` for the leader of `term`.
    pub fn leader(&mut self, node: &str, leader: &str, term: u64) -> Result<(), Broken> {
        self.log.leader(node, leader, term)
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
        if self.log.leaf(node, index, leaf, root)? {
            self.fact(index, fact)?;
            self.privacy.grown(self.log.size())?;
        }
        self.log.stays(index)
    }

    /// A leaf that nobody had before took effect.
    fn fact(&mut self, index: u64, fact: &Fact) -> Result<(), Broken> {
        match fact {
            Fact::Other => Ok(()),
            Fact::Mails { node, count } => self.edges.counted(index, node, *count),
            Fact::Records { first, last } => self.edges.records(index, *first, *last),
            Fact::Closed {
                round,
                model,
                participants,
                examples,
                ages,
            } => {
                self.privacy.closed(*round, participants)?;
                let private = self.privacy.is_private(*round);
                let made = (*round, *model);
                self.variates.closed(*round, *model, participants);
                let of = (participants.as_slice(), ages.as_deref());
                self.rounds.closed(index, made, of, *examples, private)
            }
            Fact::Opened {
                round,
                model,
                cohort,
            } => {
                self.privacy.opened(cohort);
                self.rounds.opened(*round, *model);
                self.variates.opened(*round, *model);
                Ok(())
            }
            Fact::RolledBack => {
                self.rounds.rolled_back();
                self.variates.rolled_back();
                Ok(())
            }
            Fact::Reset { node } => self.variates.reset(node),
            Fact::Charged {
                round,
                participants,
                noise_milli,
            } => self
                .privacy
                .charged(index, *round, participants, *noise_milli),
            Fact::Declared {
                node,
                tenant,
                epsilon,
                delta,
            } => {
                let budget = Budget {
                    tenant: tenant.clone(),
                    epsilon: f64::from_bits(*epsilon),
                    delta: f64::from_bits(*delta),
                };
                self.privacy.declared(index, node, budget);
                Ok(())
            }
            Fact::Epoch(epoch) => self.keys.began(index, *epoch),
            Fact::Admitted(node) => {
                self.keys.admitted(node);
                self.variates.membership(1);
                Ok(())
            }
            Fact::Removed(node) => {
                self.keys.removed(node);
                self.variates.membership(-1);
                Ok(())
            }
        }
    }

    /// `node` sent an update.
    pub fn update(
        &mut self,
        node: &str,
        round: u64,
        (examples, moves): (u64, Option<i64>),
        variate: Option<Variate>,
    ) -> Result<(), Broken> {
        self.rounds.update(node, round, examples, moves);
        variate.map_or(Ok(()), |variate| self.variates.update(node, round, variate))
    }

    /// How the rounds of this house are to go.
    pub fn rounds_go(&mut self, rounds: protocol::Rounds, seed: u64, nodes: usize) {
        match rounds {
            protocol::Rounds::Plain | protocol::Rounds::Secure | protocol::Rounds::Compressed => {}
            protocol::Rounds::Private => self.privacy.all_rounds(),
            protocol::Rounds::Scaffold => self.variates.of(nodes),
            protocol::Rounds::Buffered => {
                let of = learning::buffering(seed, nodes);
                self.rounds.allow(of.max_staleness);
            }
        }
    }

    /// `node` revealed shares; `uncharged`: of a private round whose cost its ledger does not have.
    pub fn revealed(node: &str, uncharged: Option<u64>) -> Result<(), Broken> {
        PAID_FIRST.check(uncharged.is_none(), || {
            format!("{node} revealed shares of round {uncharged:?}, which is not charged for")
        })
    }

    /// `node` says what tenants have told, by its ledger of `size` leaves.
    pub fn accounts(&mut self, node: &str, size: u64, told: Told) -> Result<(), Broken> {
        let seen = self.log.size();
        self.privacy.accounts(node, size, told, seen)
    }

    /// Leaf `index` is this proposal, and it took effect.
    pub fn effect(&mut self, index: u64, proposal: [u8; 16]) -> Result<(), Broken> {
        self.log.effect(index, proposal)
    }

    /// `node` says who holds the keys of an epoch.
    pub fn holders(&self, node: &str, epoch: u64, holders: &[String]) -> Result<(), Broken> {
        self.keys.holders(node, epoch, holders)
    }

    /// A sample was written.
    pub fn wrote(&mut self, writer: Life, device: &str, number: u64) {
        self.space.wrote(writer, device, number);
    }

    /// A stranger wrote a sample once more.
    pub fn wrote_again(&mut self, writer: Life, device: String, number: u64) {
        self.space.wrote_again(writer, device, number);
    }

    /// A sample was taken.
    pub fn read(
        &mut self,
        reader: Life,
        writer: Life,
        device: &str,
        number: u64,
    ) -> Result<(), Broken> {
        self.space.read(reader, writer, device, number)
    }

    /// At the end: who lives has the last `retained` samples of each device of whoever lives.
    pub fn retained(&self, living: &[Life], retained: u64) -> Result<(), Broken> {
        self.space.retained(living, retained)
    }

    /// The house's consumers have committed this offset.
    pub fn committed(&self, offset: u64) -> Result<(), Broken> {
        self.edges.committed(offset)
    }

    /// Rounds that made a model.
    pub fn rounds(&self) -> u64 {
        self.rounds.made()
    }

    /// Gear sent mail `number` to the end, or was promised that it is kept.
    pub fn mail(&mut self, to: &str, number: u64, promised: bool) {
        self.edges.mail(to, number, promised);
    }

    /// A node's disk was damaged: the model it keeps need not be one. If `mail` was struck, its promises about
    /// mail are void.
    pub fn damaged(&mut self, node: &str, mail: bool) {
        self.rounds.damaged(node);
        self.variates.damaged(node);
        if mail {
            self.edges.damaged(node);
        }
    }

    /// `node` keeps this model for its next start: it is the one in use.
    pub fn model(&mut self, node: &str, kept: &Kept) -> Result<(), Broken> {
        self.rounds.model(node, kept)?;
        let variate = kept.variate;
        variate.map_or(Ok(()), |c| self.variates.model(node, kept.round, c))
    }

    /// No new load comes from now on: the mails promised so far must be accounted for at the end.
    pub fn load_ended(&mut self) {
        self.edges.owe();
    }

    /// At the end: every promised mail is accounted for.
    pub fn mail_kept(&self) -> Result<(), Broken> {
        self.edges.kept(|node| self.keys.former(node))
    }

    /// Mails promised and accounted for, over all nodes.
    pub fn mails(&self) -> (u64, u64) {
        self.edges.mails()
    }

    /// Former members.
    pub fn former(&self, node: &str) -> bool {
        self.keys.former(node)
    }

    /// `node` was told that its act is leaf `index`.
    pub fn acknowledged(&mut self, node: &str, index: u64, act: [u8; 32]) -> Result<(), Broken> {
        self.log.acknowledged(node, index, act)
    }

    /// At the end: nothing acknowledged is missing in a ledger of `size` leaves.
    pub fn all_there(&self, size: u64) -> Result<(), Broken> {
        self.log.all_there(size)
    }

    /// Acknowledged leaves.
    pub fn acknowledgements(&self) -> impl Iterator<Item = u64> {
        self.log.acknowledgements()
    }

    /// Leaves seen on any node.
    pub fn size(&self) -> u64 {
        self.log.size()
    }

    /// `node` holds this key epoch.
    pub fn epoch(&mut self, node: &str, epoch: u64) -> Result<(), Broken> {
        self.keys.epoch(node, epoch)
    }

    /// `node` has started again.
    pub fn started(&mut self, node: &str) {
        self.keys.started(node);
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
}
