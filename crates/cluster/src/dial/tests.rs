//! Pauses, jitter and changed addresses, in virtual time.

use super::*;
use crate::members::MemberTable;
use crate::noise::EpochTable;
use crate::tests::book::entry;
use crate::tests::{Handler, config};
use std::io;
use std::sync::Mutex;
use tokio::io::DuplexStream;
use tokio::time::Instant;

/// Notes when it is asked to dial where, and finds nobody.
#[derive(Default)]
struct Nobody {
    dials: Mutex<Vec<(Duration, String)>>,
    hangs: bool,
}

impl Transport for (Arc<Nobody>, Instant) {
    type Stream = DuplexStream;

    async fn dial(&self, _: &NodeId, address: &str) -> io::Result<DuplexStream> {
        let dial = (self.1.elapsed(), address.to_owned());
        self.0.dials.lock().unwrap().push(dial);
        if self.0.hangs {
            std::future::pending::<()>().await;
        }
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    async fn accept(&self) -> io::Result<DuplexStream> {
        std::future::pending().await
    }
}

/// What `me` does within `time` to reach `peer`; it moves to "there" at `moves`.
async fn dials(
    me: &str,
    peer: &str,
    hangs: bool,
    time: Duration,
    moves: Option<Duration>,
) -> Vec<(Duration, String)> {
    let config = config(me, MemberTable::founding([entry(peer, "here")]));
    let links =
        Arc::new(Links::new(config, EpochTable::default(), Arc::new(Handler::default())).unwrap());
    let nobody = Arc::new(Nobody {
        hangs,
        ..Nobody::default()
    });
    let transport = Arc::new((Arc::clone(&nobody), Instant::now()));
    let (address, follows) = watch::channel("here".to_owned());
    let dialing = tokio::spawn(keep_linked(links, transport, peer.into(), follows));
    tokio::time::sleep(moves.unwrap_or(time)).await;
    address.send_replace("there".to_owned());
    tokio::time::sleep(time.saturating_sub(moves.unwrap_or(time))).await;
    dialing.abort();
    let dials = nobody.dials.lock().unwrap();
    dials.clone()
}

#[tokio::test(start_paused = true)]
async fn pauses_double_with_jitter_up_to_their_limit() {
    let dials = dials("a", "b", false, Duration::from_secs(60), None).await;
    let mut least = FIRST_PAUSE;
    let mut pauses = Vec::new();
    for pair in dials.windows(2) {
        let pause = pair[1].0 - pair[0].0;
        // The clock ticks in milliseconds.
        let most = least * 2 + Duration::from_millis(2);
        assert!(pause >= least && pause <= most, "{pause:?} after {least:?}");
        pauses.push(pause);
        least = (least * 2).min(LONGEST_PAUSE);
    }
    assert_eq!(
        dials[0].0,
        Duration::ZERO,
        "the first attempt waits for nothing"
    );
    // One to two seconds each, once the limit is reached.
    assert!((30..=62).contains(&dials.len()), "{} attempts", dials.len());
    pauses.sort_unstable();
    pauses.dedup();
    assert!(pauses.len() > 20, "no jitter: {pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_greater_name_waits_for_the_smaller_one_first() {
    let dials = dials("b", "a", false, Duration::from_secs(60), None).await;
    assert!(dials[0].0 >= CALLED_PAUSE, "{:?}", dials[0]);
    assert!((6..=15).contains(&dials.len()), "{} attempts", dials.len());
}

#[tokio::test(start_paused = true)]
async fn a_new_address_cuts_pauses_and_attempts_short() {
    let moves = Duration::from_millis(30_123);
    for (me, peer, hangs) in [("a", "b", false), ("a", "b", true), ("b", "a", false)] {
        let dials = dials(me, peer, hangs, Duration::from_secs(40), Some(moves)).await;
        let (at, _) = dials.iter().find(|(_, place)| place == "there").unwrap();
        assert!(
            *at - moves <= Duration::from_millis(2),
            "{me} dials {peer}: {at:?}"
        );
        assert!(
            dials
                .iter()
                .all(|(at, place)| (*at < moves) == (place == "here"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_is_given_up() {
    let dials = dials("a", "b", true, Duration::from_secs(10), None).await;
    assert!((3..=5).contains(&dials.len()), "{} attempts", dials.len());
}
