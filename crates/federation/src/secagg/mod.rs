//! Secure aggregation: the aggregator learns the sum of the updates and none of them.
//!
//! K. Bonawitz et al., *Practical Secure Aggregation for Privacy-Preserving Machine Learning*, CCS
//! 2017, in the form against an active server, with the neighbourhoods of J. Bell et al., *Secure
//! Single-Server Aggregation with (Poly)Logarithmic Overhead*, CCS 2020, for large cohorts.
//!
//! ```text
//! participant i                                aggregator
//!   Advertise   two X25519 keys, signed  ────▶
//!               ◀──── Keys                     of i's neighbours
//!   Shares      of bᵢ and of the masking key, ─▶
//!               sealed for each holder
//!               ◀──── Inbox                    what the others dealt to i
//!   Masked      xᵢ + PRG(bᵢ) ± Σⱼ PRG(sᵢⱼ) ───▶ added up
//!               ◀──── Survivors                who is in the sum
//!   Consent     signature over that set  ─────▶
//!               ◀──── Unmask                   with at least t consents
//!   Reveal      shares of bⱼ of survivors, ───▶ Σ xᵢ
//!               of masking keys of the others
//! ```
//! [`Client`] is a participant's side of one round, [`Server`] the aggregator's. Neither has a clock
//! or a network; randomness comes as one seed. A message that breaks the protocol is refused with
//! its reason, and a client that has seen one takes no more part in the round: its secrets are
//! erased.
//!
//! Who deals shares does so among its neighbours and itself, its *holders*. Thresholds count
//! holders. In cohorts of up to [`params::LARGEST_COMPLETE`] all are neighbours of all.

mod client;
mod context;
mod error;
pub mod fixed;
pub mod graph;
mod keys;
mod lanes;
mod mask;
pub mod params;
mod server;
mod shares;
pub mod terms;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use context::{Context, ContextError, Member, SecureRound};
pub use error::{Fault, Refusal, Shortfall, SumError};
pub use fixed::{EncodeError, Value};
pub use params::Parameters;
pub use server::{Letters, Missing, Server, Stage};
pub use terms::{Charge, NoiseBy, Terms, Treatment};

/// Fewest participants of a secure round. The sum of two tells each of them the other's update.
pub const MIN_COHORT: usize = 3;
