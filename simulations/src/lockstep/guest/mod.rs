//! What runs inside a simulated process, below the program.
//!
//! | module | stands in for |
//! |---|---|
//! | [`core`] | the scheduler: runs until nothing is left to do, then waits for the controller |
//! | [`clock`], [`entropy`] | `clock_gettime`, `getrandom` |
//! | [`net`] | sockets |
//! | [`disk`] | files, and what a power loss leaves of them |
//! | [`stock`] | the loader: processes are forks of one that is loaded |
//!
//! Nothing here replaces a function of the C library: the binary's overrides do, and call this. A
//! program that is linked without them (every test of this library) is not simulated.

pub mod clock;
pub mod core;
pub mod descriptors;
pub mod disk;
pub mod entropy;
pub mod net;
pub mod raw;
pub mod stock;

pub use core::{boot, see, wish};
