//! A cluster of processes on this machine: made, started, watched, hurt, healed, stopped. Used by
//! `glasshouse cluster`, by the demo, and by tests of several nodes.
//!
//! Everything about a cluster is in its folder; `cluster.json` there tells the next command what
//! runs. Nodes are asked over their control sockets.
//!
//! ```text
//! DIR/cluster.json       nodes, processes, network, split
//! DIR/node-1.toml        configuration        DIR/node-1.identity   its key
//! DIR/node-1/            data                 DIR/logs/node-1.log   output
//! ```

pub mod control;
pub mod files;
pub mod groups;
pub mod identity;
pub mod logs;
pub mod namespaces;
pub mod pki;
pub mod ports;
pub mod process;
pub mod state;
pub mod view;

mod cluster;
mod create;
mod cut;
mod filter;
mod grow;
mod lag;
mod rows;
mod site;
mod tool;
mod watch;

pub use cluster::{ClusterError, LocalCluster, NetworkChoice, NodeFiles, Options};
pub use lag::{Lag, Lagging};
pub use rows::{Row, table};
pub use site::{DOMAIN, MAX_NODES};
pub use state::Network;
pub use view::{Agreement, NodeState, NodeView};
