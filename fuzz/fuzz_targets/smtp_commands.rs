#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::smtp::harness::{Stage, session};

fuzz_target!(|bytes: &[u8]| session(Stage::Commands, bytes));
