//! The operator's own formats, as they are in force: read at the start, and again on command.

use config::FormatsError;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use telemetry::Patterns;

/// Shared by all that decode.
pub struct Formats {
    dir: Option<PathBuf>,
    current: Mutex<Arc<Patterns>>,
}

impl Formats {
    /// From the folder of the configuration; any mistake in it is a reason not to start.
    pub fn load(dir: Option<PathBuf>) -> Result<Self, FormatsError> {
        let current = Mutex::new(Arc::new(config::load_formats(dir.as_deref())?));
        Ok(Self { dir, current })
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
}
