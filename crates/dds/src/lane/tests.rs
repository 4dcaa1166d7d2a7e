use super::*;
use crate::qos::Qos;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn queue(limit: usize, overflow: Overflow) -> Queue {
    Queue::new(&Topic::READINGS.with_qos(Qos {
        queue: limit,
        overflow,
        ..Qos::TELEMETRY
    }))
}

fn item(key: &str, sequence: u64) -> Item {
    Item::Write(Sample {
        key: key.into(),
        writer: "w".into(),
        sequence,
        ..Sample::default()
    })
}

fn sequence(item: &Item) -> u64 {
    match item {
        Item::Write(sample) => sample.sequence,
        Item::Dispose(_) => 0,
    }
}

/// What the lane's thread gets; nothing once the queue is closed and empty.
fn next(queue: &Queue, now: fn() -> Instant) -> Vec<u64> {
    let mut batch = VecDeque::new();
    assert_eq!(queue.next(now, &mut batch), !batch.is_empty());
    batch.iter().map(sequence).collect()
}

#[test]
fn a_full_queue_refuses_and_gives_the_item_back() {
    let (queue, meter) = (queue(2, Overflow::Refuse), Meter::default());
    assert!(matches!(queue.offer(item("a", 1), &meter), Offer::Accepted));
    assert!(matches!(queue.offer(item("a", 2), &meter), Offer::Accepted));
    let Offer::Full(back) = queue.offer(item("a", 3), &meter) else {
        panic!("a third item fitted into two places")
    };
    assert_eq!(sequence(&back), 3);
    assert_eq!(meter.accepted.load(Ordering::Relaxed), 2);
}

#[test]
fn replacing_keeps_the_newest_of_a_key_and_refuses_a_foreign_key() {
    let (queue, meter) = (queue(3, Overflow::Replace), Meter::default());
    for (key, number) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
        assert!(!matches!(
            queue.offer(item(key, number), &meter),
            Offer::Full(_)
        ));
    }
    assert!(matches!(queue.offer(item("c", 5), &meter), Offer::Full(_)));
    let order: Vec<_> = std::iter::from_fn(|| queue.try_next())
        .map(|item| sequence(&item))
        .collect();
    assert_eq!(order, [2, 3, 4], "1 made room for 4, which stands behind 3");
}

#[tokio::test]
async fn a_waiting_push_goes_on_when_room_is_made_and_ends_when_closed() {
    let (queue, meter) = (
        Arc::new(queue(1, Overflow::Refuse)),
        Arc::new(Meter::default()),
    );
    assert!(queue.push(item("a", 1), &meter).await);
    let waiter = tokio::spawn({
        let (queue, meter) = (Arc::clone(&queue), Arc::clone(&meter));
        async move { queue.push(item("a", 2), &meter).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(next(&queue, Instant::now), [1]);
    assert!(waiter.await.expect("the pushing task lives"));
    let closed = tokio::spawn({
        let (queue, meter) = (Arc::clone(&queue), Arc::clone(&meter));
        async move { queue.push(item("a", 3), &meter).await }
    });
    tokio::task::yield_now().await;
    queue.close();
    assert!(!closed.await.expect("the pushing task lives"));
    assert_eq!(next(&queue, Instant::now), [2]);
    assert_eq!(next(&queue, Instant::now), [0; 0]);
}

thread_local! {
    static CLOCK: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

fn clock() -> Instant {
    CLOCK.get().expect("the test has set its clock")
}

#[test]
fn who_finds_the_lane_at_rest_writes_himself_and_keeps_the_order() {
    let (queue, meter, start) = (queue(4, Overflow::Refuse), Meter::default(), Instant::now());
    CLOCK.set(Some(start));
    let claim = queue.claim(clock).expect("nothing waits");
    assert!(queue.claim(clock).is_none(), "one at a time");
    assert!(matches!(queue.offer(item("a", 2), &meter), Offer::Accepted));
    drop(claim);
    CLOCK.set(Some(start + 2 * BURST));
    assert!(queue.claim(clock).is_none(), "something waits");
    assert_eq!(next(&queue, clock), [2]);
    assert!(queue.claim(clock).is_none(), "the thread writes");
    assert!(queue.try_next().is_none());
    let claim = queue.claim(clock).expect("at rest again");
    assert!(matches!(queue.offer(item("a", 4), &meter), Offer::Accepted));
    claim.hand_over(item("a", 3));
    assert_eq!(next(&queue, clock), [3, 4], "what found no room is first");
    queue.close();
    assert_eq!(next(&queue, clock), [0; 0]);
    assert!(queue.claim(clock).is_none(), "closed");
}

#[test]
fn the_thread_takes_a_batch_at_a_time_and_what_it_wrote_goes_back() {
    let (queue, meter) = (queue(2 * BATCH, Overflow::Refuse), Meter::default());
    for number in 0..BATCH as u64 + 3 {
        queue.offer(item("a", number), &meter);
    }
    let mut batch = VecDeque::new();
    assert!(queue.next(Instant::now, &mut batch));
    assert_eq!(batch.len(), BATCH);
    let mut rest = VecDeque::new();
    assert!(queue.take_ready(&mut rest));
    assert_eq!(rest.iter().map(sequence).collect::<Vec<_>>(), [64, 65, 66]);
    let mut spent: Vec<Item> = batch.into();
    let large = |len| {
        Item::Write(Sample {
            sealed: vec![0; len],
            ..Sample::default()
        })
    };
    spent.push(large(SPENT_MAX));
    spent.push(large(1));
    queue.give_back(&mut spent);
    assert!(spent.is_empty());
    assert_eq!(
        lock(&queue.state).spent.len(),
        BATCH + 1,
        "as much as is kept"
    );
    queue.offer(item("a", 99), &meter);
    assert!(lock(&queue.state).spent.is_empty(), "the publisher has it");
}

/// A thread that has just started must not take what waits behind somebody who writes: the next one who claims the
/// lane would overtake it.
#[test]
fn a_new_thread_takes_nothing_while_somebody_writes_himself() {
    let (queue, meter, start) = (queue(4, Overflow::Refuse), Meter::default(), Instant::now());
    CLOCK.set(Some(start));
    let claim = queue.claim(clock).expect("a lane at rest");
    assert!(matches!(queue.offer(item("a", 2), &meter), Offer::Accepted));
    let mut batch = VecDeque::new();
    assert!(!queue.take_ready(&mut batch) && batch.is_empty());
    drop(claim);
    CLOCK.set(Some(start + 2 * BURST));
    assert!(!queue.take_ready(&mut batch) && batch.is_empty());
    assert!(queue.claim(clock).is_none(), "something waits");
    assert_eq!(next(&queue, clock), [2]);
}

#[test]
fn a_burst_is_left_to_the_thread() {
    let (queue, start) = (queue(4, Overflow::Refuse), Instant::now());
    CLOCK.set(Some(start));
    drop(queue.claim(clock).expect("nothing was written before"));
    for (after, free) in [
        (BURST / 2, false),
        (BURST, true),
        (BURST + BURST / 2, false),
    ] {
        CLOCK.set(Some(start + after));
        assert_eq!(queue.claim(clock).is_some(), free, "{after:?}");
    }
}

#[test]
fn what_the_type_cannot_carry_is_refused_by_name() {
    let sample = |key: &str, writer: &str, len: usize| {
        Item::Write(Sample {
            key: key.into(),
            writer: writer.into(),
            sealed: vec![0; len],
            ..Sample::default()
        })
    };
    assert_eq!(validate("room", &sample("k", "w", SEALED_MAX)), Ok(()));
    assert!(matches!(
        validate("room", &sample("k", "w", SEALED_MAX + 1)),
        Err(PublishError::TooLarge { .. })
    ));
    assert!(matches!(
        validate("room", &sample("", "w", 1)),
        Err(PublishError::Name { field: "key", .. })
    ));
    assert!(matches!(
        validate("room", &sample("k\0", "w", 1)),
        Err(PublishError::Name { field: "key", .. })
    ));
    assert!(matches!(
        validate("room", &sample("k", "", 1)),
        Err(PublishError::Name {
            field: "writer",
            ..
        })
    ));
    assert!(matches!(
        validate("ro*m", &sample("k", "w", 1)),
        Err(PublishError::Partition { .. })
    ));
}
