//! What can be wrong with a function. Sentences go on from "the function NAME".

use crate::{MAX_INPUT_BYTES, MAX_MEMORY_BYTES, MAX_MODULE_BYTES, MAX_OUTPUT_BYTES};

/// Why a module is no function of ours.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoadError {
    /// Over the limit.
    #[error(
        "has {bytes} bytes, over the limit of {MAX_MODULE_BYTES}; strip it and build it for size (`opt-level = \"s\"`, `lto = true`)"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not WebAssembly, or more of it than is accepted.
    #[error("is no WebAssembly module that can be run: {problem}")]
    Invalid {
        /// What the validator says.
        problem: String,
    },
    /// It wants something from outside.
    #[error(
        "imports `{module}.{name}`, and nothing can be imported; build it for wasm32-unknown-unknown, not for WASI"
    )]
    Import {
        /// Module of the import.
        module: String,
        /// Its name.
        name: String,
    },
    /// A part of the interface is missing.
    #[error("does not export {wanted}; docs/formats.md has the interface")]
    Export {
        /// What it should export.
        wanted: &'static str,
    },
    /// It does not come to life.
    #[error("cannot be started: {problem}")]
    Start {
        /// Why.
        problem: CallError,
    },
}

/// Why a call gave no output.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// Too much to hand over.
    #[error("is not asked about more than {MAX_INPUT_BYTES} bytes, and this is {bytes}")]
    InputTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It worked for too long.
    #[error("used up its fuel of {fuel} instructions")]
    OutOfFuel {
        /// What it was given.
        fuel: u64,
    },
    /// It asked for too much memory.
    #[error("asked for more than {MAX_MEMORY_BYTES} bytes of memory")]
    OutOfMemory,
    /// Endless recursion, mostly.
    #[error("nests its calls too deeply")]
    StackOverflow,
    /// It stopped itself, or did something impossible.
    #[error("ended in a trap: {problem}")]
    Trap {
        /// In the interpreter's words.
        problem: String,
    },
    /// `alloc` gave room that is not there.
    #[error("gave {length} bytes at {pointer} for its input, and its memory has {memory}")]
    InputOutside {
        /// Where.
        pointer: u32,
        /// How much was asked for.
        length: usize,
        /// Size of its memory.
        memory: usize,
    },
    /// `decode` pointed at nothing.
    #[error("says that its output is {length} bytes at {pointer}, and its memory has {memory}")]
    OutputOutside {
        /// Where.
        pointer: u32,
        /// How long.
        length: u32,
        /// Size of its memory.
        memory: usize,
    },
    /// Over the limit.
    #[error("gave {bytes} bytes of output, over the limit of {MAX_OUTPUT_BYTES}")]
    OutputTooLarge {
        /// How many.
        bytes: u32,
    },
}
