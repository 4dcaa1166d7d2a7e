//! From bytes to a function that can be called.

use crate::error::LoadError;
use crate::{FUEL, MAX_MODULE_BYTES, call, host};
use std::fmt;

use wasmi::{Engine, ExternType, FuncType, Module, ValType};

/// A module that has the interface, translated and ready.
pub struct Function {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function(..)")
    }
}

impl Function {
    /// Checks a module (the binary format), translates it, and brings an instance to life once, so
    /// that whatever can be wrong before a mail is there is known before one is.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(module: &[u8]) -> Result<Self, LoadError> {
        if module.len() > MAX_MODULE_BYTES {
            return Err(LoadError::TooLarge {
                bytes: module.len(),
            });
        }
        let invalid = |problem: String| LoadError::Invalid { problem };
        host::validator()
            .validate_all(module)
            .map_err(|error| invalid(error.to_string()))?;
        let engine = host::engine();
        let module = Module::new(&engine, module).map_err(|error| invalid(error.to_string()))?;
        if let Some(import) = module.imports().next() {
            return Err(LoadError::Import {
                module: import.module().to_owned(),
                name: import.name().to_owned(),
            });
        }
        interface(&module)?;
        let function = Self { engine, module };
        call::Instance::start(&function, FUEL).map_err(|problem| LoadError::Start { problem })?;
        Ok(function)
    }
}

fn interface(module: &Module) -> Result<(), LoadError> {
    const POINTER: ValType = ValType::I32;
    let function = |name, parameters: &[ValType], result| {
        let wanted = FuncType::new(parameters.iter().copied(), [result]);
        matches!(module.get_export(name), Some(ExternType::Func(found)) if found == wanted)
    };
    let memory = matches!(module.get_export(call::MEMORY), Some(ExternType::Memory(_)));
    let parts = [
        (memory, "its `memory`"),
        (
            function(call::ALLOC, &[POINTER], POINTER),
            "`alloc(len: i32) -> i32`",
        ),
        (
            function(call::DECODE, &[POINTER, POINTER], ValType::I64),
            "`decode(ptr: i32, len: i32) -> i64`",
        ),
    ];
    match parts.into_iter().find(|(there, _)| !there) {
        Some((_, wanted)) => Err(LoadError::Export { wanted }),
        None => Ok(()),
    }
}
