//! The contract of the port: one suite, passed by every implementation.

mod common;

use common::port::{Spaces, assert_parts, burst, contract, open, told, topic};
use common::{LIMIT, next, next_sample, publish_all, sample};
use dds::{Delivery, Durability, Overflow, Qos, Sample};
use dds::{SpaceEvent, SubscribeError, Topic};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

async fn order_is_kept_per_key(spaces: Spaces<'_>) {
    let (writer, reader, topic) = (spaces(), spaces(), topic("order", Qos::TELEMETRY));
    let mut subscription = open(&*reader, &topic);
    let keys = ["ups-1", "pdu-2", "bmc-3"];
    let sent = (1..=400).flat_map(|sequence| keys.map(|key| sample(key, sequence)));
    let publishing = publish_all(&*writer, &topic, "room-a", sent);
    let receiving = async {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for _ in 0..1200 {
            let got = next_sample(&mut subscription).await;
            assert_eq!(
                got,
                sample(&got.key, got.sequence),
                "every field arrives as it was sent"
            );
            let last = last.entry(got.key.clone()).or_default();
            assert_eq!(got.sequence, *last + 1, "key {}", got.key);
            *last = got.sequence;
        }
    };
    tokio::join!(publishing, receiving);
    // A sample may be here before its writing has returned and been counted.
    writer.drain(LIMIT).await.expect("all is written");
    assert_eq!(writer.counters().written, 1200);
    assert_eq!(reader.counters().delivered, 1200);
}

async fn a_late_subscriber_gets_what_is_retained(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let topic = topic(
        "late",
        Qos {
            retained: 16,
            ..Qos::TELEMETRY
        },
    );
    let sent = (1..=40).flat_map(|sequence| ["a", "b"].map(|key| sample(key, sequence)));
    publish_all(&*writer, &topic, "room-a", sent).await;
    writer.drain(LIMIT).await.expect("all is written");
    let mut subscription = open(&*reader, &topic);
    let mut got: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for _ in 0..32 {
        let Sample { key, sequence, .. } = next_sample(&mut subscription).await;
        got.entry(key).or_default().push(sequence);
    }
    let newest: Vec<u64> = (25..=40).collect();
    assert_eq!(
        got,
        BTreeMap::from([("a".to_owned(), newest.clone()), ("b".to_owned(), newest)])
    );
    burst(&*writer, &topic, 41..=41).await;
    assert_eq!(next_sample(&mut subscription).await.sequence, 41);
}

async fn a_volatile_topic_retains_nothing(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let topic = topic(
        "volatile",
        Qos {
            durability: Durability::Volatile,
            ..Qos::TELEMETRY
        },
    );
    let mut events = writer.events();
    burst(&*writer, &topic, 1..=5).await;
    writer.drain(LIMIT).await.expect("all is written");
    let mut subscription = open(&*reader, &topic);
    told!(events, SpaceEvent::ReaderMatched { .. });
    // A first sample may pass the match by; the last of these cannot.
    burst(&*writer, &topic, 6..=20).await;
    let first = next_sample(&mut subscription).await.sequence;
    assert!(
        first >= 6,
        "sample {first} was published before the subscription"
    );
    while next_sample(&mut subscription).await.sequence < 20 {}
}

async fn partitions_are_separate(spaces: Spaces<'_>) {
    let (writer, reader, topic) = (spaces(), spaces(), topic("partitions", Qos::TELEMETRY));
    let mut only_a = open(&*reader, &topic);
    let mut both = reader.subscribe(&topic, &["room-?"]).expect("subscribed");
    for sequence in 1..=50 {
        publish_all(&*writer, &topic, "room-a", [sample("in-a", sequence)]).await;
        publish_all(&*writer, &topic, "room-b", [sample("in-b", sequence)]).await;
        publish_all(&*writer, &topic, "hall", [sample("in-hall", sequence)]).await;
    }
    for sequence in 1..=50 {
        assert_eq!(next_sample(&mut only_a).await, sample("in-a", sequence));
    }
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..100 {
        *counts.entry(next_sample(&mut both).await.key).or_default() += 1;
    }
    assert_eq!(
        counts,
        BTreeMap::from([("in-a".to_owned(), 50), ("in-b".to_owned(), 50)])
    );
    writer
        .drain(LIMIT)
        .await
        .expect("all is written and acknowledged");
    assert_eq!(
        (only_a.try_recv(), both.try_recv()),
        (None, None),
        "nothing else came"
    );
}

async fn a_subscriber_that_does_not_read_costs_a_bounded_amount(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let topic = topic(
        "stuck",
        Qos {
            backlog: 32,
            ..Qos::TELEMETRY
        },
    );
    let mut subscription = open(&*reader, &topic);
    burst(&*writer, &topic, 1..=2000).await;
    writer
        .drain(LIMIT)
        .await
        .expect("a subscriber that does not read holds up no publisher");
    let mut got = vec![next_sample(&mut subscription).await.sequence];
    while got.last() != Some(&2000) {
        got.push(next_sample(&mut subscription).await.sequence);
    }
    assert!(got.is_sorted(), "order is kept across the gap");
    // In memory the channel, and the backlog.
    assert!(
        got.len() <= 256 + 64 + 32,
        "{} of 2000 samples were kept for a subscriber that did not read",
        got.len()
    );
    let newest: Vec<u64> = (2000 - 31..=2000).collect();
    assert_eq!(
        got[got.len() - 32..],
        newest,
        "the newest {} are complete",
        newest.len()
    );
}

async fn of_a_state_only_the_newest_counts(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let topic = topic(
        "state",
        Qos {
            queue: 4,
            overflow: Overflow::Replace,
            ..Qos::STATE
        },
    );
    for sequence in 1..=2000 {
        writer
            .publish(&topic, "room-a", sample("a", sequence))
            .expect("a state is never refused for its own key");
    }
    writer.drain(LIMIT).await.expect("all is written");
    let mut subscription = open(&*reader, &topic);
    assert_eq!(next_sample(&mut subscription).await.sequence, 2000);
    assert_eq!(writer.counters().accepted, 2000);
}

async fn a_disposal_is_seen(spaces: Spaces<'_>) {
    let (writer, reader, topic) = (spaces(), spaces(), topic("disposal", Qos::ALERT));
    let mut subscription = reader.subscribe(&topic, &["hall"]).expect("subscribed");
    publish_all(&*writer, &topic, "hall", [sample("alert-1", 1)]).await;
    assert_eq!(next_sample(&mut subscription).await.key, "alert-1");
    writer.dispose(&topic, "hall", "alert-1").expect("disposed");
    assert_eq!(
        next(&mut subscription).await,
        Delivery::Disposed {
            key: "alert-1".into()
        }
    );
}

async fn coming_and_going_is_told(spaces: Spaces<'_>) {
    let (writer, reader, topic) = (spaces(), spaces(), topic("coming", Qos::TELEMETRY));
    let (mut at_writer, mut at_reader) = (writer.events(), reader.events());
    let subscription = open(&*reader, &topic);
    burst(&*writer, &topic, 1..=1).await;
    let name = || "coming".to_owned();
    let matched = told!(at_writer, SpaceEvent::ReaderMatched { .. });
    assert_eq!(
        matched,
        SpaceEvent::ReaderMatched {
            topic: name(),
            partition: "room-a".into(),
            readers: 1
        }
    );
    let matched = told!(at_reader, SpaceEvent::WriterMatched { .. });
    assert_eq!(
        matched,
        SpaceEvent::WriterMatched {
            topic: name(),
            writers: 1
        }
    );
    drop(subscription);
    let lost = told!(at_writer, SpaceEvent::ReaderLost { .. });
    assert_eq!(
        lost,
        SpaceEvent::ReaderLost {
            topic: name(),
            partition: "room-a".into(),
            readers: 0
        }
    );
    let _again = open(&*reader, &topic);
    told!(at_reader, SpaceEvent::WriterMatched { .. });
    drop(writer);
    let lost = told!(at_reader, SpaceEvent::WriterLost { .. });
    assert_eq!(
        lost,
        SpaceEvent::WriterLost {
            topic: name(),
            writers: 0
        }
    );
}

async fn profiles_that_do_not_fit_are_told_to_both(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let offered = topic(
        "incompatible",
        Qos {
            durability: Durability::Volatile,
            ..Qos::TELEMETRY
        },
    );
    let requested = topic("incompatible", Qos::TELEMETRY);
    let (mut at_writer, mut at_reader) = (writer.events(), reader.events());
    let mut subscription = open(&*reader, &requested);
    burst(&*writer, &offered, 1..=1).await;
    for events in [&mut at_writer, &mut at_reader] {
        let sentence = told!(*events, SpaceEvent::IncompatibleQos { sentence, .. } => sentence);
        assert_parts(
            &sentence,
            &[
                "topic incompatible",
                "reader",
                "writer",
                "durability",
                "room-a",
            ],
        );
    }
    writer
        .drain(LIMIT)
        .await
        .expect("an unmatched reader holds nothing up");
    assert_eq!(subscription.try_recv(), None);
}

async fn a_space_hears_itself_and_ends_its_subscriptions(spaces: Spaces<'_>) {
    let (space, topic) = (spaces(), topic("itself", Qos::TELEMETRY));
    let mut subscription = open(&*space, &topic);
    burst(&*space, &topic, 1..=1).await;
    assert_eq!(next_sample(&mut subscription).await.sequence, 1);
    let closing = tokio::task::spawn_blocking(move || drop(space));
    assert_eq!(
        tokio::time::timeout(LIMIT, subscription.recv())
            .await
            .expect("it ends in time"),
        None
    );
    closing.await.expect("the space closes");
}

async fn closing_with_an_unread_subscription_ends(spaces: Spaces<'_>) {
    let (space, topic) = (spaces(), topic("closing", Qos::TELEMETRY));
    let subscription = open(&*space, &topic);
    burst(&*space, &topic, 1..=1000).await;
    let closing = tokio::task::spawn_blocking(move || drop(space));
    tokio::time::timeout(LIMIT, closing)
        .await
        .expect("it closes in time")
        .expect("without a panic");
    drop(subscription);
}

async fn samples_of_any_size_keep_their_order(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let topic = topic("sizes", Qos::TELEMETRY);
    let mut subscription = open(&*reader, &topic);
    // Small ones that find the lane at rest are written at once, large ones and bursts by its thread.
    for sequence in 1..=300 {
        let length = [1, 20_000, 300, 1, 8_193][sequence as usize % 5];
        let sample = Sample {
            sealed: vec![7; length],
            ..sample("a", sequence)
        };
        publish_all(&*writer, &topic, "room-a", [sample]).await;
        if sequence % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for expected in 1..=300 {
        assert_eq!(next_sample(&mut subscription).await.sequence, expected);
    }
}

/// Subscriptions, then the reading space, then the writing one go away while samples arrive.
async fn whatever_is_dropped_while_samples_arrive_ends(spaces: Spaces<'_>) {
    let (writer, topic) = (Arc::new(spaces()), topic("dropped", Qos::TELEMETRY));
    let publishing = tokio::spawn({
        let (writer, topic) = (Arc::downgrade(&writer), topic.clone());
        async move {
            for sequence in 1.. {
                let Some(writer) = writer.upgrade() else {
                    return;
                };
                let sample = sample("a", sequence);
                if writer.publish_wait(&topic, "room-a", sample).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    for _ in 0..3 {
        let reader = spaces();
        for _ in 0..8 {
            let mut short = open(&*reader, &topic);
            next_sample(&mut short).await;
            // Dropped with a waker in the reader's listener, or with samples that nobody took.
            let _ = tokio::time::timeout(Duration::ZERO, short.recv()).await;
        }
        let mut waiting = open(&*reader, &topic);
        next_sample(&mut waiting).await;
        let waiting = tokio::spawn(async move { while waiting.recv().await.is_some() {} });
        let closing = tokio::task::spawn_blocking(move || drop(reader));
        let ended = async { tokio::join!(closing, waiting) };
        let (closed, waited) = tokio::time::timeout(LIMIT, ended).await.expect("in time");
        closed.expect("the space closes");
        waited.expect("the subscription ends");
    }
    let closing = tokio::task::spawn_blocking(move || drop(writer));
    let ended = async { tokio::join!(closing, publishing) };
    let (closed, published) = tokio::time::timeout(LIMIT, ended).await.expect("in time");
    closed.expect("the space closes");
    published.expect("publishing ends");
}

async fn what_breaks_a_rule_is_refused_in_words(spaces: Spaces<'_>) {
    let (space, topic) = (spaces(), topic("rules", Qos::TELEMETRY));
    let huge = Sample {
        sealed: vec![0; dds::SEALED_MAX + 1],
        ..sample("a", 1)
    };
    let cases = [
        (space.publish(&topic, "room-*", sample("a", 1)), "partition"),
        (space.publish(&topic, "room-a", sample("", 1)), "key"),
        (space.publish(&topic, "room-a", huge), "1048577"),
        (space.dispose(&topic, "", "a"), "partition"),
    ];
    for (result, word) in cases {
        let error = result.expect_err("it breaks a rule").to_string();
        assert!(error.contains(word), "{word:?} is missing in {error:?}");
    }
    assert!(matches!(
        space.subscribe(&topic, &[]),
        Err(SubscribeError::NoPartition { .. })
    ));
    assert!(matches!(
        space.subscribe(&topic, &["a,b"]),
        Err(SubscribeError::Partition { .. })
    ));
    assert!(Topic::new("9 lives", Qos::STATE).is_none());
}

contract!(
    order_is_kept_per_key,
    a_late_subscriber_gets_what_is_retained,
    a_volatile_topic_retains_nothing,
    partitions_are_separate,
    a_subscriber_that_does_not_read_costs_a_bounded_amount,
    of_a_state_only_the_newest_counts,
    a_disposal_is_seen,
    coming_and_going_is_told,
    profiles_that_do_not_fit_are_told_to_both,
    a_space_hears_itself_and_ends_its_subscriptions,
    closing_with_an_unread_subscription_ends,
    samples_of_any_size_keep_their_order,
    whatever_is_dropped_while_samples_arrive_ends,
    what_breaks_a_rule_is_refused_in_words,
);
