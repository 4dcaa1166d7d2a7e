//! What is to be seen of a simulated process.

use crate::outcome::Kind;
use serde::{Deserialize, Serialize};

/// What is to be seen of a process; feeds trace, story and invariants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    /// Goes into the story as it is.
    Kind(Kind),
    /// A committed leaf.
    Leaf {
        /// Which.
        index: u64,
        /// Digest of its bytes.
        leaf: [u8; 32],
        /// Merkle root over all leaves up to it.
        root: [u8; 32],
        /// What kind of act, for the story.
        act: String,
        /// Its proposal, if it took effect.
        effect: Option<[u8; 16]>,
        /// What the rules need to know of it, if it took effect.
        fact: Fact,
    },
    /// The program was told that its act is this leaf.
    Acknowledged {
        /// Which leaf.
        index: u64,
        /// Digest of the act.
        act: [u8; 32],
    },
    /// Where a measured thing stands: mailbox depth and the like.
    Gauge {
        /// What.
        name: String,
        /// How much.
        value: u64,
        /// The limit it must respect.
        limit: u64,
    },
    /// The ledger has this level, by a leaf that is told again by each process that reads it.
    Level(u16),
    /// Who holds the keys of the current epoch.
    Holders {
        /// Which epoch.
        epoch: u64,
        /// They.
        holders: Vec<String>,
    },
    /// Restarts that count against a supervisor's intensity.
    Restarts {
        /// Which supervisor.
        name: String,
        /// They.
        used: u64,
        /// And how many are allowed.
        intensity: u64,
    },
    /// Gear sends a mail to its end, or was promised that it is kept.
    Mail {
        /// To which node.
        to: String,
        /// Which mail.
        number: u64,
        /// It was answered 250.
        acknowledged: bool,
    },
    /// A participant sent an update.
    Update {
        /// For which round.
        round: u64,
        /// Training examples behind it.
        examples: u64,
        /// Where it moves the model to (`invariants::shadow`), times a billion; `None`: to no place.
        moves: Option<i64>,
        /// In a round of SCAFFOLD.
        variate: Option<Variate>,
    },
    /// A participant of a secure round revealed shares.
    Shares {
        /// Members of whom it revealed both.
        both: usize,
        /// The round, if it is a private one whose cost this node's ledger does not have.
        uncharged: Option<u64>,
    },
    /// What tenants have told by this node's ledger.
    Accounts {
        /// Its leaves.
        size: u64,
        /// By name and noise multiplier in thousandths: rounds of one node.
        told: Vec<(String, u32, u64)>,
    },
    /// The house's consumers have committed this Kafka offset: the next to read.
    Committed {
        /// It.
        offset: u64,
    },
    /// A sample goes onto the data space.
    Wrote {
        /// About which device.
        device: String,
        /// Which of its samples, from 1 in each life of the writer.
        number: u64,
    },
    /// A stranger wrote a sample of this node once more.
    WroteAgain {
        /// About which device.
        device: String,
        /// Which of its samples.
        number: u64,
    },
    /// A sample was taken from the data space.
    Read {
        /// Who wrote it.
        writer: String,
        /// In which of its lives.
        life: u64,
        /// About which device.
        device: String,
        /// Which of its samples.
        number: u64,
    },
    /// A broken invariant that only the process itself could see.
    Broken {
        /// Id.
        id: String,
        /// How.
        detail: String,
    },
}

/// What an act that took effect did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// Nothing that a rule asks for.
    Other,
    /// So many mails of a node are accounted for.
    Mails {
        /// At whose door.
        node: String,
        /// How many.
        count: u64,
    },
    /// Kafka records up to this offset are accounted for.
    Records {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A round was opened.
    Opened {
        /// Which.
        round: u64,
        /// Digest of the model that it starts from.
        model: [u8; 32],
        /// For these.
        cohort: Vec<String>,
    },
    /// What a private round tells of its participants was counted.
    Charged {
        /// Which round.
        round: u64,
        /// Whose updates are in it.
        participants: Vec<String>,
        /// Noise over clipping bound, in thousandths.
        noise_milli: u32,
    },
    /// A node said whose its data are, and what may be told of them.
    Declared {
        /// Which.
        node: String,
        /// Whose.
        tenant: Option<String>,
        /// ε, as the bits of its f64: facts are compared.
        epsilon: u64,
        /// δ, likewise.
        delta: u64,
    },
    /// A round made a model.
    Closed {
        /// Which round.
        round: u64,
        /// Digest of the model.
        model: [u8; 32],
        /// Who took part.
        participants: Vec<String>,
        /// Training examples behind it, it says.
        examples: u64,
        /// Models between the one that each update started from and the round's; `None`: it does not say.
        ages: Option<Vec<u32>>,
    },
    /// What was learned after some model was dropped.
    RolledBack,
    /// A node said that its control variate is lost.
    Reset {
        /// Which.
        node: String,
    },
    /// A key epoch began.
    Epoch(u64),
    /// A node is a member.
    Admitted(String),
    /// A node is none any more.
    Removed(String),
}

/// What a node's update does to its control variate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variate {
    /// It goes on from one to the next, if the update counts: their shadows, times a billion.
    Moves {
        /// Before.
        own: i64,
        /// After.
        next: i64,
    },
    /// There is none that it goes on from; it stays as it is.
    Stays,
}
