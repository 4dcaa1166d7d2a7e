//! Packages of Debian and Ubuntu, where they can be installed without asking anyone.

use super::tools::find_program;
use crate::command::{Command, Failure};

pub(super) struct Apt {
    /// `sudo -n`, or nothing when we are root.
    prefix: &'static [&'static str],
}

impl Apt {
    /// `None` without apt-get, or when installing would need a password.
    pub(super) fn find() -> Option<Self> {
        find_program("apt-get")?;
        if says(Command::new("id").arg("-u"), "0") {
            return Some(Self { prefix: &[] });
        }
        find_program("sudo")?;
        let free = Command::new("sudo")
            .args(["-n", "true"])
            .output()
            .is_ok_and(|output| output.status.success());
        free.then_some(Self {
            prefix: &["sudo", "-n"],
        })
    }

    /// The first package that this release has; without package lists, the last one.
    pub(super) fn first_known(&self, packages: &[&'static str]) -> &'static str {
        let known = |package: &&&str| {
            let shown = Command::new("apt-cache").args(["show", package]).output();
            shown.is_ok_and(|output| output.status.success())
        };
        packages
            .iter()
            .find(known)
            .or(packages.last())
            .copied()
            .unwrap_or_default()
    }

    /// Installs with the package lists at hand; if those are missing or stale, fetches them and
    /// tries once more.
    pub(super) fn install(&self, packages: &[&str]) -> Result<(), Failure> {
        let install = || self.get(&["install", "--yes", "--no-install-recommends"], packages);
        install().or_else(|_| {
            self.get(&["update"], &[])?;
            install()
        })
    }

    fn get(&self, task: &[&str], packages: &[&str]) -> Result<(), Failure> {
        let mut words = self.prefix.to_vec();
        words.extend([
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "--quiet",
        ]);
        words.extend(task);
        words.extend(packages);
        Command::new(words[0]).args(&words[1..]).run_unattended()
    }
}

fn says(command: &mut Command, text: &str) -> bool {
    command
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == text)
}
