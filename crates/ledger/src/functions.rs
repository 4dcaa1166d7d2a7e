//! Functions and the version of each that is to be run.

use crate::state::{Outcome, State, refuse};
use wire::Digest;

/// Most functions.
pub const MAX_FUNCTIONS: usize = 1024;

/// A function in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Counts from 1.
    pub version: u64,
    /// SHA-256 of its module.
    pub module: Digest,
    /// Leaf that deployed it.
    pub since: u64,
}

impl State {
    pub(crate) fn function_deployed(
        &mut self,
        index: u64,
        name: &str,
        version: u64,
        module: Digest,
    ) -> Outcome {
        let known = self.functions.get(name).map(|known| known.version);
        let next = known.unwrap_or(0) + 1;
        if version != next {
            return refuse(format!(
                "the next version of function {name} is {next}, not {version}"
            ));
        }
        if known.is_none() && self.functions.len() == MAX_FUNCTIONS {
            return refuse(format!(
                "there are {MAX_FUNCTIONS} functions, which is the limit"
            ));
        }
        let function = Function {
            version,
            module,
            since: index,
        };
        self.functions.insert(name.to_owned(), function);
        Ok(())
    }
}
