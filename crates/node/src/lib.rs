//! Composition: configuration, the supervision tree (one file: [`tree`]), effects of the pure
//! machines, command line and status page. Nothing is decided here that a pure crate could decide.

pub mod accounts;
pub mod acts;
pub mod admin;
pub mod at_rest;
pub mod board;
pub mod budget;
pub mod build;
pub mod cli;
pub mod control;
pub mod desk;
pub mod effects;
pub mod exporter;
pub mod feed;
pub mod formats;
pub mod gateway;
pub mod hatch;
pub mod herald;
pub mod identity;
pub mod incarnation;
pub mod ingest;
pub mod join;
pub mod mailbox;
pub mod members;
pub mod models;
pub mod numbering;
pub mod postman;
pub mod probe;
pub mod quarantine;
pub mod remembered;
pub mod rooms;
pub mod space;
pub mod steward;
pub mod surroundings;
pub mod tail;
pub mod tree;
