//! The folder of pattern files and functions, read and compiled.

use functions::MAX_MODULE_BYTES;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use telemetry::Patterns;
use telemetry::functions::{Called, Function};
use telemetry::patterns::{File, MAX_FILE_BYTES, MAX_FILES, PatternError};

/// Why a folder gives no formats.
#[derive(Debug, thiserror::Error)]
pub enum FormatsError {
    /// The folder or one of its files could not be read.
    #[error("cannot read the formats of `mailbox.formats`, {path}: {error}")]
    Unreadable {
        /// Folder or file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Some files are wrong; all complaints.
    #[error("formats in {path}:\n{}", list(.errors))]
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

/// A module in its sandbox, where `telemetry` expects a function.
#[derive(Debug)]
struct Sandboxed(functions::Function);

impl Function for Sandboxed {
    fn call(&self, letter: &[u8]) -> Result<Called, String> {
        match self.0.call(letter) {
            Ok(answer) => Ok(Called {
                output: answer.output,
                fuel: answer.fuel,
                memory: answer.memory,
            }),
            Err(problem) => Err(problem.to_string()),
        }
    }
}

/// A module as a function that reads mails; `Err` is what is wrong with it, as the end of a sentence.
pub fn load_function(module: &[u8]) -> Result<Box<dyn Function>, String> {
    match functions::Function::load(module) {
        Ok(function) => Ok(Box::new(Sandboxed(function))),
        Err(problem) => Err(problem.to_string()),
    }
}

/// What a file of the folder holds.
enum Content {
    Pattern(String),
    Module(Vec<u8>),
}

/// All `*.toml` and `*.wasm` files of `dir`, in the order of their names; other files may lie beside
/// them. No folder at all: no formats.
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
        if (has_extension(&path, "toml") || has_extension(&path, "wasm"))
            && paths.len() <= MAX_FILES
        {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::new();
    for path in &paths {
        let content = if has_extension(path, "wasm") {
            Content::Module(read(path, MAX_MODULE_BYTES)?)
        } else {
            Content::Pattern(text(path)?)
        };
        files.push((path.display().to_string(), content));
    }
    let files = files.iter().map(|(file, content)| match content {
        Content::Pattern(text) => File::Pattern { file, text },
        Content::Module(module) => File::Function {
            file,
            loaded: load_function(module),
        },
    });
    Patterns::of(files).map_err(|errors| FormatsError::Invalid {
        path: dir.to_owned(),
        errors,
    })
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == wanted)
}

/// At most one byte more than a file may have; the rest would only be refused.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FormatsError> {
    use io::Read as _;
    let unreadable = |error| FormatsError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

fn text(path: &Path) -> Result<String, FormatsError> {
    let bytes = read(path, MAX_FILE_BYTES)?;
    // A cut character becomes a replacement, in a file that is too long anyway.
    if bytes.len() > MAX_FILE_BYTES {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|_| FormatsError::Unreadable {
        path: path.to_owned(),
        error: io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not UTF-8; save it as UTF-8",
        ),
    })
}
