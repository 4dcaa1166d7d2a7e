//! Two links joined back to back, keys arriving whenever they like.

use super::super::ratchet::{Direction, Ratchet};
use super::super::record::{Record, Sealer};
use super::*;
use proptest::prelude::*;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

fn paused<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

type Ends = Link<DuplexStream>;

/// Both ends over a connection that holds `room` bytes each way.
fn linked(room: usize) -> ((Ends, EpochTable), (Ends, EpochTable)) {
    let (near, far) = duplex(room);
    let (keys_a, keys_b) = key_pair();
    let (table_a, table_b) = (EpochTable::default(), EpochTable::default());
    let (a, b) = (start(near, keys_a, &table_a), start(far, keys_b, &table_b));
    ((a, table_a), (b, table_b))
}

/// Bytes that tell their place.
fn load(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|place| u8::try_from(place % 251).unwrap() ^ seed)
        .collect()
}

/// Sends `data` in pieces with pauses.
async fn feed(mut to: LinkWriter<DuplexStream>, data: Vec<u8>, piece: usize, pause: u64) {
    for piece in data.chunks(piece) {
        to.write_all(piece).await.unwrap();
        to.flush().await.unwrap();
        sleep(Duration::from_millis(pause)).await;
    }
    std::mem::forget(to); // keeps the half open until the reader is through
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whenever whichever end learns whichever epoch, under load both ways: no byte is lost or
    /// changed, no epoch goes back, and in the end both directions use the newest common epoch.
    #[test]
    fn keys_move_under_load_in_both_directions(
        epochs_a in prop::collection::btree_map(1u64..30, 0u64..400, 0..8),
        epochs_b in prop::collection::btree_map(1u64..30, 0u64..400, 0..8),
        room in prop_oneof![Just(64usize), Just(4096), Just(1 << 20)],
        length in 1usize..100_000,
        piece in 1_000usize..70_000,
        pause in 0u64..40,
    ) {
        paused(async move {
            let ((a, table_a), (b, table_b)) = linked(room);
            for (table, epochs) in [(&table_a, &epochs_a), (&table_b, &epochs_b)] {
                for (epoch, at) in epochs.clone() {
                    let table = table.clone();
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(at)).await;
                        let (epoch, secret) = secret(epoch);
                        table.insert(epoch, secret);
                    });
                }
            }
            let (mut read_a, write_a) = (a.reader, a.writer);
            let (mut read_b, write_b) = (b.reader, b.writer);
            tokio::spawn(feed(write_a, load(length, 1), piece, pause));
            tokio::spawn(feed(write_b, load(length, 2), piece, pause));
            let watched = [a.handle.clone(), b.handle.clone()];
            let watcher = tokio::spawn(async move {
                let mut last = [KeyEpoch(0); 4];
                loop {
                    let now = [
                        watched[0].sending_epoch(), watched[0].receiving_epoch(),
                        watched[1].sending_epoch(), watched[1].receiving_epoch(),
                    ];
                    assert!(now.iter().zip(&last).all(|(now, last)| now >= last), "{last:?} → {now:?}");
                    last = now;
                    sleep(Duration::from_millis(7)).await;
                }
            });
            let (mut at_b, mut at_a) = (vec![0; length], vec![0; length]);
            let both = async { tokio::try_join!(read_b.read_exact(&mut at_b), read_a.read_exact(&mut at_a)) };
            timeout(Duration::from_secs(60), both).await.expect("a deadlock").unwrap();
            assert!(at_b == load(length, 1) && at_a == load(length, 2), "bytes changed");
            hear_out(read_a);
            hear_out(read_b);
            sleep(Duration::from_secs(1)).await; // virtual; the last epochs have arrived and settled
            assert!(!watcher.is_finished(), "an epoch went back");
            let common = epochs_a.keys().rev().find(|epoch| epochs_b.contains_key(epoch)).copied().unwrap_or(0);
            // Moving on early is allowed to pass over a lower epoch, never over the newest one.
            for handle in [&a.handle, &b.handle] {
                assert_eq!(handle.sending_epoch(), KeyEpoch(common));
                assert_eq!(handle.receiving_epoch(), KeyEpoch(common));
            }
        });
    }
}

#[test]
fn one_sided_epochs_change_nothing_and_cost_nothing() {
    paused(async {
        let ((a, table_a), (b, table_b)) = linked(4096);
        hear_out(a.reader);
        hear_out(b.reader);
        for epoch in 1..=5_000 {
            let (epoch, secret) = secret(epoch);
            table_a.insert(epoch, secret);
            if epoch.0 % 50 == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(a.handle.sending_epoch(), KeyEpoch(0));
        let kept = a.handle.kept_epochs();
        assert!(kept.0 <= 64 && b.handle.kept_epochs().1 <= 16, "{kept:?}");
        // The one that lagged behind joins the newest epoch and nothing else.
        let (epoch, newest) = secret(5_000);
        table_b.insert(epoch, newest);
        sleep(Duration::from_secs(1)).await;
        for handle in [&a.handle, &b.handle] {
            assert_eq!(
                (handle.sending_epoch(), handle.receiving_epoch()),
                (epoch, epoch)
            );
            assert_eq!(
                handle.kept_epochs(),
                (0, 0),
                "secrets that nobody needs are kept"
            );
        }
    });
}

#[test]
fn a_dead_peer_is_noticed_within_the_idle_limit_and_an_idle_link_lives() {
    paused(async {
        let ((a, _ta), (b, _tb)) = linked(4096);
        hear_out(a.reader);
        hear_out(b.reader);
        assert!(
            timeout(Duration::from_secs(60), a.handle.closed())
                .await
                .is_err(),
            "an idle link died"
        );
        drop(b.writer);
        let gone = timeout(Duration::from_secs(1), a.handle.closed())
            .await
            .unwrap();
        assert!(gone.contains("connection lost"), "{gone}");

        let (near, _silent) = duplex(4096);
        let link = start(near, key_pair().0, &EpochTable::default());
        hear_out(link.reader);
        let before = Instant::now();
        let reason = link.handle.closed().await;
        assert!(reason.contains("nothing heard for 1.9s"), "{reason}");
        assert!(before.elapsed() < Duration::from_millis(2000));
    });
}

#[test]
fn a_peer_that_lives_but_takes_nothing_bounds_what_we_hold_and_is_dropped() {
    paused(async {
        let (near, far) = duplex(1024);
        let mut link = start(near, key_pair().0, &EpochTable::default());
        let (_unread, mut far_writer) = tokio::io::split(far);
        let alive = tokio::spawn(async move {
            let mut sealer = Sealer::new(
                &[2; 32],
                Ratchet::new(&[2; 32], [3; 32], Direction::FromResponder),
            );
            loop {
                let mut out = Vec::new();
                sealer.seal(Record::Heartbeat, &mut out).unwrap();
                if far_writer.write_all(&out).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(500)).await;
            }
        });
        let before = Instant::now();
        let mut taken = 0;
        hear_out(link.reader);
        while let Ok(length) = link.writer.write(&[0; 8192]).await {
            taken += length;
        }
        assert!(
            taken <= 2 * (64 << 10) + 8192,
            "{taken} bytes taken for a peer that reads none"
        );
        let reason = link.handle.closed().await;
        assert_eq!(reason, "the peer took nothing for 10s");
        assert!(before.elapsed() < Duration::from_secs(11));
        alive.abort();
    });
}

#[test]
fn a_peer_that_moves_where_it_may_not_is_dropped() {
    for (epochs, expected) in [
        (
            vec![9],
            "the peer moves to epoch 9, which this node did not announce",
        ),
        (
            vec![4, 4],
            "the peer moves from epoch 4 to 4; epochs only grow",
        ),
        (
            vec![4, 3],
            "the peer moves from epoch 4 to 3; epochs only grow",
        ),
    ] {
        paused(async move {
            let (near, mut far) = duplex(1 << 16);
            let table = EpochTable::default();
            for epoch in [3, 4] {
                let (epoch, secret) = secret(epoch);
                table.insert(epoch, secret);
            }
            let link = start(near, key_pair().0, &table);
            hear_out(link.reader);
            sleep(Duration::from_millis(10)).await; // virtual: the announcements are out
            let mut sealer = Sealer::new(
                &[2; 32],
                Ratchet::new(&[2; 32], [3; 32], Direction::FromResponder),
            );
            let mut out = Vec::new();
            for epoch in epochs {
                let (epoch, secret) = secret(epoch);
                sealer.advance(epoch, &secret, &mut out).unwrap();
            }
            far.write_all(&out).await.unwrap();
            assert_eq!(link.handle.closed().await, expected);
        });
    }
}
