#![no_main]

use custody::harness;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| harness::sealed_sample(bytes));
