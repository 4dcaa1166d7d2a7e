//! The data space: keyed topics of sealed samples, over DDS or in memory.
//!
//! [`DataSpace`] is the port. [`CycloneSpace`] is a DDS participant (Eclipse Cyclone DDS, RTPS over
//! UDP); [`MemorySpace`] keeps the same promises inside one process, for tests and simulation.
//! `tests/contract.rs` is the one suite that both pass.
//!
//! What a sample carries is opaque here ([`Sample::sealed`]); key, writer, sequence and epoch travel
//! in clear so that any DDS tool can route and count, and the sealer binds them as associated data.
//!
//! Promises of the port:
//! * samples of one key by one writer arrive in order;
//! * a late subscriber first gets the last [`Qos::retained`] samples of every key;
//! * a subscriber sees only the partitions it named (a room is a partition);
//! * nothing blocks an actor: publishing hands over to a bounded queue and refuses when it is full,
//!   which it becomes when live readers cannot be reached; a subscriber that does not read costs a
//!   bounded amount of memory, then loses the oldest samples of a key ([`Qos::backlog`]).

mod cyclone;
mod event;
mod lane;
mod memory;
mod partition;
mod qos;
mod rules;
mod sample;
mod sentence;
mod space;
mod subscription;
mod topic;

pub use cyclone::{Addresses, CycloneSpace, DomainConfig, JoinError, Security};
pub use event::{Counters, Promise, SpaceEvent};
pub use memory::{MemoryDomain, MemorySpace};
pub use qos::{Durability, Liveliness, Overflow, Ownership, Qos, Reliability, Representation};
pub use rules::{Policy, QosFault};
pub use sample::{Delivery, SEALED_MAX, Sample};
pub use space::{DataSpace, DrainError, PublishError, SpaceFuture, SubscribeError};
pub use subscription::Subscription;
pub use topic::Topic;
