//! The fuzz targets' entries over the stored corpora (`fuzz/corpus`), as they are and changed at random.

use std::fs;
use std::path::Path;
use telemetry::formats::Format;
use telemetry::harness;
use telemetry::smtp::harness::{self as door, Stage};

/// Changed copies of each file: some tens of thousands of runs in all.
const COPIES: u64 = 300;
/// A session is run three times, and a sealed message costs some curve operations.
const FEWER_COPIES: u64 = 60;

/// What a target runs.
type Entry = Box<dyn Fn(&[u8])>;

fn target_of(format: Format) -> String {
    format!("format_{}", format.name().replace('-', "_"))
}

/// The targets that are ours, with their entries; others belong to other crates.
fn entries() -> Vec<(String, u64, Entry)> {
    let named = |name: &str, copies, entry: Entry| (name.to_owned(), copies, entry);
    let session = |stage| -> Entry { Box::new(move |bytes: &[u8]| door::session(stage, bytes)) };
    let mut all = vec![
        named(
            "mime_to_reports",
            COPIES,
            Box::new(harness::mime_to_reports),
        ),
        named("pattern_file", COPIES, Box::new(harness::pattern_file)),
        named(
            "copybook_text",
            FEWER_COPIES,
            Box::new(harness::copybook_text),
        ),
        named("record_bytes", COPIES, Box::new(harness::record_bytes)),
        named("avro_value", COPIES, Box::new(harness::avro_value)),
        named("senml_cbor", COPIES, Box::new(harness::senml_cbor)),
        named(
            "function_answer",
            COPIES,
            Box::new(harness::function_answer),
        ),
        named("smtp_commands", FEWER_COPIES, session(Stage::Commands)),
        named("smtp_data", FEWER_COPIES, session(Stage::Data)),
        named("smtp_chunks", FEWER_COPIES, session(Stage::Chunks)),
        named("smtp_login", FEWER_COPIES, session(Stage::Login)),
        named("sealed_message", FEWER_COPIES, Box::new(door::sealed)),
        named("proxy_header", COPIES, Box::new(door::proxy)),
    ];
    for format in Format::ALL {
        let entry: Entry = Box::new(move |bytes| {
            harness::one_format(format, bytes);
        });
        all.push((target_of(format), COPIES, entry));
    }
    all
}

#[test]
fn every_entry_has_a_target() {
    let targets = corpus::targets();
    for (name, ..) in entries() {
        assert!(targets.contains(&name), "{name}");
    }
}

/// A fixture that is not in its format's corpus is a layout that nobody fuzzes.
#[test]
fn every_fixture_is_in_a_corpus() {
    let stored: Vec<corpus::Stored> = corpus::targets()
        .iter()
        .flat_map(|target| corpus::files(target))
        .collect();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mail");
    for entry in fs::read_dir(Path::new(fixtures)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            let raw = fs::read(&path).unwrap();
            assert!(
                stored.iter().any(|file| file.bytes == raw),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn stored_mails_hold_as_whole_mails() {
    for format in Format::ALL {
        corpus::replay(&target_of(format), 0, harness::mime_to_reports);
    }
}

#[test]
fn stored_and_changed_inputs_hold() {
    for (target, copies, entry) in entries() {
        corpus::replay(&target, copies, entry);
    }
}
