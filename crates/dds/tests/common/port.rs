//! The port's contract is one suite that every implementation passes.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test binary uses its part"
)]

use super::{publish_all, sample};
use dds::{DataSpace, Qos, Subscription, Topic};
use std::ops::RangeInclusive;

pub(crate) type Space = Box<dyn DataSpace>;
/// Makes spaces that meet each other.
pub(crate) type Spaces<'a> = &'a dyn Fn() -> Space;

pub(crate) fn topic(name: &str, qos: Qos) -> Topic {
    Topic::new(name, qos).expect("a DDS name")
}

/// A subscription to the room that most of them are about.
pub(crate) fn open(space: &dyn DataSpace, topic: &Topic) -> Subscription {
    space.subscribe(topic, &["room-a"]).expect("subscribed")
}

/// Samples of key `a` with these numbers.
pub(crate) async fn burst(space: &dyn DataSpace, topic: &Topic, numbers: RangeInclusive<u64>) {
    let samples = numbers.map(|number| sample("a", number));
    publish_all(space, topic, "room-a", samples).await;
}

pub(crate) fn assert_parts(sentence: &str, parts: &[&str]) {
    let missing: Vec<_> = parts
        .iter()
        .filter(|part| !sentence.contains(**part))
        .collect();
    assert!(missing.is_empty(), "{missing:?} is missing in {sentence:?}");
}

/// Waits for an event of this shape: the event, or what is made of it.
macro_rules! told {
    ($events:expr, $shape:pat => $what:expr) => {
        match told!($events, $shape) {
            $shape => $what,
            other => unreachable!("{other:?} was not waited for"),
        }
    };
    ($events:expr, $shape:pat) => {
        crate::common::event(&mut $events, |event| {
            #[allow(unused_variables, reason = "bound for what is made of it")]
            {
                matches!(event, $shape)
            }
        })
        .await
    };
}
pub(crate) use told;

/// Every promise, for every implementation.
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let domain = dds::MemoryDomain::new();
                super::$promise(&|| Box::new(domain.join())).await;
            })*
        }
        mod cyclone {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let config = super::common::config();
                super::$promise(&|| Box::new(dds::CycloneSpace::join(&config).expect("joined"))).await;
            })*
        }
    };
}
pub(crate) use contract;
