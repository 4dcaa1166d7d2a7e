//! The compiled form of a copybook: what to do with a record's bytes, in order.

use super::Kind;

/// Part after part, each beginning where the one before it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// Fields at fixed distances.
    Run(Run),
    /// A table whose number of occurrences, or whose elements' layout, the record decides.
    Table(Table),
    /// Alternatives for the same bytes.
    Choice(Choice),
}

/// Fields at fixed distances from the run's beginning.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Run {
    pub(super) steps: Vec<Step>,
    pub(super) len: usize,
}

/// One field. Offsets and lengths are below [`super::MAX_RECORD`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) offset: u16,
    pub(super) len: u16,
    /// Index of the field (of its first occurrence, within a [`Table`]).
    pub(super) slot: u16,
    pub(super) kind: Kind,
    pub(super) justified: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Table {
    pub(super) body: Vec<Part>,
    /// Fields of one occurrence, `FILLER` included.
    pub(super) slots: usize,
    pub(super) first_slot: usize,
    pub(super) repeat: Repeat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeat {
    Fixed(usize),
    /// Held by the field of this slot.
    Counted {
        slot: usize,
        min: usize,
        max: usize,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Choice {
    pub(super) arms: Vec<Arm>,
    /// Of the longest alternative.
    pub(super) len: usize,
    pub(super) first_slot: usize,
    pub(super) slots: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Arm {
    pub(super) name: Option<String>,
    pub(super) parts: Vec<Part>,
    pub(super) first_slot: usize,
    pub(super) slots: usize,
    /// When it is the one.
    pub(super) when: Option<When>,
}

/// A configured rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct When {
    pub(super) slot: usize,
    /// How many tables the deciding field stands in, counted from outside.
    pub(super) depth: usize,
    pub(super) values: Vec<String>,
}

/// Parts under construction: neighbouring runs become one.
#[derive(Default)]
pub(super) struct Parts(pub(super) Vec<Part>);

impl Parts {
    fn run(&mut self) -> &mut Run {
        if !matches!(self.0.last(), Some(Part::Run(_))) {
            self.0.push(Part::Run(Run::default()));
        }
        match self.0.last_mut() {
            Some(Part::Run(run)) => run,
            Some(Part::Table(_) | Part::Choice(_)) | None => {
                unreachable!("a run was pushed above")
            }
        }
    }

    pub(super) fn skip(&mut self, len: usize) {
        if len > 0 {
            self.run().len += len;
        }
    }

    /// `offset` of the step is set here.
    pub(super) fn step(&mut self, step: Step) {
        let run = self.run();
        // Below MAX_RECORD.
        run.steps.push(Step {
            offset: run.len as u16,
            ..step
        });
        run.len += usize::from(step.len);
    }

    pub(super) fn append(&mut self, parts: Vec<Part>) {
        for part in parts {
            match part {
                Part::Run(run) => {
                    let into = self.run();
                    let base = into.len as u16;
                    let moved = run.steps.into_iter().map(|step| Step {
                        offset: base + step.offset,
                        ..step
                    });
                    into.steps.extend(moved);
                    into.len += run.len;
                }
                other @ (Part::Table(_) | Part::Choice(_)) => self.0.push(other),
            }
        }
    }

    /// Nothing but fields at fixed distances.
    pub(super) fn is_plain(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Run(_)))
    }
}
