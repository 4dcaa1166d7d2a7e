//! The feed beside its peers: reading a topic ([`consume`]), how soon a record is here ([`latency`]), and here decoding of EBCDIC records by a
//! copybook of thirty fields.
//!
//! Figures are bytes per second of processor time on one thread: what other processes do at the same
//! time costs neither side.

pub mod broker;
pub mod consume;
pub mod latency;

use crate::Failure;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use telemetry::copybook::{Copybook, Decimal, Kind, Row, Value};
use telemetry::ebcdic::CodePage;

/// The copybook.
pub const COPYBOOK: &str = include_str!("movement.cpy");
/// The code page that both sides read.
pub const PAGE: CodePage = CodePage::Cp037;
const SCRIPT: &str = include_str!("coboljsonifier.py");
/// Records in the file: more than the caches near the core hold.
const RECORDS: usize = 20_000;

/// Records with values that differ from one to the next.
pub struct Records {
    /// Their description.
    pub copybook: Copybook,
    /// One after the other.
    pub bytes: Vec<u8>,
}

impl Records {
    /// The same ones each time.
    pub fn new() -> Result<Self, Failure> {
        let copybook = Copybook::parse(COPYBOOK)?;
        let mut bytes = Vec::new();
        for record in 0..RECORDS {
            let values: Vec<Value> = copybook
                .fields()
                .iter()
                .map(|field| value(field.kind, field.len, record))
                .collect();
            bytes.extend(copybook.encode(PAGE, &values)?);
        }
        Ok(Self { copybook, bytes })
    }

    /// Fields of a record.
    pub fn fields(&self) -> usize {
        self.copybook.fields().len()
    }

    /// Decodes all records for at least `span` of processor time; bytes per second of it.
    pub fn ours(&self, span: Duration) -> Result<f64, Failure> {
        let mut row = Row::new();
        let (begin, mut decoded, mut seen) = (processor_time()?, 0, 0);
        loop {
            for record in self.bytes.chunks(self.copybook.record_len()) {
                self.copybook.read_whole(PAGE, record, &mut row)?;
                // Something of every record is used, or the work might be left out.
                seen += row.text(0).map_or(1, str::len);
            }
            std::hint::black_box(seen);
            decoded += self.bytes.len();
            let spent = processor_time()? - begin;
            if spent >= span {
                return Ok(decoded as f64 / spent.as_secs_f64());
            }
        }
    }

    /// What coboljsonifier reaches. Fails if it reads other values than we do.
    pub fn theirs(&self, folder: &Path, span: Duration) -> Result<f64, Failure> {
        let (copybook, data) = (folder.join("movement.cpy"), folder.join("movements.bin"));
        std::fs::write(&copybook, COPYBOOK)?;
        std::fs::write(&data, &self.bytes)?;
        let output = Command::new(python()?)
            .args(["-c", SCRIPT])
            .args([&copybook, &data])
            .arg(self.copybook.record_len().to_string())
            .arg(span.as_secs_f64().to_string())
            .output()?;
        let said = String::from_utf8(output.stdout)?;
        let complaint = || {
            let error = String::from_utf8_lossy(&output.stderr);
            format!("coboljsonifier failed: {said}{error}")
        };
        let mut words = said.split_whitespace();
        let mut next = || words.next().ok_or_else(complaint);
        let (decoded, spent) = (next()?.parse::<f64>()?, next()?.parse::<f64>()?);
        let found = [next()?, next()?, next()?];
        let expected = self.last()?;
        if found != expected.each_ref().map(String::as_str) {
            return Err(
                format!("coboljsonifier reads {found:?} where we read {expected:?}").into(),
            );
        }
        Ok(decoded / spent)
    }

    /// Amount, purpose and id of the last record, as we read them.
    fn last(&self) -> Result<[String; 3], Failure> {
        let len = self.copybook.record_len();
        let record = self.bytes.rchunks(len).next().unwrap_or_default();
        let mut row = Row::new();
        self.copybook.read_whole(PAGE, record, &mut row)?;
        let shown = |name| -> Result<String, Failure> {
            let item = row.get(self.copybook.find(name)?);
            Ok(item.map(|item| item.to_string()).unwrap_or_default())
        };
        Ok([shown("AMOUNT")?, shown("PURPOSE")?, shown("MOVEMENT-ID")?])
    }
}

/// A value that fills most of its field.
fn value(kind: Kind, len: usize, record: usize) -> Value {
    const LETTERS: &str = "TRANSFER-OF-7-BOOKS-TO-THE-LIBRARY-";
    match kind {
        Kind::Text => {
            let letters = LETTERS.chars().cycle().skip(record % LETTERS.len());
            Value::Text(letters.take(len).collect())
        }
        Kind::Number(number) => {
            let limit = 10i128.pow(u32::from(number.digits));
            // No negative ones: the peer takes D for a sign in signed fields only, as we do, but
            // its text form of them differs.
            let mantissa = (record as i128 + 1) * 1_234_567_891 % limit;
            Value::Number(Decimal::new(mantissa, number.scale.unsigned_abs()))
        }
        Kind::Float(_) => Value::Float(record as f64),
    }
}

fn python() -> Result<PathBuf, Failure> {
    let python = crate::mail::tools().join("coboljsonifier-venv/bin/python");
    match python.exists() {
        true => Ok(python),
        false => Err("coboljsonifier is missing; `cargo xtask setup --for bench` brings it".into()),
    }
}

/// Time that this thread has spent on a processor (Linux, proc(5), schedstat: nanoseconds).
fn processor_time() -> Result<Duration, Failure> {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = said.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanos))
}
