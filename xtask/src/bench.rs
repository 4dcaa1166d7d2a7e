//! Measurements. A benchmark is a `bench-<name>` binary of the crate that it measures; this
//! finds and runs them, so that a new one needs no entry here.

use crate::command::Failure;
use crate::place::Place;

const PREFIX: &str = "bench-";

pub(crate) fn run(place: &Place, name: Option<&str>) -> Result<(), Failure> {
    let found = crate::purity::graph::Metadata::load(place)?.binaries_with_prefix(PREFIX);
    let names: Vec<&str> = found
        .iter()
        .map(|(_, binary)| &binary[PREFIX.len()..])
        .collect();
    let Some(name) = name else {
        if names.is_empty() {
            println!("there are no benchmarks yet");
        }
        names.iter().for_each(|name| println!("{name}"));
        return Ok(());
    };
    let Some((package, binary)) = found
        .iter()
        .find(|(_, binary)| &binary[PREFIX.len()..] == name)
    else {
        return Err(Failure::new(format!(
            "no benchmark is called `{name}`; there are: {}",
            names.join(", ")
        )));
    };
    place
        .cargo()
        .args(["run", "--release", "-p", package, "--bin", binary])
        .run()
}
