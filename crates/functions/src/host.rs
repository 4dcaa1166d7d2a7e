//! The interpreter, set up so that a call depends on nothing but module and input.

use crate::error::CallError;
use crate::{MAX_DEPTH, MAX_MEMORY_BYTES, MAX_STACK_BYTES, MAX_TABLE_ELEMENTS};
use wasmi::errors::{ErrorKind, InstantiationError};
use wasmi::{
    CompilationMode, Config, EnforcedLimits, Engine, Error, Store, StoreLimits, StoreLimitsBuilder,
    TrapCode,
};
use wasmparser::{Validator, WasmFeatures};

/// An engine for one module: dropped with it, whatever it has cached.
pub(crate) fn engine() -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        // Translated once, when it is loaded. Lazily the first call would pay for it, in fuel.
        .compilation_mode(CompilationMode::Eager)
        .enforced_limits(EnforcedLimits::strict())
        .allow_start_fn(false)
        .ignore_custom_sections(true)
        .set_max_recursion_depth(MAX_DEPTH)
        .set_max_stack_height(MAX_STACK_BYTES)
        .set_max_cached_stacks(1)
        // What compilers emit for wasm32-unknown-unknown stays on, the rest of the proposals is off.
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false);
    Engine::new(&config)
}

/// Looks at all of a module before the interpreter looks at any of it. The interpreter validates, too, but
/// while it translates: it takes some things for granted that a broken module lacks, and panics (wasmi 2.0,
/// found by fuzzing: a code section that ends behind the module, a function that goes on behind its end).
pub(crate) fn validator() -> Validator {
    // What the engine takes; its SIMD is not compiled in.
    let off = WasmFeatures::SIMD | WasmFeatures::RELAXED_SIMD;
    Validator::new_with_features(WasmFeatures::WASM2.difference(off))
}

/// The bounded world of one call.
pub(crate) fn store(engine: &Engine, fuel: u64) -> Store<StoreLimits> {
    let limits = StoreLimitsBuilder::new()
        .memory_size(MAX_MEMORY_BYTES)
        .memories(1)
        .tables(1)
        .table_elements(MAX_TABLE_ELEMENTS)
        .instances(1)
        // A growth that is refused ends the call, with its reason. Told -1, an allocator would abort
        // and the reason be lost.
        .trap_on_grow_failure(true)
        .build();
    let mut store = Store::new(engine, limits);
    store.limiter(|limits| limits);
    store
        .set_fuel(fuel)
        .expect("the engine is configured to consume fuel");
    store
}

/// The interpreter's error as a reason. Its kinds are open, so what is not known is told in its words.
pub(crate) fn reason(error: &Error, fuel: u64) -> CallError {
    match (error.as_trap_code(), error.kind()) {
        (Some(TrapCode::OutOfFuel), _) => CallError::OutOfFuel { fuel },
        (Some(TrapCode::GrowthOperationLimited), _) => CallError::OutOfMemory,
        (Some(TrapCode::StackOverflow), _) => CallError::StackOverflow,
        (Some(TrapCode::OutOfSystemMemory), _) => CallError::OutOfMemory,
        (_, ErrorKind::Instantiation(InstantiationError::UnexpectedStartFn { .. })) => {
            CallError::Trap {
                problem: "it has a start function, which would run before there is a mail"
                    .to_owned(),
            }
        }
        (_, ErrorKind::Memory(_))
        | (_, ErrorKind::Instantiation(InstantiationError::FailedToInstantiateMemory(_))) => {
            CallError::OutOfMemory
        }
        _ => CallError::Trap {
            problem: error.to_string(),
        },
    }
}
