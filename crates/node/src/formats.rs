//! The operator's own formats, as they are in force: read at the start, and again on command. And
//! what becomes of a mail by them and by the built-in ones, counted.

use config::FormatsError;
use runtime::blocking;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use telemetry::directory::Directory;
use telemetry::mail::{DecodeContext, Decoded, decode_named};
use telemetry::{Patterns, Quarantine};
use wire::status::FormatStatus;
use wire::{NodeId, Report, UnixMillis};

/// Shared by all that decode.
pub struct Formats {
    dir: Option<PathBuf>,
    current: Mutex<Arc<Patterns>>,
    counts: Mutex<BTreeMap<String, FormatStatus>>,
}

/// A mail that the mailbox took.
#[derive(Clone, Copy)]
pub struct Accepted<'a> {
    /// The node whose journal holds it.
    pub node: &'a NodeId,
    /// Its number there.
    pub seq: u64,
    /// When.
    pub arrival: UnixMillis,
    /// As whose it is read.
    pub sender: &'a str,
    /// As it came.
    pub raw: &'a [u8],
}

impl Formats {
    /// From the folder of the configuration; any mistake in it is a reason not to start.
    pub fn load(dir: Option<PathBuf>) -> Result<Self, FormatsError> {
        let current = Mutex::new(Arc::new(config::load_formats(dir.as_deref())?));
        let counts = Mutex::default();
        Ok(Self {
            dir,
            current,
            counts,
        })
    }

    /// In force now.
    pub fn current(&self) -> Arc<Patterns> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Reads the folder anew. With a mistake in it the former ones stay in force.
    pub fn reload(&self) -> Result<Arc<Patterns>, FormatsError> {
        let fresh = Arc::new(config::load_formats(self.dir.as_deref())?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        Ok(fresh)
    }

    /// The reports in a mail.
    pub fn decode(
        &self,
        directory: &Directory,
        mail: Accepted<'_>,
    ) -> Result<Vec<Report>, Quarantine> {
        let decoded = self.decoded(directory, mail);
        if let Some(format) = decoded.format {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(format).or_default();
            match decoded.reports {
                Ok(_) => count.read += 1,
                Err(_) => count.failed += 1,
            }
        }
        decoded.reports
    }

    /// The reports that a mail would have, if it came.
    pub fn try_on(
        &self,
        directory: &Directory,
        mail: Accepted<'_>,
    ) -> Result<Vec<Report>, Quarantine> {
        self.decoded(directory, mail).reports
    }

    fn decoded(&self, directory: &Directory, mail: Accepted<'_>) -> Decoded {
        let patterns = self.current();
        let context = DecodeContext {
            node: mail.node,
            seq: mail.seq,
            arrival: mail.arrival,
            directory,
            patterns: &patterns,
        };
        let decode = || decode_named(&context, mail.sender, mail.raw);
        // A function may work for a third of a second; other tasks are not to wait for it.
        if patterns.have_functions() {
            blocking::in_place(decode)
        } else {
            decode()
        }
    }

    /// Mails by the name of the format that took them.
    pub fn counts(&self) -> BTreeMap<String, FormatStatus> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"NAME\"\n[match]\nsubject = 'x'\n[[rule]]\nregex = 'x'\ncondition = 'x'\nstate = 'open'\n";

    #[test]
    fn a_mistake_leaves_the_former_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.toml", &GOOD.replace("NAME", "a"));
        write("README.md", "not a pattern file");
        let formats = Formats::load(Some(dir.path().to_owned())).unwrap();
        let names = || -> Vec<String> {
            let current = formats.current();
            current
                .iter()
                .map(|pattern| pattern.name().to_owned())
                .collect()
        };
        assert_eq!(names(), ["a"]);
        write("b.toml", "name = 1");
        let error = formats.reload().unwrap_err().to_string();
        assert!(error.contains("b.toml:1: "), "{error}");
        assert_eq!(names(), ["a"]);
        write("b.toml", &GOOD.replace("NAME", "b"));
        formats.reload().unwrap();
        assert_eq!(names(), ["a", "b"]);
        let missing = Formats::load(Some(dir.path().join("nowhere")));
        let error = missing.err().unwrap().to_string();
        assert!(error.contains("mailbox.formats"), "{error}");
        assert!(
            Formats::load(None)
                .unwrap()
                .current()
                .iter()
                .next()
                .is_none()
        );
    }

    #[test]
    fn a_function_reads_fails_and_is_counted_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let module = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), wat::parse_str(text).unwrap()).unwrap();
        };
        module(
            "thermo.wasm",
            include_str!("../../functions/tests/temperature.wat"),
        );
        let formats = Formats::load(Some(dir.path().to_owned())).unwrap();
        let directory = Directory::new([telemetry::Device {
            id: "probe".into(),
            room: "hall".into(),
            class: "sensor".to_owned(),
            addresses: vec!["probe@example.net".to_owned()],
        }])
        .unwrap();
        let node = NodeId::from("node-1");
        let decoded = |body: &str| {
            let raw = format!("From: probe@example.net\r\nSubject: x\r\n\r\n{body}\r\n");
            let mail = Accepted {
                node: &node,
                seq: 7,
                arrival: UnixMillis(5),
                sender: "probe@example.net",
                raw: raw.as_bytes(),
            };
            formats.decode(&directory, mail)
        };
        let reports = decoded("Temperature: 21.5 C").unwrap();
        assert_eq!(
            (reports[0].device.as_str(), reports[0].readings[0].value),
            ("probe", 21.5)
        );
        assert_eq!(decoded("Temperature: 21.5 C"), Ok(reports));
        let refused = decoded("Temperature: !").unwrap_err().to_string();
        assert!(
            refused.starts_with("the function thermo used up its fuel"),
            "{refused}"
        );
        assert_eq!(
            decoded("{\"Humidity\": 40}").unwrap()[0].readings[0].name,
            "Humidity"
        );
        let count = |read, failed| FormatStatus { read, failed };
        let expected = [("json", count(1, 0)), ("thermo", count(2, 1))];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(formats.counts(), BTreeMap::from(expected));
        // One that wants the outside is refused with its file, and the former stays in force.
        module(
            "wasi.wasm",
            "(module (import \"env\" \"now\" (func (result i64))))",
        );
        let error = formats.reload().unwrap_err().to_string();
        assert!(
            error.contains("wasi.wasm: the function imports `env.now`"),
            "{error}"
        );
        assert!(decoded("Temperature: 1").is_ok());
    }
}
