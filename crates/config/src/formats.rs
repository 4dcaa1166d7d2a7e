//! The folder of pattern files, read and compiled.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use telemetry::Patterns;
use telemetry::patterns::{MAX_FILE_BYTES, MAX_FILES, PatternError};

/// Why a folder gives no formats.
#[derive(Debug, thiserror::Error)]
pub enum FormatsError {
    /// The folder or one of its files could not be read.
    #[error("cannot read the pattern files of `mailbox.formats`, {path}: {error}")]
    Unreadable {
        /// Folder or file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Some files are wrong; all complaints.
    #[error("pattern files in {path}:\n{}", list(.errors))]
    Invalid {
        /// The folder.
        path: PathBuf,
        /// All of them.
        errors: Vec<PatternError>,
    },
}

fn list(errors: &[PatternError]) -> String {
    let lines: Vec<String> = errors.iter().map(|error| format!("  - {error}")).collect();
    lines.join("\n")
}

/// All `*.toml` files of `dir`, in the order of their names; other files may lie beside them. No
/// folder at all: no formats.
pub fn load_formats(dir: Option<&Path>) -> Result<Patterns, FormatsError> {
    let Some(dir) = dir else {
        return Ok(Patterns::NONE);
    };
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| FormatsError::Unreadable { path, error }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable(dir))? {
        let path = entry.map_err(unreadable(dir))?.path();
        // One more than is allowed, so that too many are complained about.
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
            && paths.len() <= MAX_FILES
        {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::new();
    for path in &paths {
        files.push((path.display().to_string(), read(path)?));
    }
    let files = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    Patterns::parse(files).map_err(|errors| FormatsError::Invalid {
        path: dir.to_owned(),
        errors,
    })
}

/// At most one byte more than a pattern file may have; the rest would only be refused.
fn read(path: &Path) -> Result<String, FormatsError> {
    use io::Read as _;
    let unreadable = |error| FormatsError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    // A cut character becomes a replacement, in a file that is too long anyway.
    if bytes.len() > MAX_FILE_BYTES {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|_| {
        unreadable(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not UTF-8; save it as UTF-8",
        ))
    })
}
