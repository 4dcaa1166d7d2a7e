//! The aggregator alone (a table of situations), and with participants under a bad network.

mod alone;
mod together;
