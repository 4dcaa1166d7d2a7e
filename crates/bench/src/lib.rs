//! Measurements of our parts beside a peer that does the same job, in the same run on the same
//! disk: `cargo xtask bench NAME`. Each prints a table and leaves `target/bench/NAME.json` and
//! `.svg`.
//!
//! | benchmark | ours | the peer |
//! |---|---|---|
//! | `ledger` | replicas as processes over encrypted links | etcd with as many members |
//! | `links` | calls and casts over encrypted links | plain `ractor_cluster`, guarded by a cookie |
//! | `mail` | the mailbox's door with its journal | Postfix, `smtp-sink`, aiosmtpd |
//! | `feed` | decoding of EBCDIC records | coboljsonifier |
//! | `dds` | round trips and throughput of the data space | Cyclone's `ddsperf` |
//! | `rounds` | federated rounds between processes, in clear and secure | Flower's simulation and deployment; their bytes alone |
//! | `rounds --scale` | secure aggregation of up to 1,000 machines in one process | the figures of Bonawitz et al. 2017 |
//! | `cluster` | commits after the leader's death; memory of an idle node | etcd |
//!
//! How it is kept fair:
//! - Ours and etcd are asked by the same client in the same words: etcd's `Put` by gRPC
//!   ([`grpc`]), which a replica process here understands too ([`service`]). So both pay for a
//!   connection per client, HTTP/2 and a hop between processes.
//! - Both write through to the disk before they acknowledge, with data directories side by side.
//! - Repetitions alternate (A B A B …); figures are medians over repetitions, shown with the
//!   least and the greatest, and ratios are taken between neighbours.
//! - Ours always encrypts between nodes; etcd is taken as it comes, without.
//!
//! `mail`, `feed` and `rounds` have peers of another kind; their reports say how they are measured.
//!
//! Each benchmark starts its peers and replicas by executing itself, so one binary is all it needs.

pub mod chart;
pub mod etcd;
pub mod feed;
pub mod group;
pub mod grpc;
pub mod lines;
pub mod links;
pub mod load;
pub mod mail;
pub mod memory;
pub mod ports;
pub mod replica_process;
pub mod report;
pub mod rounds;
pub mod samples;
pub mod scaffold;
pub mod service;
pub mod space;

/// What a benchmark fails with: a sentence.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
