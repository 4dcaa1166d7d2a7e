//! Brings what cargo does not: libtorch and the tools that foreign code is tested with.
//!
//! Safe to run at any time, and quick when nothing is missing: programs are looked up on the
//! path, files by a stamp that is written last.

mod apt;
mod libtorch;
mod tools;

use crate::command::Failure;
use crate::place::Place;

/// For what the machine is being prepared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub(crate) enum Need {
    /// Building and running: libtorch, cmake, a compiler.
    Demo,
    /// And the programs that the tests put our parts against.
    Tests,
}

/// Scripts of the parts that bring their own foreign counterparts; each is idempotent.
const SCRIPTS: [(&str, &str); 3] = [
    (
        "mail senders (swaks, smtp-source)",
        "deploy/tools/fetch-smtp-tools.sh",
    ),
    ("a DDS peer (Cyclone DDS)", "deploy/tools/fetch-dds-peer.sh"),
    ("Apache Kafka", "deploy/kafka/fetch.sh"),
];

/// All that `need` calls for; an error names everything that is still missing.
pub(crate) fn run(place: &Place, need: Need) -> Result<(), Failure> {
    tools::bring(need)?;
    libtorch::bring(place)?;
    if need >= Need::Tests {
        for (what, script) in SCRIPTS {
            if place.root.join(script).is_file() {
                let output = place.script(script).keep_errors().output();
                let output = crate::command::doing(script, output)?;
                if !output.status.success() {
                    return Err(Failure::new(format!(
                        "{what} could not be brought: {script} ended with {}; its complaint stands above",
                        output.status
                    )));
                }
            }
        }
    }
    Ok(())
}
