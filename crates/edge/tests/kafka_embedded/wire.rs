//! What is on its way between a feed and a broker, or is not: over pipes without a listener, in virtual time.
//! librdkafka opens its sockets itself, so these are our sessions' alone.

use crate::kafka_suite::{send, take, text, topic};
use broker::{BrokerConfig, Hall};
use edge::kafka::{
    ClientConfig, Connection, Dialer, Feed as _, FeedConfig, FeedError, KafkaFeed, OffsetCommit,
    Reach, Security,
};
use futures::future::BoxFuture;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::AbortHandle;
use tokio::time::Instant;

fn hall() -> Hall {
    Hall::open(BrokerConfig {
        bind: ([0, 0, 0, 0], 9092).into(),
        advertised_host: Some("mainframe".to_owned()),
        ..BrokerConfig::default()
    })
    .unwrap()
}

fn over(dialer: impl Dialer) -> ClientConfig {
    ClientConfig {
        reach: Reach::Dialer(Arc::new(dialer)),
        ..ClientConfig::new(["mainframe:9092"], Security::PLAINTEXT)
    }
}

fn reader(config: &ClientConfig, topic: &str) -> KafkaFeed {
    KafkaFeed::new(FeedConfig::new(
        config.clone(),
        topic,
        format!("{topic}-group"),
    ))
}

/// Pipes to a broker without a listener; those that are open can be cut.
struct Pipes {
    hall: Hall,
    dialed: Mutex<Vec<AbortHandle>>,
}

impl Pipes {
    fn cut(&self) {
        self.dialed
            .lock()
            .unwrap()
            .iter()
            .for_each(AbortHandle::abort);
    }
}

impl Dialer for Pipes {
    fn dial<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Box<dyn Connection>>> {
        assert_eq!((host, port), ("mainframe", 9092));
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let serving = tokio::spawn(self.hall.serve(theirs));
        self.dialed.lock().unwrap().push(serving.abort_handle());
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn Connection>) })
    }
}

#[tokio::test(start_paused = true)]
async fn over_pipes_in_virtual_time_records_come_are_committed_and_survive_a_cut() {
    let pipes = Arc::new(Pipes {
        hall: hall(),
        dialed: Mutex::default(),
    });
    let config = ClientConfig {
        reach: Reach::Dialer(pipes.clone()),
        ..ClientConfig::new(["mainframe:9092"], Security::PLAINTEXT)
    };
    let mut producer = topic(&config, "piped", 1).await;
    send(&mut producer, 0, &["one".to_owned(), "two".to_owned()]).await;
    let mut reader = reader(&config, "piped");
    let taken: Vec<String> = take(&mut reader, 2)
        .await
        .iter()
        .map(|(_, record)| text(record))
        .collect();
    assert_eq!(taken, ["one", "two"]);
    let commit = OffsetCommit {
        partition: 0,
        offset: 2,
        metadata: "so far".to_owned(),
    };
    reader.commit(std::slice::from_ref(&commit)).await.unwrap();

    pipes.cut();
    let error = reader.poll().await.unwrap_err();
    assert!(matches!(error, FeedError::Call { .. }), "{error}");
    assert_eq!(reader.committed().await.unwrap(), [commit]);

    let protected = ClientConfig {
        security: Security {
            tls: None,
            sasl: Some(edge::kafka::Sasl {
                mechanism: edge::kafka::Mechanism::ScramSha256,
                username: "u".into(),
                password: "p".into(),
            }),
        },
        ..config
    };
    let error = self::reader(&protected, "piped").poll().await.unwrap_err();
    assert!(error.to_string().contains("configure plaintext"), "{error}");
}

/// Between a client and a broker: changes a byte of a record's value on its way.
struct Damaging(Hall);

impl Dialer for Damaging {
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Box<dyn Connection>>> {
        let (ours, far) = tokio::io::duplex(64 << 10);
        let (near, theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn(self.0.serve(theirs));
        let ((mut from, mut to), (mut answers, mut requests)) =
            (tokio::io::split(far), tokio::io::split(near));
        tokio::spawn(async move { tokio::io::copy(&mut from, &mut requests).await });
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(len @ 1..) = answers.read(&mut buffer).await {
                let some = &mut buffer[..len];
                if let Some(at) = some.windows(6).position(|window| window == b"poison") {
                    some[at] ^= 1;
                }
                if to.write_all(some).await.is_err() {
                    return;
                }
            }
        });
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn Connection>) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_partition_holds_up_no_other_one() {
    let config = over(Damaging(hall()));
    let mut producer = topic(&config, "damaged", 2).await;
    send(&mut producer, 0, &["before".to_owned()]).await;
    send(&mut producer, 0, &["poison".to_owned()]).await;
    send(&mut producer, 1, &["one".to_owned()]).await;
    let mut reader = reader(&config, "damaged");
    let mut taken: Vec<String> = take(&mut reader, 2)
        .await
        .iter()
        .map(|(_, record)| text(record))
        .collect();
    taken.sort();
    assert_eq!(taken, ["before", "one"]);
    for n in 0..20 {
        send(&mut producer, 1, &[n.to_string()]).await;
        assert_eq!(text(&take(&mut reader, 1).await[0].1), n.to_string());
    }
    let counters = reader.counters();
    assert!(
        counters.faults > 0 && counters.connects == 1,
        "{counters:?}"
    );
}

/// Takes connections, and answers each with these bytes and no more.
struct Says(&'static [u8], Mutex<Vec<DuplexStream>>);

impl Dialer for Says {
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let (ours, mut theirs) = tokio::io::duplex(64 << 10);
            theirs.write_all(self.0).await?;
            self.1.lock().unwrap().push(theirs);
            Ok(Box::new(ours) as Box<dyn Connection>)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_not_waited_for() {
    let config = over(Says(b"", Mutex::default()));
    let begin = Instant::now();
    let error = reader(&config, "silent").poll().await.unwrap_err();
    assert!(matches!(error, FeedError::Timeout { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "ApiVersions to Kafka broker mainframe:9092 took longer than 10000 ms"
    );
    let took = begin.elapsed();
    assert!(
        took >= config.call_limit && took < 2 * config.call_limit,
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_any_length_and_one_to_somebody_else_are_refused() {
    for (says, expected) in [
        (
            &b"\x7f\xff\xff\xff"[..],
            "an answer of 2147483647 bytes is over the limit of 67108864",
        ),
        (
            b"\x00\x00\x00\x04\x00\x00\x00\x2a",
            "answer 42 came to request 1",
        ),
        (b"\x00\x00\x00\x02\x00\x00", "the answer is cut off"),
    ] {
        let config = over(Says(says, Mutex::default()));
        let error = reader(&config, "strange").poll().await.unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

/// Nobody is there.
struct Nobody;

impl Dialer for Nobody {
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Box<dyn Connection>>> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_ten_seconds_and_are_not_the_same_for_all() {
    let mut readers = [0, 1, 2, 3].map(|_| reader(&over(Nobody), "away"));
    let mut all = Vec::new();
    for reader in &mut readers {
        reader.poll().await.unwrap_err();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let begin = Instant::now();
            reader.poll().await.unwrap_err();
            pauses.push(begin.elapsed());
        }
        for (at, pause) in pauses.iter().enumerate() {
            let most = Duration::from_millis(100 << at).min(Duration::from_secs(10));
            // Timers are of a millisecond.
            let least = most / 2;
            let (most, pause) = (most + Duration::from_millis(1), *pause);
            assert!((least..=most).contains(&pause), "{at}: {pause:?}");
        }
        all.push(pauses);
    }
    all.dedup();
    assert!(all.len() > 1, "{all:?}");
}
