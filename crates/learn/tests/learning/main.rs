//! Learning as a whole, from rows to scores. One binary, since each links libtorch.

mod model;
mod smd;
mod support;
