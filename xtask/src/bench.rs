//! Measurements. A benchmark is a `bench-<name>` binary of the workspace, an evaluation an
//! `eval-<name>` one; this finds and runs them, so that a new one needs no entry here. Each leaves
//! figures as JSON and pictures in `target/bench` or `target/eval`.

use crate::command::Failure;
use crate::place::Place;
use crate::setup::{self, Need};
use std::ffi::OsString;

/// A family of measuring programs.
pub(crate) struct Family {
    /// What their binaries' names begin with.
    prefix: &'static str,
    /// What one is called in sentences.
    noun: &'static str,
    /// What they run beside.
    need: Need,
}

/// How fast.
pub(crate) const BENCHMARKS: Family = Family {
    prefix: "bench-",
    noun: "benchmark",
    need: Need::Bench,
};

/// How well.
pub(crate) const EVALUATIONS: Family = Family {
    prefix: "eval-",
    noun: "evaluation",
    need: Need::Demo,
};

/// The package of the measuring programs that run without libtorch.
const WITHOUT_LIBTORCH: &str = "bench";

/// Not the name of a benchmark: runs them all.
const ALL: &str = "all";

pub(crate) fn run(
    place: &Place,
    family: &Family,
    name: Option<&str>,
    arguments: &[OsString],
) -> Result<(), Failure> {
    let found = crate::purity::graph::Metadata::load(place)?.binaries_with_prefix(family.prefix);
    let Some(name) = name else {
        for (_, binary) in &found {
            println!("{}", family.name(binary));
        }
        println!("{ALL}: each of them, one after the other");
        return Ok(());
    };
    let chosen = family.chosen(&found, name)?;
    setup::run(place, family.need)?;
    if chosen
        .iter()
        .any(|(package, _)| package != WITHOUT_LIBTORCH)
    {
        setup::run(place, Need::Demo)?;
    }
    for (package, binary) in chosen {
        place
            .cargo()
            .args(["run", "--release", "-p", package, "--bin", binary, "--"])
            .args(arguments)
            .run()?;
    }
    Ok(())
}

impl Family {
    fn name<'a>(&self, binary: &'a str) -> &'a str {
        &binary[self.prefix.len()..]
    }

    /// (package, binary) of those called `name`.
    fn chosen<'a>(
        &self,
        found: &'a [(String, String)],
        name: &str,
    ) -> Result<Vec<&'a (String, String)>, Failure> {
        let wanted = |(_, binary): &&(String, String)| name == ALL || self.name(binary) == name;
        let chosen: Vec<_> = found.iter().filter(wanted).collect();
        if chosen.is_empty() {
            let names: Vec<&str> = found.iter().map(|(_, binary)| self.name(binary)).collect();
            return Err(Failure::new(format!(
                "no {} is called `{name}`; there are: {}",
                self.noun,
                names.join(", ")
            )));
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_is_chosen_by_name_or_all_are() {
        let found =
            ["bench-ledger", "bench-links"].map(|binary| ("bench".to_owned(), binary.to_owned()));
        let names = |name| -> Vec<&str> {
            let chosen = BENCHMARKS.chosen(&found, name).unwrap();
            chosen.iter().map(|(_, binary)| binary.as_str()).collect()
        };
        assert_eq!(names("links"), ["bench-links"]);
        assert_eq!(names("all"), ["bench-ledger", "bench-links"]);
        let failure = BENCHMARKS.chosen(&found, "nothing").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "no benchmark is called `nothing`; there are: ledger, links"
        );
    }
}
