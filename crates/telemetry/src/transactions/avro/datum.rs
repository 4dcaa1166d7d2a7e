//! Avro's binary encoding (Apache Avro 1.12 specification, "Binary Encoding").

use super::plan::{Index, Plan, Type};
use super::{DatumError, DatumProblem};
use crate::copybook::Decimal;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// How deep values lie in each other; a schema that holds itself would let the bytes choose.
pub(super) const MAX_DEPTH: usize = 64;
/// Values in one Kafka value. Some take no byte (nulls, empty records), so their number is not bounded by the
/// length.
pub(super) const MAX_VALUES: usize = 1 << 16;

/// Milliseconds from here on are told from seconds by [`moment`](crate::moment).
const PLAIN_MILLIS: u64 = 100_000_000_000;
const DAY_MS: i64 = 86_400_000;

pub(super) fn read(plan: &Plan, datum: &[u8], zone_minutes: i32) -> Result<Value, DatumError> {
    let mut reader = Reader {
        plan,
        left: datum,
        values: 0,
        zone_ms: i64::from(zone_minutes) * 60_000,
    };
    let read = reader.value(plan.root, 0);
    let read = read.and_then(|value| match reader.left {
        [] => Ok(value),
        _ => Err(DatumProblem::Left),
    });
    read.map_err(|problem| DatumError {
        at: datum.len() - reader.left.len(),
        problem,
    })
}

struct Reader<'a> {
    plan: &'a Plan,
    left: &'a [u8],
    values: usize,
    zone_ms: i64,
}

impl<'a> Reader<'a> {
    fn value(&mut self, index: Index, depth: usize) -> Result<Value, DatumProblem> {
        if depth == MAX_DEPTH {
            return Err(DatumProblem::Deep);
        }
        if self.values == MAX_VALUES {
            return Err(DatumProblem::Many);
        }
        self.values += 1;
        let plan = self.plan;
        Ok(match plan.get(index) {
            Type::Null => Value::Null,
            Type::Boolean => match self.take(1)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return Err(DatumProblem::Boolean),
            },
            Type::Int => Value::from(self.int()?),
            Type::Long => Value::from(self.long()?),
            Type::Float => {
                let float = f32::from_le_bytes(self.array()?);
                // The shortest digits that mean it, as for doubles; none where it is no number.
                float.to_string().parse::<f64>().map_or(Value::Null, number)
            }
            Type::Double => number(f64::from_le_bytes(self.array()?)),
            Type::Bytes => hex(self.sized()?),
            Type::Fixed(size) => hex(self.take(*size)?),
            Type::Text => Value::String(self.text()?),
            Type::Enum(symbols) => {
                let symbol = usize::try_from(self.int()?).ok();
                let symbol = symbol.and_then(|symbol| symbols.get(symbol));
                Value::String(symbol.ok_or(DatumProblem::Choice)?.clone())
            }
            Type::Union(branches) => {
                let branch = usize::try_from(self.long()?).ok();
                let branch = branch.and_then(|branch| branches.get(branch));
                self.value(*branch.ok_or(DatumProblem::Choice)?, depth + 1)?
            }
            Type::Array(items) => {
                let mut array = Vec::new();
                self.blocks(|reader| {
                    array.push(reader.value(*items, depth + 1)?);
                    Ok(())
                })?;
                Value::Array(array)
            }
            Type::Map(values) => {
                let mut map = Map::new();
                self.blocks(|reader| {
                    let key = reader.text()?;
                    map.insert(key, reader.value(*values, depth + 1)?);
                    Ok(())
                })?;
                Value::Object(map)
            }
            Type::Record(fields) => {
                let mut record = Map::new();
                for (name, field) in fields {
                    record.insert(name.clone(), self.value(*field, depth + 1)?);
                }
                Value::Object(record)
            }
            Type::Decimal { fixed, scale } => {
                let bytes = match fixed {
                    Some(size) => self.take(*size)?,
                    None => self.sized()?,
                };
                match mantissa(bytes) {
                    Some(mantissa) => Value::String(Decimal::new(mantissa, *scale).to_string()),
                    // Longer than an amount can be; it says so where it is used.
                    None => hex(bytes),
                }
            }
            Type::Date => moment(i64::from(self.int()?) * DAY_MS),
            Type::Timestamp { per_second, local } => {
                let ms = self.long()?;
                let ms = ms.div_euclid(per_second / 1_000);
                let zone = if *local { self.zone_ms } else { 0 };
                moment(ms.saturating_sub(zone))
            }
        })
    }

    /// Items of an array or a map: blocks with their count, the last one empty. A count below zero comes with
    /// the block's size, which nobody needs who reads all of it.
    fn blocks(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), DatumProblem>,
    ) -> Result<(), DatumProblem> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DatumProblem> {
        let (taken, left) = self
            .left
            .split_at_checked(len)
            .ok_or(DatumProblem::CutOff)?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DatumProblem> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn sized(&mut self) -> Result<&'a [u8], DatumProblem> {
        let len = usize::try_from(self.long()?).map_err(|_| DatumProblem::Length)?;
        self.take(len)
    }

    fn text(&mut self) -> Result<String, DatumProblem> {
        let text = str::from_utf8(self.sized()?).map_err(|_| DatumProblem::Text)?;
        Ok(text.to_owned())
    }

    fn int(&mut self) -> Result<i32, DatumProblem> {
        i32::try_from(self.long()?).map_err(|_| DatumProblem::Number)
    }

    /// Zigzag, seven bits a byte, the lowest first.
    fn long(&mut self) -> Result<i64, DatumProblem> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                return Err(DatumProblem::Number);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(DatumProblem::Number)
    }
}

/// Null for what JSON has no number for (NaN, infinities).
fn number(double: f64) -> Value {
    Value::from(double)
}

/// Bytes have no form in JSON; the prefix keeps them from being taken for a number.
fn hex(bytes: &[u8]) -> Value {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Value::String(text)
}

/// A moment as a number that is read as the same millisecond: milliseconds, or near 1970 seconds.
fn moment(ms: i64) -> Value {
    match ms.unsigned_abs() {
        0..PLAIN_MILLIS => Value::from(ms as f64 / 1_000.0),
        _ => Value::from(ms),
    }
}

/// Two's complement, big-endian; `None` where 128 bits do not hold it.
fn mantissa(bytes: &[u8]) -> Option<i128> {
    const BYTES: usize = size_of::<i128>();
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let filler = if negative { 0xFF } else { 0 };
    let (spare, used) = bytes.split_at(bytes.len().saturating_sub(BYTES));
    let sign_kept = used
        .first()
        .is_none_or(|first| (first & 0x80 != 0) == negative);
    if spare.iter().any(|byte| *byte != filler) || !sign_kept {
        return None;
    }
    let mut whole = [filler; BYTES];
    whole[BYTES - used.len()..].copy_from_slice(used);
    Some(i128::from_be_bytes(whole))
}
