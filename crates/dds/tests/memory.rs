//! What the in-memory data space offers beyond the contract.

mod common;

use common::{next_sample, sample};
use dds::{DataSpace, MemoryDomain, PublishError, Qos, Topic};

#[tokio::test]
async fn a_stalled_domain_fills_the_queue_then_refuses_and_loses_nothing() {
    let domain = MemoryDomain::new();
    let (writer, reader) = (domain.join(), domain.join());
    let topic = Topic::READINGS.with_qos(Qos {
        queue: 8,
        ..Qos::TELEMETRY
    });
    let mut subscription = reader.subscribe(&topic, &["room-a"]).expect("subscribed");
    domain.stall(true);
    for sequence in 1..=8 {
        writer
            .publish(&topic, "room-a", sample("a", sequence))
            .expect("there is room");
    }
    let refused = writer.publish(&topic, "room-a", sample("a", 9));
    assert!(
        matches!(refused, Err(PublishError::Full { limit: 8, .. })),
        "{refused:?}"
    );
    assert_eq!(writer.counters().refused, 1);
    assert_eq!(subscription.try_recv(), None);
    domain.stall(false);
    for sequence in 1..=8 {
        assert_eq!(next_sample(&mut subscription).await.sequence, sequence);
    }
    writer
        .publish(&topic, "room-a", sample("a", 10))
        .expect("there is room again");
    assert_eq!(next_sample(&mut subscription).await.sequence, 10);
}
