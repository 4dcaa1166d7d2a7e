//! What a participant carries from one round that its update is in to the next: numbers beside the model that
//! are wrong as soon as they belong to another round than the ledger has it.

use wire::Round;

/// Numbers as a round left them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dated {
    /// The round.
    pub round: Round,
    /// They.
    pub numbers: Vec<f32>,
}

/// The numbers that stand, and those that will if the round that they were made in counts.
///
/// Both are on the disk before the update is sent, so that a process that starts again need only hear from the
/// ledger how that round ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// After the last round that counted.
    pub kept: Option<Dated>,
    /// Of a round that has not ended.
    pub next: Option<Dated>,
}

impl Memory {
    /// What it will be if the round counts.
    pub fn propose(&mut self, round: Round, numbers: Vec<f32>) {
        self.next = Some(Dated { round, numbers });
    }

    /// The round ended; `counted`: it was closed, and this participant's update is in it. Other rounds' ends are
    /// told again after a start and change nothing.
    pub fn ended(&mut self, round: Round, counted: bool) {
        if let Some(next) = self.next.take_if(|next| next.round == round)
            && counted
        {
            self.kept = Some(next);
        }
    }

    /// Whether an update of this round may be on its way that goes with what is kept for it.
    pub fn is_pending(&self, round: Round) -> bool {
        self.next.as_ref().is_some_and(|next| next.round == round)
    }

    /// The numbers as this round left them, if they are so many.
    pub fn of(&self, round: Round, length: usize) -> Option<&[f32]> {
        let kept = self.kept.as_ref();
        kept.filter(|kept| kept.round == round && kept.numbers.len() == length)
            .map(|kept| kept.numbers.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_in_a_round_stands_once_the_round_counts() {
        let mut memory = Memory::default();
        memory.propose(Round(1), vec![1.0]);
        memory.ended(Round(1), false);
        assert_eq!(memory, Memory::default());
        memory.propose(Round(2), vec![2.0]);
        memory.ended(Round(1), true);
        assert_eq!(memory.of(Round(2), 1), None);
        assert!(memory.is_pending(Round(2)) && !memory.is_pending(Round(1)));
        memory.ended(Round(2), true);
        assert_eq!(memory.of(Round(2), 1), Some(&[2.0][..]));
        assert_eq!(memory.of(Round(1), 1), None);
        assert_eq!(memory.of(Round(2), 2), None, "of another model");
        // Started again between the update and the end of its round, and told the whole ledger.
        memory.propose(Round(4), vec![4.0]);
        for (round, counted) in [(1, false), (2, true), (3, false), (4, true)] {
            memory.ended(Round(round), counted);
        }
        assert_eq!(memory.of(Round(4), 1), Some(&[4.0][..]));
    }
}
