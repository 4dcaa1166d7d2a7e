//! Measurements. A benchmark is a `bench-<name>` binary of the workspace; this finds and runs
//! them, so that a new one needs no entry here. Each leaves `NAME.json` and `NAME.svg` in
//! `target/bench`.

use crate::command::Failure;
use crate::place::Place;
use crate::setup::{self, Need};
use std::ffi::OsString;

const PREFIX: &str = "bench-";

/// Not the name of a benchmark: runs them all.
const ALL: &str = "all";

pub(crate) fn run(
    place: &Place,
    name: Option<&str>,
    arguments: &[OsString],
) -> Result<(), Failure> {
    let found = crate::purity::graph::Metadata::load(place)?.binaries_with_prefix(PREFIX);
    let Some(name) = name else {
        for (_, binary) in &found {
            println!("{}", &binary[PREFIX.len()..]);
        }
        println!("{ALL}: each of them, one after the other");
        return Ok(());
    };
    let chosen = chosen(&found, name)?;
    setup::run(place, Need::Bench)?;
    for (package, binary) in chosen {
        place
            .cargo()
            .args(["run", "--release", "-p", package, "--bin", binary, "--"])
            .args(arguments)
            .run()?;
    }
    Ok(())
}

/// (package, binary) of the benchmarks called `name`.
fn chosen<'a>(
    found: &'a [(String, String)],
    name: &str,
) -> Result<Vec<&'a (String, String)>, Failure> {
    let wanted = |(_, binary): &&(String, String)| name == ALL || &binary[PREFIX.len()..] == name;
    let chosen: Vec<_> = found.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = found
            .iter()
            .map(|(_, binary)| &binary[PREFIX.len()..])
            .collect();
        return Err(Failure::new(format!(
            "no benchmark is called `{name}`; there are: {}",
            names.join(", ")
        )));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_is_chosen_by_name_or_all_are() {
        let found =
            ["bench-ledger", "bench-links"].map(|binary| ("bench".to_owned(), binary.to_owned()));
        let names = |name| -> Vec<&str> {
            let chosen = chosen(&found, name).unwrap();
            chosen.iter().map(|(_, binary)| binary.as_str()).collect()
        };
        assert_eq!(names("links"), ["bench-links"]);
        assert_eq!(names("all"), ["bench-ledger", "bench-links"]);
        let failure = chosen(&found, "nothing").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "no benchmark is called `nothing`; there are: ledger, links"
        );
    }
}
