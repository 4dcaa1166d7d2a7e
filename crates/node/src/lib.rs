//! Composition: configuration, the supervision tree (one file: [`tree`]), effects of the pure
//! machines, command line and status page. Nothing is decided here that a pure crate could decide.

pub mod config;
