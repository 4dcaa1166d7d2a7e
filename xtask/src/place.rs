//! Where things are.

use crate::command::{Command, Failure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The workspace and the cache.
pub(crate) struct Place {
    /// The workspace's root.
    pub(crate) root: PathBuf,
    /// What is worth keeping between clones: libtorch, cargo-deny.
    pub(crate) cache: PathBuf,
}

impl Place {
    /// `GLASSHOUSE_CACHE` moves the cache, else it is `$HOME/.cache/glasshouse`.
    pub(crate) fn find() -> Result<Self, Failure> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().unwrap_or(manifest).to_path_buf();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let cache = match (set("GLASSHOUSE_CACHE"), set("HOME")) {
            (Some(cache), _) => root.join(cache),
            (None, Some(home)) => PathBuf::from(home).join(".cache/glasshouse"),
            (None, None) => {
                return Err(Failure::new(
                    "neither GLASSHOUSE_CACHE nor HOME is set: set one to a folder that may hold 500 MB",
                ));
            }
        };
        Ok(Self { root, cache })
    }

    /// The `.libtorch` that `.cargo/config.toml` points to.
    pub(crate) fn libtorch(&self) -> PathBuf {
        self.root.join(".libtorch")
    }

    /// A cargo command in the workspace, free of what the outer `cargo run` put into the
    /// environment: some build scripts watch such variables and would run again.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.folder(&self.root);
        for (name, value) in std::env::vars_os() {
            if from_outer_cargo(&name, &value, &self.libtorch()) {
                command.without(&name);
            }
        }
        command
    }

    /// A script of the repository.
    pub(crate) fn script(&self, path: &str) -> Command {
        let mut command = Command::new("bash");
        command.folder(&self.root).arg(self.root.join(path));
        command
    }
}

fn from_outer_cargo(name: &OsString, value: &OsString, libtorch: &Path) -> bool {
    const PREFIXES: [&str; 4] = [
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ];
    let text = name.to_string_lossy();
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || text == "CARGO_PRIMARY_PACKAGE"
        || (text == "LIBTORCH" && Path::new(value) == libtorch)
}
