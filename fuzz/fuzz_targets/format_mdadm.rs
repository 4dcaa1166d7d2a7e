#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::formats::Format;
use telemetry::harness;

fuzz_target!(|bytes: &[u8]| harness::one_format(Format::Mdadm, bytes));
