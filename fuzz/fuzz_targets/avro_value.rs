#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::harness;

fuzz_target!(|bytes: &[u8]| harness::avro_value(bytes));
