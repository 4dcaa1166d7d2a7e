//! The fuzz target's entry over its stored corpus, as it is and changed.

/// Changed copies of each file.
const COPIES: u64 = 2_000;

#[test]
fn stored_and_changed_payloads_hold() {
    corpus::replay("payload", COPIES, wire::payload::harness::payload);
}
