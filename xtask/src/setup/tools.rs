//! Programs from the system: what for, whether they are here, what package has them.

use super::{Need, apt};
use crate::command::{Command, Failure};
use std::path::{Path, PathBuf};

/// How to see that a tool is here.
enum Probe {
    /// This file.
    File(&'static str),
    /// Any of these programs.
    Program(&'static [&'static str]),
    /// `java` of at least this version.
    Java(u32),
    /// What pkg-config knows by this name.
    Library(&'static str),
    /// `python3` that can make virtual environments with pip in them.
    PythonVenv,
}

struct Tool {
    name: &'static str,
    /// Who wants it, and what for.
    wanted: &'static [(Need, &'static str)],
    probe: Probe,
    /// Debian and Ubuntu packages; the first that exists there is taken.
    packages: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "a C and C++ compiler",
        wanted: &[(
            Need::Demo,
            "it builds the bindings to libtorch, Cyclone DDS and AWS-LC",
        )],
        probe: Probe::Program(&["c++", "g++", "clang++"]),
        packages: &["g++"],
    },
    Tool {
        name: "cmake",
        wanted: &[(Need::Demo, "it builds Cyclone DDS")],
        probe: Probe::Program(&["cmake"]),
        packages: &["cmake"],
    },
    Tool {
        name: "make",
        wanted: &[(Need::Demo, "cmake drives it")],
        probe: Probe::Program(&["make", "gmake", "ninja"]),
        packages: &["make"],
    },
    Tool {
        name: "a JDK of version 17 or newer",
        wanted: &[
            (Need::Tests, "the Kafka tests run a real Apache Kafka on it"),
            (
                Need::Bench,
                "the feed is measured against a real Apache Kafka on it",
            ),
        ],
        probe: Probe::Java(17),
        packages: &["openjdk-21-jdk-headless", "openjdk-17-jdk-headless"],
    },
    Tool {
        name: "Maven",
        wanted: &[
            (Need::Tests, "it brings Apache Kafka from Maven Central"),
            (Need::Bench, "it brings Apache Kafka from Maven Central"),
        ],
        probe: Probe::Program(&["mvn"]),
        packages: &["maven"],
    },
    Tool {
        name: "kcat",
        wanted: &[
            (Need::Tests, "the embedded broker is tested with it"),
            (Need::Bench, "the feed is measured beside it"),
        ],
        probe: Probe::Program(&["kcat", "kafkacat"]),
        packages: &["kcat", "kafkacat"],
    },
    Tool {
        name: "pkg-config",
        wanted: &[
            (Need::Tests, "it finds librdkafka"),
            (Need::Bench, "it finds librdkafka"),
        ],
        probe: Probe::Program(&["pkg-config"]),
        packages: &["pkg-config", "pkgconf"],
    },
    Tool {
        name: "librdkafka with its headers",
        wanted: &[
            (Need::Tests, "the second feed is built on it and tested"),
            (
                Need::Bench,
                "its own measuring consumer is built against it",
            ),
        ],
        probe: Probe::Library("rdkafka"),
        packages: &["librdkafka-dev"],
    },
    Tool {
        name: "perl",
        wanted: &[(
            Need::Tests,
            "swaks, which the mailbox is tested with, is written in it",
        )],
        probe: Probe::Program(&["perl"]),
        packages: &["perl"],
    },
    Tool {
        name: "GnuCOBOL",
        wanted: &[(
            Need::Tests,
            "it writes the records that our copybooks are tested with",
        )],
        probe: Probe::Program(&["cobc"]),
        packages: &["gnucobol3", "gnucobol"],
    },
    Tool {
        name: "Fast DDS",
        wanted: &[(Need::Tests, "the data space is tested with it")],
        probe: Probe::File("/usr/include/fastdds/dds/domain/DomainParticipant.hpp"),
        packages: &["libfastrtps-dev"],
    },
    Tool {
        name: "fastddsgen",
        wanted: &[(Need::Tests, "it makes the Fast DDS peer's type of our IDL")],
        probe: Probe::Program(&["fastddsgen"]),
        packages: &["fastddsgen"],
    },
    Tool {
        name: "libfaketime",
        wanted: &[(
            Need::Tests,
            "a writer of the data space is tested with a clock that steps",
        )],
        probe: Probe::File("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
        packages: &["libfaketime"],
    },
    Tool {
        name: "iproute2",
        wanted: &[(
            Need::Tests,
            "tests of the data space make networks of their own",
        )],
        probe: Probe::Program(&["ip"]),
        packages: &["iproute2"],
    },
    Tool {
        name: "python3 with venv",
        wanted: &[
            (
                Need::Tests,
                "the foreign DDS subscriber of the tests lives in a virtual environment",
            ),
            (
                Need::Bench,
                "aiosmtpd, which the mailbox is measured beside, lives in a virtual environment",
            ),
        ],
        probe: Probe::PythonVenv,
        packages: &["python3-venv"],
    },
    Tool {
        name: "ddsperf",
        wanted: &[
            (
                Need::Tests,
                "its library is one that ours speaks DDS Security with",
            ),
            (Need::Bench, "the data space is measured beside it"),
        ],
        probe: Probe::Program(&["ddsperf"]),
        packages: &["cyclonedds-tools"],
    },
    Tool {
        name: "openssl",
        wanted: &[(
            Need::Tests,
            "deploy/dds/security.sh makes certificates and signs documents with it",
        )],
        probe: Probe::Program(&["openssl"]),
        packages: &["openssl"],
    },
    Tool {
        name: "OpenSSL's headers",
        wanted: &[(Need::Tests, "the plugins of DDS Security are built on it")],
        probe: Probe::File("/usr/include/openssl/ssl.h"),
        packages: &["libssl-dev"],
    },
];

/// Installs what is missing where that can be done without asking, else says what to do.
pub(super) fn bring(need: Need) -> Result<(), Failure> {
    let missing = || -> Vec<(&Tool, &str)> {
        TOOLS
            .iter()
            .filter_map(|tool| Some((tool, tool.purpose(need)?)))
            .filter(|(tool, _)| !tool.probe.succeeds())
            .collect()
    };
    let before = missing();
    if before.is_empty() {
        return Ok(());
    }
    if let Some(apt) = apt::Apt::find() {
        let packages: Vec<&str> = before
            .iter()
            .map(|(tool, _)| apt.first_known(tool.packages))
            .collect();
        let names: Vec<&str> = before.iter().map(|(tool, _)| tool.name).collect();
        println!(
            "setup: {} missing, installing {}",
            names.join(", "),
            packages.join(" ")
        );
        if let Err(failure) = apt.install(&packages) {
            eprintln!("setup: {failure}");
        }
    }
    let after = missing();
    if after.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        after
            .iter()
            .map(|(tool, purpose)| tool.sentence(purpose))
            .collect::<Vec<_>>()
            .join("\n       "),
    ))
}

impl Tool {
    /// What a machine that is prepared for `need` wants it for, if it does.
    fn purpose(&self, need: Need) -> Option<&'static str> {
        let wanted = self.wanted.iter().find(|(of, _)| need.includes(*of));
        wanted.map(|(_, purpose)| *purpose)
    }

    fn sentence(&self, purpose: &str) -> String {
        let how = if find_program("apt-get").is_some() {
            format!("`sudo apt-get install {}`", self.packages[0])
        } else {
            format!(
                "your package manager (Debian calls it {})",
                self.packages[0]
            )
        };
        format!("{} is missing: {}; get it with {how}", self.name, purpose)
    }
}

impl Probe {
    fn succeeds(&self) -> bool {
        match self {
            Self::File(path) => Path::new(path).is_file(),
            Self::Program(names) => names.iter().any(|name| find_program(name).is_some()),
            Self::Java(least) => java_version().is_some_and(|version| version >= *least),
            Self::Library(name) => Command::new("pkg-config")
                .args(["--exists", name])
                .output()
                .is_ok_and(|output| output.status.success()),
            Self::PythonVenv => {
                find_program("python3").is_some()
                    && Command::new("python3")
                        .args(["-c", "import venv, ensurepip"])
                        .output()
                        .is_ok_and(|output| output.status.success())
            }
        }
    }
}

/// A program on the path, or where Debian hides those of administrators.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Feature version of the JDK that `java` belongs to. Its `release` file says so without the
/// fraction of a second that starting a virtual machine takes.
fn java_version() -> Option<u32> {
    let java = find_program("java")?.canonicalize().ok()?;
    let release = java
        .parent()
        .and_then(Path::parent)
        .map(|home| home.join("release"));
    let text = release
        .and_then(|file| std::fs::read_to_string(file).ok())
        .or_else(|| {
            let output = Command::new("java").arg("-version").output().ok()?;
            Some(String::from_utf8_lossy(&output.stderr).into_owned())
        });
    feature_version(&text?)
}

/// The first quoted version: `JAVA_VERSION="17.0.15"` or `openjdk version "21"`.
fn feature_version(text: &str) -> Option<u32> {
    let line = text
        .lines()
        .find(|line| line.starts_with("JAVA_VERSION=") || line.contains("version \""))?;
    let version = line.split('"').nth(1)?;
    let mut numbers = version
        .split(['.', '-', '+'])
        .map_while(|part| part.parse().ok());
    match numbers.next()? {
        1 => numbers.next(), // 1.8 is 8
        version => Some(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_versions_are_read_from_either_source() {
        let check = |text: &str, expected: Option<u32>| {
            assert_eq!(feature_version(text), expected, "{text}")
        };
        check(
            "IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.15\"\n",
            Some(17),
        );
        check("openjdk version \"21-ea\" 2023-09-19", Some(21));
        check("java version \"1.8.0_402\"", Some(8));
        check("openjdk 11", None);
        check("", None);
    }

    #[test]
    fn a_sentence_says_what_for_and_how() {
        let sentence = TOOLS[1].sentence(TOOLS[1].wanted[0].1);
        assert!(
            sentence.starts_with("cmake is missing: it builds Cyclone DDS; get it with "),
            "{sentence}"
        );
        assert!(sentence.contains("cmake"), "{sentence}");
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-anywhere").is_none());
    }
}
