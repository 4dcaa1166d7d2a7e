use super::{Codec, EncodeError, decode};
use machine::mistakes::{self, Mistake};

/// What a participant's compressed updates have left out so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feedback {
    /// e; empty before the first round.
    left_out: Vec<f32>,
    /// Of a round that has not ended.
    next: Option<Vec<f32>>,
}

impl Feedback {
    /// Nothing left out.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes `update` with what was left out before.
    pub fn encode(
        &mut self,
        codec: Codec,
        update: &[f32],
        seed: u64,
    ) -> Result<Vec<u8>, EncodeError> {
        // Of another model: of no use to this one.
        if self.left_out.len() != update.len() {
            self.left_out = vec![0.0; update.len()];
        }
        let due: Vec<f32> = update
            .iter()
            .zip(&self.left_out)
            .map(|(update, left)| update + left)
            .collect();
        let bytes = codec.encode(&due, seed)?;
        let sent = decode(&bytes, due.len()).expect("a decoder reads what its own encoder wrote");
        self.next = Some(due.iter().zip(sent).map(|(due, sent)| due - sent).collect());
        Ok(bytes)
    }

    /// The round ended; `counted`: it was closed, and this update is in it. An update that is in no model has
    /// left nothing out.
    pub fn ended(&mut self, counted: bool) {
        if let Some(next) = self.next.take()
            && counted
        {
            self.left_out = match mistakes::on(Mistake::LeftOutForgotten) {
                true => Vec::new(),
                false => next,
            };
        }
    }
}
