//! The fuzz target's entry over its stored corpus, as it is and changed.

/// Changed copies of each file.
const COPIES: u64 = 500;

#[test]
fn stored_and_changed_samples_hold() {
    corpus::replay("sealed_sample", COPIES, custody::harness::sealed_sample);
}
