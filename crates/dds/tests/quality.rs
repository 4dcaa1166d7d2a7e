//! The contract of the port, second half: what each policy of a topic's quality of service does.

mod common;

use common::port::{Spaces, assert_parts, burst, contract, open, told, topic};
use common::{LIMIT, next_sample, publish_all, sample};
use dds::{
    CycloneSpace, DataSpace, Durability, Liveliness, Ownership, Promise, PublishError, Qos,
    Reliability, SpaceEvent, SubscribeError, Topic,
};
use std::time::Duration;

/// Long against a scheduling delay of a busy machine, short for a test.
const SPAN: Duration = Duration::from_millis(400);

/// Publishes sample 0 until `subscription` has it: then both ends have matched.
async fn meet(space: &dyn DataSpace, topic: &Topic, subscription: &mut dds::Subscription) {
    loop {
        publish_all(space, topic, "room-a", [sample("meet", 0)]).await;
        if tokio::time::timeout(SPAN / 4, subscription.sample())
            .await
            .is_ok()
        {
            return;
        }
    }
}

async fn best_effort_meets_whoever_asks_for_no_more(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let status = topic("status", Qos::STATUS);
    let mut events = reader.events();
    let reliable = topic("status", Qos::TELEMETRY);
    let mut unmet = open(&*reader, &reliable);
    let mut met = open(&*reader, &status);
    meet(&*writer, &status, &mut met).await;
    assert_eq!(unmet.try_recv(), None, "nothing unreliable came");
    let sentence = told!(events, SpaceEvent::IncompatibleQos { sentence, .. } => sentence);
    let parts = [
        "topic status",
        "reliability",
        "reliable",
        "best-effort",
        "room-a",
        "process",
    ];
    assert_parts(&sentence, &parts);
}

async fn a_silent_key_is_told_to_both_ends(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let qos = Qos {
        deadline: Some(SPAN),
        ..Qos::TELEMETRY
    };
    let topic = topic("deadline", qos);
    let (mut at_writer, mut at_reader) = (writer.events(), reader.events());
    let mut subscription = open(&*reader, &topic);
    burst(&*writer, &topic, 1..=1).await;
    assert_eq!(next_sample(&mut subscription).await.sequence, 1);
    let missed = told!(
        at_reader,
        SpaceEvent::DeadlineMissed { total: 1.., key, deadline, .. } => (key, deadline)
    );
    assert_eq!(missed, (Some("a".to_owned()), SPAN));
    told!(
        at_writer,
        SpaceEvent::PromiseBroken {
            promise: Promise::Deadline,
            total: 1..,
            ..
        }
    );
}

async fn a_writer_that_stops_working_loses_its_liveliness(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let qos = Qos {
        liveliness: Liveliness::ManualByTopic { lease: SPAN },
        ..Qos::TELEMETRY
    };
    let topic = topic("liveliness", qos);
    let (mut at_writer, mut at_reader) = (writer.events(), reader.events());
    let mut subscription = open(&*reader, &topic);
    burst(&*writer, &topic, 1..=1).await;
    assert_eq!(next_sample(&mut subscription).await.sequence, 1);
    let lost = told!(at_reader, SpaceEvent::LivelinessLost { .. });
    let silent = SpaceEvent::LivelinessLost {
        topic: "liveliness".into(),
        partitions: "room-a".into(),
        alive: 0,
        silent: 1,
    };
    assert_eq!(lost, silent);
    told!(
        at_writer,
        SpaceEvent::PromiseBroken {
            promise: Promise::Liveliness,
            ..
        }
    );
    burst(&*writer, &topic, 2..=2).await;
    told!(
        at_reader,
        SpaceEvent::LivelinessRegained {
            alive: 1,
            silent: 0,
            ..
        }
    );
    assert_eq!(next_sample(&mut subscription).await.sequence, 2);
}

async fn a_sample_past_its_lifespan_is_not_delivered(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let qos = Qos {
        lifespan: Some(SPAN),
        ..Qos::TELEMETRY
    };
    let topic = topic("lifespan", qos);
    publish_all(&*writer, &topic, "room-a", [sample("old", 1)]).await;
    writer.drain(LIMIT).await.expect("it is written");
    // Nobody tells when a retained sample ends: only time does it.
    tokio::time::sleep(SPAN + SPAN / 4).await;
    publish_all(&*writer, &topic, "room-a", [sample("new", 2)]).await;
    let mut subscription = open(&*reader, &topic);
    assert_eq!(next_sample(&mut subscription).await, sample("new", 2));
}

async fn a_time_filter_lets_one_sample_of_a_key_pass(spaces: Spaces<'_>) {
    let (writer, reader) = (spaces(), spaces());
    let offered = topic("filter", Qos::TELEMETRY);
    let filtered = offered.clone().with_qos(Qos {
        time_filter: Some(4 * SPAN),
        ..Qos::TELEMETRY
    });
    let mut all = open(&*reader, &offered);
    let mut few = open(&*reader, &filtered);
    meet(&*writer, &offered, &mut all).await;
    assert_eq!(next_sample(&mut few).await.key, "meet");
    let burst = (1..=20).map(|sequence| sample("a", sequence));
    publish_all(&*writer, &offered, "room-a", burst).await;
    publish_all(&*writer, &offered, "room-a", [sample("b", 21)]).await;
    while next_sample(&mut all).await.sequence < 21 {}
    assert_eq!(next_sample(&mut few).await, sample("a", 1));
    assert_eq!(next_sample(&mut few).await, sample("b", 21));
}

async fn of_an_exclusive_key_the_strongest_live_writer_counts(spaces: Spaces<'_>) {
    let (weak, strong, reader) = (spaces(), spaces(), spaces());
    let with = |strength| {
        let qos = Qos {
            ownership: Ownership::Exclusive { strength },
            durability: Durability::Volatile,
            ..Qos::TELEMETRY
        };
        topic("ownership", qos)
    };
    let mut subscription = open(&*reader, &with(0));
    meet(&*weak, &with(1), &mut subscription).await;
    meet(&*strong, &with(9), &mut subscription).await;
    publish_all(&*strong, &with(9), "room-a", [sample("a", 1)]).await;
    while next_sample(&mut subscription).await.key != "a" {}
    publish_all(&*weak, &with(1), "room-a", [sample("a", 2), sample("b", 3)]).await;
    assert_eq!(
        next_sample(&mut subscription).await,
        sample("b", 3),
        "the stronger one owns key a, and the weaker its own"
    );
    let mut events = reader.events();
    tokio::task::spawn_blocking(move || drop(strong))
        .await
        .expect("the stronger one leaves");
    told!(events, SpaceEvent::WriterLost { .. });
    publish_all(&*weak, &with(1), "room-a", [sample("a", 4)]).await;
    assert_eq!(next_sample(&mut subscription).await, sample("a", 4));
}

async fn a_contradiction_is_refused_in_words(spaces: Spaces<'_>) {
    let space = spaces();
    let qos = Qos {
        reliability: Reliability::BestEffort,
        ..Qos::TELEMETRY
    };
    let wrong = topic("contradiction", qos);
    let refused = space.publish(&wrong, "room-a", sample("a", 1));
    let Err(PublishError::Refused { reason, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("make durability volatile"), "{reason}");
    assert!(matches!(
        space.subscribe(&wrong, &["room-a"]),
        Err(SubscribeError::Refused { .. })
    ));
}

/// A participant's configuration overrules what the caller's topic says.
#[tokio::test]
async fn configured_topics_replace_those_of_the_same_name() {
    let space = CycloneSpace::join(&common::config()).expect("joined");
    let wrong = Qos {
        reliability: Reliability::BestEffort,
        ..Qos::TELEMETRY
    };
    let space = space.with_topics([Topic::READINGS.with_qos(wrong)]);
    let refused = space.publish(&Topic::READINGS, "room-a", sample("a", 1));
    assert!(
        matches!(refused, Err(PublishError::Refused { .. })),
        "{refused:?}"
    );
    space
        .publish(&Topic::ALERTS, "room-a", sample("a", 1))
        .expect("another topic is as it was");
}

/// Cyclone alone would end the process.
#[tokio::test]
async fn a_peer_without_an_address_is_told_in_words() {
    let nowhere = dds::DomainConfig {
        peers: vec!["no-such-host.invalid".into()],
        ..common::config()
    };
    let refused = CycloneSpace::join(&nowhere).err().expect("nobody to meet");
    let sentence = refused.to_string();
    assert!(sentence.contains("no-such-host.invalid"), "{sentence}");
}

contract!(
    best_effort_meets_whoever_asks_for_no_more,
    a_silent_key_is_told_to_both_ends,
    a_writer_that_stops_working_loses_its_liveliness,
    a_sample_past_its_lifespan_is_not_delivered,
    a_time_filter_lets_one_sample_of_a_key_pass,
    of_an_exclusive_key_the_strongest_live_writer_counts,
    a_contradiction_is_refused_in_words,
);
