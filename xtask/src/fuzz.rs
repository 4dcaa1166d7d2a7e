//! Fuzzing with coverage, for as long as one likes: docs/fuzzing.md. What CI does is an ordinary test
//! that replays the stored corpora.

use crate::command::{Command, Failure, doing};
use crate::place::Place;
use crate::setup::{CARGO_FUZZ, bring_nightly};
use std::fs;
use std::path::Path;

/// Largest input that is tried. The corpora's files are below it.
const MAX_INPUT_BYTES: u32 = 64 << 10;
/// Beyond it an input is a bomb. A mail may unpack to 4 MiB, a Fetch response to 128.
const MAX_MEMORY_MB: u32 = 2_048;
/// Seconds after which an input counts as one that hangs.
const SLOW_S: u32 = 20;

/// The target that is not of cargo-fuzz.
const RTPS: &str = "rtps";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs: 60s, 5m, 1h
    #[arg(long = "for", value_name = "SPAN", default_value = "60s", value_parser = seconds)]
    span: u64,
    /// Targets; all if none is named
    targets: Vec<String>,
}

/// `90`, `90s`, `2m` or `1h`.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some(_) | None => (text, 1),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a number with s, m or h, such as 60s".to_owned())?;
    match number.checked_mul(unit) {
        Some(seconds) if seconds > 0 => Ok(seconds),
        Some(_) | None => Err("it is no span of time to fuzz for".to_owned()),
    }
}

pub(crate) fn run(place: &Place, arguments: &Arguments) -> Result<(), Failure> {
    let all = targets(&place.root)?;
    let mut chosen = chosen(&all, &arguments.targets)?;
    let mut failed = Vec::new();
    if let Some(at) = chosen.iter().position(|target| *target == RTPS) {
        chosen.remove(at);
        if let Err(failure) = receive_path(place, arguments.span) {
            eprintln!("fuzz: {failure}");
            failed.push(RTPS);
        }
    }
    if !chosen.is_empty() {
        failed.extend(by_cargo_fuzz(place, &chosen, arguments.span)?);
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} failed; the inputs are in fuzz/artifacts, and docs/fuzzing.md says what to do with one",
        failed.join(", ")
    )))
}

/// What libFuzzer is told for every target.
fn limits(span: u64) -> [String; 4] {
    [
        format!("-max_total_time={span}"),
        format!("-max_len={MAX_INPUT_BYTES}"),
        format!("-rss_limit_mb={MAX_MEMORY_MB}"),
        format!("-timeout={SLOW_S}"),
    ]
}

/// Cyclone's receive path, in C: neither a nightly compiler nor cargo-fuzz, but clang.
fn receive_path(place: &Place, span: u64) -> Result<(), Failure> {
    println!("fuzz: {RTPS}, {span} s");
    let built = place.root.join("target/fuzz-rtps");
    let found = place.root.join("target/fuzz-corpus").join(RTPS);
    let artifacts = place.root.join("fuzz/artifacts").join(RTPS);
    for folder in [&found, &artifacts] {
        doing(folder.display(), fs::create_dir_all(folder))?;
    }
    let mut build = place.script("fuzz/rtps/build.sh");
    build.arg(&built).run_unattended()?;
    let mut command = Command::new(built.join(RTPS));
    command
        .folder(&place.root)
        .arg(&found)
        .arg(built.join("seeds"))
        .args(limits(span))
        .arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.run_unattended()
}

/// Those in Rust; the ones that failed.
fn by_cargo_fuzz<'a>(
    place: &Place,
    chosen: &[&'a str],
    span: u64,
) -> Result<Vec<&'a str>, Failure> {
    bring_nightly()?;
    let tool = CARGO_FUZZ.bring(place)?;
    let mut failed = Vec::new();
    for &target in chosen {
        let stored = place.root.join("fuzz/corpus").join(target);
        // What is found goes here, so that a run changes nothing that is committed.
        let found = place.root.join("target/fuzz-corpus").join(target);
        doing(found.display(), fs::create_dir_all(&found))?;
        println!("fuzz: {target}, {span} s");
        let mut command = Command::new(&tool);
        command
            .folder(&place.root)
            .with("RUSTUP_TOOLCHAIN", "nightly")
            .without(&"CARGO_TARGET_DIR".into())
            .arg("run");
        if needs_kafka(target) {
            command.args(["--features", "kafka"]);
        }
        command
            .arg("--target-dir")
            .arg(place.root.join("target/fuzz"))
            .arg(target)
            .arg(&found)
            .arg(&stored)
            .arg("--")
            .args(limits(span));
        if let Err(failure) = command.run_unattended() {
            eprintln!("fuzz: {failure}");
            failed.push(target);
        }
    }
    Ok(failed)
}

/// The Kafka decoders live above libraries that take minutes to build, and that no other target waits for.
fn needs_kafka(target: &str) -> bool {
    target.starts_with("kafka_")
}

fn targets(root: &Path) -> Result<Vec<String>, Failure> {
    let folder = root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in doing(folder.display(), fs::read_dir(&folder))? {
        let path = doing(folder.display(), entry)?.path();
        names.extend(
            path.file_stem()
                .and_then(|stem| Some(stem.to_str()?.to_owned())),
        );
    }
    names.push(RTPS.to_owned());
    names.sort();
    Ok(names)
}

fn chosen<'a>(all: &'a [String], wanted: &[String]) -> Result<Vec<&'a str>, Failure> {
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        return Err(Failure::new(format!(
            "no target is called `{unknown}`; there are: {}",
            all.join(", ")
        )));
    }
    let is_chosen = |name: &&String| wanted.is_empty() || wanted.contains(name);
    Ok(all.iter().filter(is_chosen).map(String::as_str).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_unit() {
        let table = [
            ("60s", Some(60)),
            ("2m", Some(120)),
            ("1h", Some(3_600)),
            ("90", Some(90)),
            ("0s", None),
            ("m", None),
            ("", None),
            ("9999999999999999999h", None),
        ];
        for (text, expected) in table {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn targets_are_those_of_the_folder() {
        let all = targets(&Place::find().unwrap().root).unwrap();
        assert!(
            ["mime_to_reports", RTPS]
                .map(String::from)
                .iter()
                .all(|name| all.contains(name))
        );
        assert_eq!(chosen(&all, &[]).unwrap().len(), all.len());
        let one = ["pattern_file".to_owned()];
        assert_eq!(chosen(&all, &one).unwrap(), ["pattern_file"]);
        let failure = chosen(&all, &["nothing".to_owned()]).unwrap_err();
        assert!(
            failure
                .to_string()
                .contains("no target is called `nothing`; there are: ")
        );
        assert!(needs_kafka("kafka_fetch") && !needs_kafka("format_csv"));
    }
}
