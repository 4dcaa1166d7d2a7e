use super::{Codec, EncodeError, decode};
use crate::memory::Memory;
use machine::mistakes::{self, Mistake};
use wire::Round;

/// What a participant's compressed updates have left out so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feedback {
    /// e; nothing before the first round.
    memory: Memory,
}

impl Feedback {
    /// Nothing left out.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a former process has left out.
    pub fn of(memory: Memory) -> Self {
        Self { memory }
    }

    /// To be kept for the next process, before an update goes out.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Encodes the `update` of a round with what was left out before.
    pub fn encode(
        &mut self,
        codec: Codec,
        update: &[f32],
        round: Round,
        seed: u64,
    ) -> Result<Vec<u8>, EncodeError> {
        // What was left out of another model is of no use to this one.
        let left_out = self.memory.kept.as_ref().map(|kept| &kept.numbers);
        let due: Vec<f32> = match left_out.filter(|left_out| left_out.len() == update.len()) {
            None => update.to_vec(),
            Some(left_out) => update
                .iter()
                .zip(left_out)
                .map(|(update, left)| update + left)
                .collect(),
        };
        let bytes = codec.encode(&due, seed)?;
        let sent = decode(&bytes, due.len()).expect("a decoder reads what its own encoder wrote");
        let next = due.iter().zip(sent).map(|(due, sent)| due - sent).collect();
        self.memory.propose(round, next);
        Ok(bytes)
    }

    /// The round ended; `counted`: it was closed, and this update is in it. An update that is in no model has
    /// left nothing out.
    pub fn ended(&mut self, round: Round, counted: bool) {
        self.memory.ended(round, counted);
        if counted && mistakes::on(Mistake::LeftOutForgotten) {
            self.memory.kept = None;
        }
    }
}
