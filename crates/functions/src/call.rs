//! One call: a new instance, the input put into its memory, the output taken from it.

use crate::error::CallError;
use crate::{FUEL, Function, MAX_INPUT_BYTES, MAX_OUTPUT_BYTES, host};
use wasmi::{Linker, Memory, Store, StoreLimits, TypedFunc};

pub(crate) const MEMORY: &str = "memory";
pub(crate) const ALLOC: &str = "alloc";
pub(crate) const DECODE: &str = "decode";

/// What a call gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The output, possibly empty.
    pub output: Vec<u8>,
    /// What it used of its fuel.
    pub fuel: u64,
    /// Bytes of linear memory at the end.
    pub memory: usize,
}

impl Function {
    /// Calls it. The same input gives the same answer, fuel included, or the same error.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(&self, input: &[u8]) -> Result<Answer, CallError> {
        self.call_within(input, FUEL)
    }

    /// As [`call`](Self::call), with less or more fuel.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call_within(&self, input: &[u8], fuel: u64) -> Result<Answer, CallError> {
        if input.len() > MAX_INPUT_BYTES {
            return Err(CallError::InputTooLarge { bytes: input.len() });
        }
        let mut instance = Instance::start(self, fuel)?;
        let pointer = instance.put(input)?;
        instance.decode(pointer, input.len())
    }
}

/// A module come to life, for one call.
pub(crate) struct Instance {
    store: Store<StoreLimits>,
    fuel: u64,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    decode: TypedFunc<(u32, u32), u64>,
}

impl Instance {
    pub(crate) fn start(function: &Function, fuel: u64) -> Result<Self, CallError> {
        let mut store = host::store(&function.engine, fuel);
        // Nothing is defined in it: what a module imports was asked when it was loaded.
        let instance = Linker::new(&function.engine)
            .instantiate_and_start(&mut store, &function.module)
            .map_err(|error| host::reason(&error, fuel))?;
        let reason = |error: wasmi::Error| host::reason(&error, fuel);
        Ok(Self {
            memory: instance
                .get_memory(&store, MEMORY)
                .expect("the interface was checked when the module was loaded"),
            alloc: instance.get_typed_func(&store, ALLOC).map_err(reason)?,
            decode: instance.get_typed_func(&store, DECODE).map_err(reason)?,
            store,
            fuel,
        })
    }

    fn put(&mut self, input: &[u8]) -> Result<u32, CallError> {
        let length = u32::try_from(input.len())
            .expect("an input is bounded far below what 32 bits can count");
        let pointer = self
            .alloc
            .call(&mut self.store, length)
            .map_err(|error| host::reason(&error, self.fuel))?;
        let memory = self.memory.data_mut(&mut self.store);
        let size = memory.len();
        let room = usize::try_from(pointer)
            .ok()
            .and_then(|start| memory.get_mut(start..start.checked_add(input.len())?));
        match room {
            Some(room) => room.copy_from_slice(input),
            None => {
                return Err(CallError::InputOutside {
                    pointer,
                    length: input.len(),
                    memory: size,
                });
            }
        }
        Ok(pointer)
    }

    fn decode(mut self, pointer: u32, length: usize) -> Result<Answer, CallError> {
        let length = u32::try_from(length).expect("checked when the input was put");
        let packed = self
            .decode
            .call(&mut self.store, (pointer, length))
            .map_err(|error| host::reason(&error, self.fuel))?;
        let [pointer, length] = [packed >> 32, packed].map(|half| half as u32);
        let memory = self.memory.data(&self.store);
        let outside = CallError::OutputOutside {
            pointer,
            length,
            memory: memory.len(),
        };
        if length as usize > MAX_OUTPUT_BYTES {
            return Err(CallError::OutputTooLarge { bytes: length });
        }
        let start = pointer as usize;
        let output = start
            .checked_add(length as usize)
            .and_then(|end| memory.get(start..end))
            .ok_or(outside)?
            .to_vec();
        let left = self
            .store
            .get_fuel()
            .map_err(|error| host::reason(&error, self.fuel))?;
        Ok(Answer {
            output,
            fuel: self.fuel - left,
            memory: memory.len(),
        })
    }
}
