//! User-level differential privacy: what a model tells about any one participant is bounded, whatever
//! its update was.
//!
//! * [`grid`]: an update is clipped in L2 norm and rounded towards zero to integers, so that its norm is
//!   bounded exactly and not up to rounding (the attack of Mironov, CCS 2012, needs floats).
//! * [`noise`]: discrete Gaussian noise by an exact sampler (Canonne, Kamath, Steinke, NeurIPS 2020).
//!   [`Mechanism::central`]: the aggregator adds it to the sum; [`Mechanism::share`]: every participant adds
//!   its part before secure aggregation (Kairouz, Liu, Steinke, ICML 2021).
//! * [`clipping`]: the bound follows a quantile of the norms (Andrew, Thakkar, Ramaswamy, McMahan,
//!   NeurIPS 2021).
//! * [`accountant`]: Rényi differential privacy of the subsampled Gaussian mechanism (Mironov, Talwar, Zhang
//!   2019) and its conversion to (ε, δ).
//! * [`budget`]: what each participant has spent by the ledger, and whether another round may be.
//!
//! # What is promised
//! Two runs are neighbours if one participant's updates are all zero in one of them (zero-out adjacency:
//! Kairouz et al. 2021, *Practical and Private (Deep) Learning without Sampling or Shuffling*). Then a
//! clipped sum has sensitivity C and the number of participants need not be hid. A participant is a node with all
//! that its rooms report.
//!
//! Cohorts stand on the ledger for everyone to read, so no privacy is gained from nobody knowing who took
//! part: rounds are accounted for at sampling rate 1, for those participants whose updates are in them. The
//! accountant knows other rates for houses that keep cohorts secret.
//!
//! Examples and losses of a private round are not told either: the ledger reads one example a participant,
//! and a loss of 0.

pub mod accountant;
pub mod budget;
pub mod clipping;
pub mod grid;
mod mechanism;
pub mod noise;
mod tail;

pub use mechanism::{Mechanism, Unusable};
