//! Everything that crosses a process border or rests on a disk: ids, frames between nodes,
//! ledger acts, reports on the data space, the status page. The only crate with serde derives
//! for those; every encoding is versioned by its first byte and pinned by fixtures.

pub mod act;
mod bulk;
pub mod codec;
pub mod control;
pub mod frame;
pub mod id;
pub mod level;
pub mod link;
pub mod mail;
pub mod membership;
pub mod payload;
pub mod quarantine;
pub mod report;
pub mod secure;
pub mod status;
pub mod xcdr;

pub use act::{
    Act, Alert, AlertKind, FeedAdvance, FeedShare, GroupCommitKind, MAX_AGE, Record, Role,
    Severity, Source,
};
pub use codec::{DecodeError, decode, encode};
pub use frame::{Call, Frame, Reply};
pub use id::{
    DeviceId, Digest, KeyEpoch, MAX_TENANT_NAME, NodeId, ProposalId, RoomId, Round, UnixMicros,
    UnixMillis, is_tenant_name,
};
pub use level::Level;
pub use link::{
    Batch, Capability, Cast, Certificate, CertificateBody, EncodedFrame, Hello, Request,
};
pub use mail::{KnownDevice, Proof, StoredMail};
pub use membership::{
    Admission, Application, Greeting, Introduction, Invitation, MemberEntry, Purpose, Removal,
    StoreId, Welcome,
};
pub use quarantine::Quarantined;
pub use report::{DeviceEvent, Origin, Reading, Report};
pub use secure::{SecureMessage, SecureStep};
