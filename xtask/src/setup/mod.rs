//! Brings what cargo does not: libtorch and the tools that foreign code is tested with or measured
//! beside.
//!
//! Safe to run at any time, and quick when nothing is missing: programs are looked up on the
//! path, files by a stamp that is written last.

mod apt;
mod cargo_tools;
mod libtorch;
mod tools;

use crate::command::Failure;
use crate::place::Place;

pub(crate) use cargo_tools::{CARGO_DENY, CARGO_FUZZ, bring_nightly};

/// For what the machine is being prepared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Need {
    /// Building and running: libtorch, cmake, a compiler.
    Demo,
    /// And the programs that the tests put our parts against.
    Tests,
    /// A compiler, and what the benchmarks measure our parts beside; no libtorch.
    Bench,
}

impl Need {
    /// Does a machine that is prepared for this want what `other` wants?
    const fn includes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Demo | Self::Tests | Self::Bench, Self::Demo)
            | (Self::Tests, Self::Tests)
            | (Self::Bench, Self::Bench) => true,
            (Self::Demo, Self::Tests | Self::Bench)
            | (Self::Tests, Self::Bench)
            | (Self::Bench, Self::Tests) => false,
        }
    }
}

/// Scripts of the parts that bring their own foreign counterparts; each is idempotent.
const SCRIPTS: &[(Need, &str, &str)] = &[
    (
        Need::Tests,
        "mail senders (swaks, smtp-source)",
        "deploy/tools/fetch-smtp-tools.sh",
    ),
    (
        Need::Tests,
        "a DDS peer (Cyclone DDS)",
        "deploy/tools/fetch-dds-peer.sh",
    ),
    (
        Need::Tests,
        "a DDS peer (Fast DDS)",
        "deploy/tools/build-fastdds-peer.sh",
    ),
    (
        Need::Tests,
        "a DDS peer with DDS Security (Cyclone DDS in C)",
        "deploy/tools/build-cyclone-peer.sh",
    ),
    (
        Need::Tests,
        "a reader of model files (safetensors)",
        "deploy/tools/fetch-safetensors.sh",
    ),
    (
        Need::Tests,
        "Apache Kafka",
        "deploy/kafka/fetch-for-tests.sh",
    ),
    (Need::Bench, "Apache Kafka", "deploy/kafka/fetch.sh"),
    (Need::Bench, "etcd", "deploy/tools/fetch-etcd.sh"),
    (
        Need::Bench,
        "Postfix with smtp-source and smtp-sink",
        "deploy/tools/fetch-postfix.sh",
    ),
    (Need::Bench, "aiosmtpd", "deploy/tools/fetch-aiosmtpd.sh"),
    (
        Need::Bench,
        "coboljsonifier",
        "deploy/tools/fetch-coboljsonifier.sh",
    ),
    (Need::Bench, "Flower", "deploy/tools/fetch-flower.sh"),
    (
        Need::Bench,
        "what Python's torch imports",
        "deploy/tools/fetch-safetensors.sh",
    ),
    (
        Need::Bench,
        "rdkafka_performance",
        "deploy/tools/fetch-rdkafka-performance.sh",
    ),
];

/// All that `need` calls for; an error names everything that is still missing.
pub(crate) fn run(place: &Place, need: Need) -> Result<(), Failure> {
    tools::bring(need)?;
    if need != Need::Bench {
        libtorch::bring(place)?;
    }
    for (_, what, script) in SCRIPTS.iter().filter(|(of, ..)| need.includes(*of)) {
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Need;

    #[test]
    fn benchmarks_and_tests_do_not_bring_each_others_peers() {
        let check = |need: Need, expected: [bool; 3]| {
            let found = [Need::Demo, Need::Tests, Need::Bench].map(|other| need.includes(other));
            assert_eq!(found, expected, "{need:?}");
        };
        check(Need::Demo, [true, false, false]);
        check(Need::Tests, [true, true, false]);
        check(Need::Bench, [true, false, true]);
    }
}
