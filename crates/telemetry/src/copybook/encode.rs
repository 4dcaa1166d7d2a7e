//! Values → a record's bytes: the same plan the other way.

use super::plan::{Arm, Choice, Part, Repeat, Run, Step, Table};
use super::{Copybook, FieldError, Kind, Value, float, number};
use crate::ebcdic::CodePage;

struct Encoder<'a> {
    copybook: &'a Copybook,
    page: CodePage,
    /// One per field; `FILLER` has none.
    values: Vec<&'a Value>,
    record: Vec<u8>,
    shift: usize,
}

pub(super) fn encode(
    copybook: &Copybook,
    page: CodePage,
    values: &[Value],
) -> Result<Vec<u8>, FieldError> {
    const RULE: &str = "there is one value for each field that is not FILLER";
    let mut given = values.iter();
    let mut slots = Vec::with_capacity(copybook.fields.len());
    for field in &copybook.fields {
        slots.push(match field.filler {
            true => &Value::Absent,
            false => given.next().ok_or_else(|| FieldError {
                field: field.path.clone(),
                value: "nothing".to_owned(),
                rule: RULE,
            })?,
        });
    }
    if let Some(extra) = given.next() {
        return Err(FieldError {
            field: copybook.name.clone(),
            value: extra.to_string(),
            rule: RULE,
        });
    }
    let mut encoder = Encoder {
        copybook,
        page,
        values: slots,
        record: Vec::new(),
        shift: 0,
    };
    encoder.parts(&copybook.plan)?;
    Ok(encoder.record)
}

impl Encoder<'_> {
    fn parts(&mut self, parts: &[Part]) -> Result<(), FieldError> {
        for part in parts {
            match part {
                Part::Run(run) => self.run(run)?,
                Part::Table(table) => self.table(table)?,
                Part::Choice(choice) => self.choice(choice)?,
            }
        }
        Ok(())
    }

    fn run(&mut self, run: &Run) -> Result<(), FieldError> {
        let begin = self.record.len();
        self.record.resize(begin + run.len, self.page.blank());
        run.steps
            .iter()
            .try_for_each(|step| self.field(step, begin))
    }

    fn table(&mut self, table: &Table) -> Result<(), FieldError> {
        let times = match table.repeat {
            Repeat::Fixed(times) => times,
            Repeat::Counted { slot, min, max } => {
                let value = self.values[slot];
                let held = value.number().and_then(|number| number.to_integer());
                let times = held.and_then(|times| usize::try_from(times).ok());
                times
                    .filter(|times| (min..=max).contains(times))
                    .ok_or_else(|| FieldError {
                        field: self.copybook.fields[slot].path.clone(),
                        value: value.to_string(),
                        rule: "the number of occurrences lies within the bounds of OCCURS",
                    })?
            }
        };
        let outer = self.shift;
        for occurrence in 0..times {
            self.shift = outer + occurrence * table.slots;
            self.parts(&table.body)?;
        }
        self.shift = outer;
        Ok(())
    }

    /// Writes the first alternative whose values are all there; they are views of the same bytes.
    fn choice(&mut self, choice: &Choice) -> Result<(), FieldError> {
        let begin = self.record.len();
        let whole = |arm: &&Arm| {
            let slots = arm.first_slot + self.shift..arm.first_slot + self.shift + arm.slots;
            let mut named = slots
                .filter(|slot| !self.copybook.fields[*slot].filler)
                .peekable();
            named.peek().is_some() && named.all(|slot| *self.values[slot] != Value::Absent)
        };
        let Some(arm) = choice.arms.iter().find(whole) else {
            return Err(FieldError {
                field: self.copybook.fields[choice.first_slot + self.shift]
                    .path
                    .clone(),
                value: "nothing".to_owned(),
                rule: "one of the alternatives has all its values",
            });
        };
        self.parts(&arm.parts)?;
        self.record.resize(begin + choice.len, self.page.blank());
        Ok(())
    }

    fn field(&mut self, step: &Step, begin: usize) -> Result<(), FieldError> {
        let slot = usize::from(step.slot) + self.shift;
        let value = self.values[slot];
        let from = begin + usize::from(step.offset);
        let out = &mut self.record[from..from + usize::from(step.len)];
        write(step, self.page, value, out).map_err(|rule| FieldError {
            field: self.copybook.fields[slot].path.clone(),
            value: value.to_string(),
            rule,
        })
    }
}

fn write(step: &Step, page: CodePage, value: &Value, out: &mut [u8]) -> Result<(), &'static str> {
    match (step.kind, value) {
        (Kind::Text, Value::Text(text)) => {
            let bytes = page
                .encode(text)
                .map_err(|_| "a character is not in the code page")?;
            let Some(spare) = out.len().checked_sub(bytes.len()) else {
                return Err("the text is longer than the field");
            };
            let from = if step.justified { spare } else { 0 };
            out[from..from + bytes.len()].copy_from_slice(&bytes);
            Ok(())
        }
        (Kind::Number(shape), Value::Number(decimal)) => number::encode(shape, *decimal, out),
        (Kind::Float(size), Value::Float(number)) => float::encode(size, *number, out),
        (Kind::Float(size), Value::Number(decimal)) => float::encode(size, decimal.to_f64(), out),
        (Kind::Text, Value::Number(_) | Value::Float(_)) => Err("the field holds text"),
        (Kind::Number(_) | Kind::Float(_), Value::Text(_)) => Err("the field holds a number"),
        (Kind::Number(_), Value::Float(_)) => Err("the field holds an exact number"),
        (Kind::Text | Kind::Number(_) | Kind::Float(_), Value::Absent) => {
            Err("the field is part of the record")
        }
    }
}
