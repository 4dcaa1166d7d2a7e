//! The entry for fuzzing: arbitrary bytes as a module.

use crate::{CallError, Function, MAX_MEMORY_BYTES, MAX_OUTPUT_BYTES};

/// Enough to reach every instruction of a small module, and nothing to wait for.
const FUEL: u64 = 50_000;

/// Something to look at.
const LETTER: &[u8] =
    br#"{"version":1,"device":"d","subject":"x","parts":[{"text":"Temperature: 21.5 C\n"}]}"#;

/// A module: refused, or callable; then the same input gives the same answer, whatever that is, within
/// every limit.
pub fn module(bytes: &[u8]) {
    let function = match Function::load(bytes) {
        Ok(function) => function,
        Err(refused) => {
            assert!(!refused.to_string().is_empty());
            return;
        }
    };
    for input in [LETTER, b""] {
        let called = function.call_within(input, FUEL);
        assert_eq!(called, function.call_within(input, FUEL));
        match called {
            Ok(answer) => {
                assert!(answer.output.len() <= MAX_OUTPUT_BYTES);
                assert!(answer.memory <= MAX_MEMORY_BYTES);
                assert!(answer.fuel <= FUEL);
            }
            Err(CallError::OutOfFuel { fuel }) => assert_eq!(fuel, FUEL),
            Err(failed) => assert!(!failed.to_string().is_empty()),
        }
    }
}
