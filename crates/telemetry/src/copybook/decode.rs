//! Executing a plan over a record's bytes.

use super::error::HexBytes;
use super::plan::{Arm, Choice, Part, Repeat, Run, Step, Table, When};
use super::row::{Cell, Item, Row};
use super::{Copybook, Decimal, Kind, RecordError, float, number};
use crate::ebcdic::CodePage;

pub(super) struct Decoder<'a> {
    copybook: &'a Copybook,
    page: CodePage,
    record: &'a [u8],
    row: &'a mut Row,
    /// By how many fields the occurrences that we are in lie behind the first ones: nothing, then for
    /// each table around, outermost first.
    shifts: Vec<usize>,
}

/// Decodes one record from the front of `bytes`; returns its length.
pub(super) fn decode(
    copybook: &Copybook,
    page: CodePage,
    bytes: &[u8],
    row: &mut Row,
) -> Result<usize, RecordError> {
    row.clear(copybook.fields.len());
    let mut decoder = Decoder {
        copybook,
        page,
        record: bytes,
        row,
        shifts: vec![],
    };
    decoder.parts(&copybook.plan, 0)
}

impl Decoder<'_> {
    /// Returns where the next part begins.
    fn parts(&mut self, parts: &[Part], mut at: usize) -> Result<usize, RecordError> {
        for part in parts {
            at = match part {
                Part::Run(run) => self.run(run, at)?,
                Part::Table(table) => self.table(table, at)?,
                Part::Choice(choice) => self.choice(choice, at)?,
            };
        }
        Ok(at)
    }

    fn shift(&self) -> usize {
        self.shifts.last().copied().unwrap_or(0)
    }

    fn run(&mut self, run: &Run, at: usize) -> Result<usize, RecordError> {
        let shift = self.shift();
        let Some(bytes) = self.record.get(at..at + run.len) else {
            return Err(self.truncated(run, at));
        };
        for step in &run.steps {
            let from = usize::from(step.offset);
            let bytes = &bytes[from..from + usize::from(step.len)];
            let slot = usize::from(step.slot) + shift;
            self.row.cells[slot] = match step.kind {
                Kind::Text => self.text(bytes),
                Kind::Number(shape) => match number::decode(shape, bytes) {
                    Ok(decimal) => Cell::Number(decimal),
                    Err(rule) => return Err(self.broken(slot, at + from, bytes, rule)),
                },
                Kind::Float(size) => Cell::Float(float::decode(size, bytes)),
            };
        }
        Ok(at + run.len)
    }

    fn text(&mut self, bytes: &[u8]) -> Cell {
        // A record has 32,760 bytes and a byte becomes at most three: far below 32 bits.
        let start = self.row.text.len() as u32;
        self.page.decode_into(bytes, &mut self.row.text);
        Cell::Text {
            start,
            end: self.row.text.len() as u32,
        }
    }

    fn table(&mut self, table: &Table, mut at: usize) -> Result<usize, RecordError> {
        let times = match table.repeat {
            Repeat::Fixed(times) => times,
            Repeat::Counted { slot, min, max } => {
                let held = self.row.number(slot).and_then(Decimal::to_integer);
                let times = held.and_then(|times| usize::try_from(times).ok());
                match times.filter(|times| (min..=max).contains(times)) {
                    Some(times) => times,
                    None => {
                        let field = &self.copybook.fields[slot];
                        let bytes = self.record.get(field.offset..field.offset + field.len);
                        return Err(self.broken(
                            slot,
                            field.offset,
                            bytes.unwrap_or_default(),
                            "the number of occurrences lies within the bounds of OCCURS",
                        ));
                    }
                }
            }
        };
        let outer = self.shift();
        for occurrence in 0..times {
            self.shifts.push(outer + occurrence * table.slots);
            let next = self.parts(&table.body, at);
            self.shifts.pop();
            at = next?;
        }
        Ok(at)
    }

    fn choice(&mut self, choice: &Choice, at: usize) -> Result<usize, RecordError> {
        if at + choice.len > self.record.len() {
            // Names the first field of the first alternative that is cut; or all that is missing.
            let first = choice.arms.first();
            first.map_or(Ok(at), |arm| self.parts(&arm.parts, at))?;
            let slot = choice.first_slot + self.shift();
            return Err(self.cut(slot, at, at + choice.len));
        }
        let ruled = |arm: &&Arm| arm.when.as_ref().is_some_and(|when| self.holds(when));
        if let Some(arm) = choice.arms.iter().find(ruled) {
            self.parts(&arm.parts, at)?;
            return Ok(at + choice.len);
        }
        let (mut first, mut fits) = (None, false);
        for arm in choice.arms.iter().filter(|arm| arm.when.is_none()) {
            let text = self.row.text.len();
            match self.parts(&arm.parts, at) {
                Ok(_) => fits = true,
                Err(error) => {
                    let from = arm.first_slot + self.shift();
                    self.row.cells[from..from + arm.slots].fill(Cell::Absent);
                    self.row.text.truncate(text);
                    first.get_or_insert(error);
                }
            }
        }
        match first {
            Some(error) if !fits => Err(error),
            None if !fits => {
                let bytes = &self.record[at..at + choice.len];
                let slot = choice.first_slot + self.shift();
                Err(self.broken(
                    slot,
                    at,
                    bytes,
                    "one of the configured rules chooses an alternative",
                ))
            }
            Some(_) | None => Ok(at + choice.len),
        }
    }

    fn holds(&self, when: &When) -> bool {
        let shift = match when.depth {
            0 => 0,
            depth => self.shifts.get(depth - 1).copied().unwrap_or(0),
        };
        self.row
            .get(when.slot + shift)
            .is_some_and(|item| match item {
                Item::Text(text) => when.values.iter().any(|value| value == text.trim()),
                Item::Number(_) | Item::Float(_) => {
                    let shown = item.to_string();
                    when.values.contains(&shown)
                }
            })
    }

    #[cold]
    fn broken(&self, slot: usize, offset: usize, bytes: &[u8], rule: &'static str) -> RecordError {
        RecordError::Field {
            field: self.copybook.fields[slot].path.clone(),
            offset,
            bytes: HexBytes(bytes.to_vec()),
            rule,
        }
    }

    #[cold]
    fn truncated(&self, run: &Run, at: usize) -> RecordError {
        let ends = |step: &&Step| {
            at + usize::from(step.offset) + usize::from(step.len) > self.record.len()
        };
        let found = run.steps.iter().find(ends);
        let slot = found.map(|step| usize::from(step.slot) + self.shift());
        let (slot, offset) = match (slot, found) {
            (Some(slot), Some(step)) => (slot, at + usize::from(step.offset)),
            // Only FILLER is cut.
            (None, _) | (_, None) => (self.filler_behind(run), self.record.len()),
        };
        self.cut(slot, offset, at + run.len)
    }

    /// A `FILLER` that the record does not hold in full.
    fn filler_behind(&self, run: &Run) -> usize {
        let last = run.steps.last();
        let after = last.map_or(0, |step| usize::from(step.slot) + self.shift() + 1);
        let fields = &self.copybook.fields;
        let cut =
            |field: &super::Field| field.filler && field.offset + field.len > self.record.len();
        let found = fields.iter().skip(after).position(cut);
        found.map_or(fields.len().saturating_sub(1), |index| after + index)
    }

    #[cold]
    fn cut(&self, slot: usize, offset: usize, needed: usize) -> RecordError {
        let fixed = self.copybook.is_fixed();
        RecordError::Truncated {
            record: self.copybook.name.clone(),
            needed: if fixed {
                self.copybook.record_len
            } else {
                needed
            },
            found: self.record.len(),
            field: self
                .copybook
                .fields
                .get(slot)
                .map(|field| field.path.clone())
                .unwrap_or_default(),
            offset,
        }
    }
}
