#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::smtp::harness;

fuzz_target!(|bytes: &[u8]| harness::sealed(bytes));
