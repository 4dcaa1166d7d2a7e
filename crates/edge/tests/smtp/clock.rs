//! The host's clock is set, forwards and backwards, while sessions are open: they go by another one.

use crate::house::*;
use edge::smtp::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::time::Duration;
use wire::UnixMicros;

const NOON: u64 = 1_764_417_600_000_000;
const HOUR: u64 = 3_600_000_000;

/// What the host's clock says.
static CLOCK: AtomicU64 = AtomicU64::new(NOON);

fn clock() -> UnixMicros {
    UnixMicros(CLOCK.load(Ordering::SeqCst))
}

/// Where the clock is put, one after the other: far ahead, far back, before 1970, and where it was.
const STEPS: [u64; 6] = [
    NOON + 100_000 * HOUR,
    NOON - 100_000 * HOUR,
    0,
    NOON + HOUR,
    NOON + HOUR / 2,
    NOON,
];

async fn house(dir: &TempDir) -> House {
    House::start_with(dir, relaxed(), |config| config.wall_clock = clock).await
}

#[tokio::test]
async fn a_clock_that_is_set_ends_no_session_and_changes_no_order() {
    let dir = TempDir::new().expect("a directory");
    let mut house = house(&dir).await;
    let mut idle = Client::connect(house.port()).await;
    idle.play(&OPENING[..1]).await;
    let mut client = Client::connect(house.port()).await;
    client.play(&OPENING[..1]).await;
    let mut arrived = Vec::new();
    for (number, step) in STEPS.into_iter().enumerate() {
        client.play(&OPENING[1..]).await;
        client.play(&[("DATA", "354")]).await;
        client.send(&message(number)[..20]).await;
        // In the middle of a message.
        CLOCK.store(step, Ordering::SeqCst);
        client.send(&message(number)[20..]).await;
        let stored_as = format!("250 2.0.0 stored as {}", number + 1);
        client.play(&[(".", &stored_as)]).await;
        let stored = house.next().await;
        // The record says what the clock said; its place is that of its arrival.
        assert_eq!(stored.seq, number as u64 + 1);
        assert_eq!(stored.mail.end_of_data, UnixMicros(step));
        assert_eq!(stored.mail.data, message(number).as_bytes());
        arrived.push(stored);

        // What came before is recognised, whatever its date; nobody was sent away.
        for earlier in 0..=number {
            client.play(&OPENING[1..]).await;
            client.play(&[("DATA", "354")]).await;
            let again = format!("250 2.0.0 stored as {}", earlier + 1);
            client.send(message(earlier)).await;
            client.play(&[(".", &again)]).await;
        }
        idle.play(&[("NOOP", "250")]).await;
    }
    let counts = house.counts();
    assert_eq!(counts.accepted, STEPS.len() as u64);
    assert_eq!(counts.duplicates, 21);
    assert_eq!((counts.errors, counts.deferred, counts.open), (0, 0, 2));
    drop((client, idle));
    house.close().await;

    // A restart with the clock far back: the same records in the same order, and still recognised.
    CLOCK.store(NOON - HOUR, Ordering::SeqCst);
    let mut house = self::house(&dir).await;
    for stored in &arrived {
        assert_eq!(house.next().await, *stored);
    }
    let mut client = Client::connect(house.port()).await;
    client.play(OPENING).await;
    client.play(&[("DATA", "354")]).await;
    client.send(message(0)).await;
    client.play(&[(".", "250 2.0.0 stored as 1")]).await;
}

/// Time-outs run by the monotonic clock: a step neither brings them nearer nor puts them off.
#[tokio::test(start_paused = true)]
async fn a_silent_session_ends_after_five_minutes_whatever_the_clock_says() {
    let dir = TempDir::new().expect("a directory");
    let (config, _) = config(dir.path(), relaxed());
    // Its own: tests run side by side.
    static OWN: AtomicU64 = AtomicU64::new(NOON);
    let config = SmtpConfig {
        wall_clock: || UnixMicros(OWN.load(Ordering::SeqCst)),
        ..config
    };
    let (knock, arriving) = tokio::sync::mpsc::channel(1);
    let drain = Arc::new(crate::crowd::Drain);
    let server = SmtpServer::serve_on(crate::crowd::Pipes(arriving), config, drain);
    let _server = server.expect("serves");
    let (mine, theirs) = tokio::io::duplex(4 << 10);
    let arrived = (theirs, std::net::Ipv4Addr::LOCALHOST.into());
    knock.send(arrived).await.expect("accepted");
    let mut client = Client::over(mine);
    assert!(client.reply().await.starts_with("220"));
    let begun = tokio::time::Instant::now();
    for (minute, step) in STEPS.into_iter().take(4).enumerate() {
        OWN.store(step, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(begun.elapsed() >= Duration::from_secs(60 * (minute as u64 + 1)));
    }
    // Four minutes are over, the fifth is not.
    client.play(&[("NOOP", "250")]).await;
    let silent = tokio::time::Instant::now();
    OWN.store(0, Ordering::SeqCst);
    let mut last = String::new();
    let read = client.into_inner().read_to_string(&mut last).await;
    read.expect("closed");
    assert_eq!(last, "421 4.4.2 timeout\r\n");
    let lasted = silent.elapsed();
    assert!(
        lasted >= Duration::from_secs(300) && lasted < Duration::from_secs(301),
        "{lasted:?}"
    );
}
