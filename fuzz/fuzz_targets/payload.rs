#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::payload::harness;

fuzz_target!(|bytes: &[u8]| harness::payload(bytes));
