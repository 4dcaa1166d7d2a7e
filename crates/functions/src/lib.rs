//! Functions: foreign code that reads what no pattern can describe, as WebAssembly in a sandbox. Pure:
//! bytes in, bytes out, the same ones every time.
//!
//! A module exports its `memory`, `alloc(len) -> ptr`, where the input is put, and `decode(ptr, len)`,
//! which gives back where the output lies: the pointer in the upper half of an `i64`, the length in the
//! lower one. It imports nothing, so there is no clock, no entropy, no file and no socket to reach, and
//! each call has an instance of its own, so that nothing is left over from one mail for the next. What
//! the bytes mean is not known here.
//!
//! It is interpreted (docs/decisions/0018). Whoever wants compiled code puts another host behind
//! [`Function`]'s two calls.

mod call;
mod error;
pub mod harness;
mod host;
mod load;

pub use call::Answer;
pub use error::{CallError, LoadError};
pub use load::Function;

/// Largest module: a parser in Rust with a JSON library has some hundred KiB.
pub const MAX_MODULE_BYTES: usize = 1 << 20;
/// Linear memory of one call. Rust's and C's allocators start with one or two MiB; the input has two
/// at most and is copied a few times while it is looked at.
pub const MAX_MEMORY_BYTES: usize = 16 << 20;
/// Largest input: a mail with its attachments, of which decoders read some KiB.
pub const MAX_INPUT_BYTES: usize = 2 << 20;
/// Largest output: two thousand rows of a few numbers.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// Fuel of one call, about one for each instruction: a third of a second of the interpreter, and enough
/// to look at every byte of the largest input dozens of times.
pub const FUEL: u64 = 100_000_000;
/// Elements of its table, which is one for each function whose address is taken.
const MAX_TABLE_ELEMENTS: usize = 20_000;
/// Depth of its calls; ours is not used by them.
const MAX_DEPTH: usize = 1_000;
/// Its values and locals, in bytes, beside the linear memory.
const MAX_STACK_BYTES: usize = 1 << 20;
