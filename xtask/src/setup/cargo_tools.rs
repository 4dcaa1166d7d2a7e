//! Programs that cargo installs: each in the version that was tried, into the cache.

use crate::command::{Command, Failure};
use crate::place::Place;
use std::path::PathBuf;

/// A program on crates.io.
pub(crate) struct CargoTool {
    /// Its name there, and of its binary.
    name: &'static str,
    version: &'static str,
}

/// Licences, bans and advisories. The newest that builds with the toolchain of `rust-toolchain.toml`.
pub(crate) const CARGO_DENY: CargoTool = CargoTool {
    name: "cargo-deny",
    version: "0.20.2",
};

/// Fuzzing with libFuzzer.
pub(crate) const CARGO_FUZZ: CargoTool = CargoTool {
    name: "cargo-fuzz",
    version: "0.13.2",
};

impl CargoTool {
    /// Where it is, installed if it is not there in this version.
    pub(crate) fn bring(&self, place: &Place) -> Result<PathBuf, Failure> {
        let tools = place.cache.join("tools");
        let binary = tools.join("bin").join(self.name);
        let at_hand = Command::new(&binary).arg("--version").output();
        let wanted = format!("{} {}", self.name, self.version);
        if !at_hand.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == wanted) {
            let mut install = place.cargo();
            install.args(["install", "--locked", "--force", self.name, "--version"]);
            install.args([self.version, "--root"]).arg(&tools);
            install.run_unattended()?;
        }
        Ok(binary)
    }
}

/// The toolchain that libFuzzer's instrumentation needs, beside the one that the house is built with.
pub(crate) fn bring_nightly() -> Result<(), Failure> {
    let missing = |why: &str| {
        Failure::new(format!(
            "{why}; fuzzing needs a nightly compiler, get it with `rustup toolchain install nightly --profile minimal`"
        ))
    };
    let there = Command::new("rustup")
        .args(["run", "nightly", "rustc", "--version"])
        .output()
        .map_err(|error| missing(&format!("rustup: {error}")))?;
    if there.status.success() {
        return Ok(());
    }
    println!("setup: a nightly compiler is missing, installing it");
    Command::new("rustup")
        .args(["toolchain", "install", "nightly", "--profile", "minimal"])
        .run_unattended()
        .map_err(|failure| missing(&failure.to_string()))
}
