//! The entries of the Kafka fuzz targets over their stored corpora, as they are and changed.

use edge::kafka::harness;

/// Changed copies of each file.
const COPIES: u64 = 300;

#[test]
fn stored_and_changed_fetch_responses_hold() {
    corpus::replay("kafka_fetch", COPIES, harness::fetch_response);
}

#[test]
fn stored_and_changed_record_batches_hold() {
    corpus::replay("kafka_batches", COPIES, harness::record_batches);
}
