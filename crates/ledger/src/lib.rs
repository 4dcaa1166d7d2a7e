//! The ledger's meaning: [`State`] is the fold of the log's records, and nothing else.
//!
//! Every committed act is a leaf, also one that breaks a rule. Such an act has no effect, and
//! every replica agrees on why ([`Applied`]). [`invariants`] says what always holds;
//! [`assign()`] decides which node does which work.

pub mod assign;
mod feeds;
mod functions;
mod ingest;
pub mod invariants;
mod members;
mod models;
mod privacy;
mod reader_keys;
mod rounds;
mod seen;
mod state;
pub mod watch;

pub use assign::{Wanted, assign};
pub use feeds::{FeedPosition, MAX_ADVANCES, MAX_FEED_PARTITIONS, MAX_SHARES};
pub use functions::{Function, MAX_FUNCTIONS};
pub use ingest::IngestTotal;
pub use members::{Invited, MAX_INVITATIONS, MAX_MEMBERS, MAX_REMOVED, Member, Removed};
pub use models::MAX_MODEL_REASON;
pub use privacy::{Declared, MAX_NOISES, MAX_TENANTS, PrivacyCost, Told};
pub use reader_keys::{MAX_READER_KEY_MS, MAX_READER_NAME};
pub use rounds::{EndedRound, MAX_HISTORY, OpenRound, RoundOutcome, Rounds, ScoringModel};
pub use seen::{SEEN_WINDOW, SEEN_WINDOW_SHARED};
pub use state::{Applied, Keys, MAX_OPEN_ALERTS, MAX_ROLES, State, Tally};
