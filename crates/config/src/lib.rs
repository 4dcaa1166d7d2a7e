//! The configuration of a node: one typed TOML file.
//!
//! [`load`] reads, [`Config::problems`] checks what types cannot say. Every complaint names the
//! key, the value found and what would be right.

mod check;
mod formats;
mod kafka;
mod learning;
mod mailbox;
mod schema;
mod space;
#[cfg(test)]
mod tests;

pub use check::Problem;
pub use formats::{FormatsError, load_formats, load_function};
pub use kafka::{
    Export, FeedOutOfRange, FeedRegistry, FeedStart, KafkaAccess, KafkaSasl, SaslMechanism,
};
pub use learning::{
    ModelKind, NoiseKind, OptimizerKind, Privacy, Robust, RuleKind, UpdateBuffer, UpdateCompression,
};
pub use schema::{
    Alerts, Cluster, Config, Detection, Device, Feed, FeedFields, Keys, Learning, MailProfile,
    Mailbox, Node, Peer, Room,
};
pub use space::{
    Dds, DurabilityKind, LivelinessKind, OverflowKind, OwnershipKind, ReliabilityKind, TopicQos,
};

use std::path::{Path, PathBuf};

/// Why a configuration file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error(
        "cannot read the configuration {path}: {error}; give an existing file with --config FILE"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Not TOML, or a key of the wrong name or type.
    #[error("{path}: at key `{key}`: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Dotted path of the key; `.` where the file as a whole is meant.
        key: String,
        /// What was found and what was expected.
        message: String,
    },
    /// Well-typed, but against the rules.
    #[error("{path}:\n{}", list(.problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All problems found, not only the first.
        problems: Vec<Problem>,
    },
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("  - {problem}"))
        .collect();
    lines.join("\n")
}

/// Reads, parses and checks `path`. Relative paths in the file are taken relative to the file.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let base = path.parent().unwrap_or(Path::new("."));
    parse(&text, path, base)
}

/// As [`load`], from text.
pub fn parse(text: &str, path: &Path, base: &Path) -> Result<Config, ConfigError> {
    let malformed = |key: String, message: String| ConfigError::Malformed {
        path: path.to_owned(),
        key,
        message,
    };
    let deserializer = toml::Deserializer::parse(text)
        .map_err(|error| malformed(".".into(), error.to_string()))?;
    let mut config: Config = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let key = error.path().to_string();
        malformed(key, error.into_inner().to_string().trim_end().to_owned())
    })?;
    config.resolve_paths(base);
    let problems = config.problems();
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError::Invalid {
            path: path.to_owned(),
            problems,
        })
    }
}
