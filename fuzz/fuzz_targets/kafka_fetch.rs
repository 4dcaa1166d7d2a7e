#![no_main]

use edge::kafka::harness;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| harness::fetch_response(bytes));
