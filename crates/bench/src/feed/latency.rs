//! How long it takes from handing a record to the producer until its fields are here: our feed with the copybook, and
//! beside it kcat, which prints where the record lay. Both read the same records at the same time.

use super::Records;
use super::broker::Kafka;
use crate::Failure;
use crate::samples::{Samples, micros};
use edge::kafka::{Codec, Feed as _, FeedConfig, KafkaFeed, NewRecord, Producer, create_topic};
use std::process::Stdio;
use std::time::{Duration, Instant};
use telemetry::copybook::Row;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// Between two records: two hundred a second, so that each comes alone.
const GAP: Duration = Duration::from_millis(5);
/// Connections, caches and the broker's compiler warm up with these; they do not count.
const WARM: usize = 200;
/// Nothing takes longer; what does has come to a standstill.
const LIMIT: Duration = Duration::from_secs(60);

/// Of both.
pub struct Latencies {
    /// Our feed, the fields decoded.
    pub ours: Samples,
    /// kcat, the record's offset printed.
    pub kcat: Samples,
}

/// Sends `count` records that are counted, one after the other, to a topic of its own.
pub async fn measure(
    kafka: &Kafka,
    records: &Records,
    topic: &str,
    count: usize,
) -> Result<Latencies, Failure> {
    let all = WARM + count;
    create_topic(&kafka.client(), topic, 1).await?;
    // Readers begin before the first record is there.
    let reading = tokio::time::timeout(LIMIT, async {
        tokio::try_join!(
            produce(kafka, records, topic, all),
            by_us(kafka, records, topic, all),
            by_kcat(kafka, topic, all)
        )
    });
    let (sent, ours, kcat) = reading
        .await
        .map_err(|_| format!("{all} records were not there within {LIMIT:?}"))??;
    let span = sent[WARM].elapsed();
    let latencies = |came: &[Instant]| {
        let pairs = came.iter().zip(&sent).skip(WARM);
        let latencies = pairs.map(|(came, sent)| micros(came.duration_since(*sent)));
        Samples::new(latencies.collect(), span)
    };
    Ok(Latencies {
        ours: latencies(&ours),
        kcat: latencies(&kcat),
    })
}

/// When each record was handed over.
async fn produce(
    kafka: &Kafka,
    records: &Records,
    topic: &str,
    count: usize,
) -> Result<Vec<Instant>, Failure> {
    let mut producer = Producer::new(kafka.client(), topic);
    let mut values = records.bytes.chunks(records.copybook.record_len()).cycle();
    let mut sent = Vec::new();
    let mut turn = tokio::time::interval(GAP);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while sent.len() < count {
        turn.tick().await;
        let record = NewRecord {
            timestamp: 1_772_366_400_000,
            key: None,
            value: values.next().map(|value| value.to_vec().into()),
            headers: Vec::new(),
        };
        let begin = Instant::now();
        match producer.send(0, &[record], Codec::None).await {
            Ok(offset) if usize::try_from(offset) == Ok(sent.len()) => sent.push(begin),
            Ok(offset) => return Err(format!("record {} is at {offset}", sent.len()).into()),
            // The leader of a fresh topic learns of it a little later.
            Err(_) if sent.is_empty() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sent)
}

/// When the fields of each record were here.
async fn by_us(
    kafka: &Kafka,
    records: &Records,
    topic: &str,
    count: usize,
) -> Result<Vec<Instant>, Failure> {
    let mut feed = KafkaFeed::new(FeedConfig::new(kafka.client(), topic, "bench"));
    let (mut came, mut row) = (Vec::new(), Row::new());
    while came.len() < count {
        // A fresh topic has no leader for a moment; a poll waits before it tries again.
        let Ok(parts) = feed.poll().await else {
            continue;
        };
        for record in parts.iter().flat_map(|part| &part.records) {
            let value = record.value.as_deref().unwrap_or_default();
            records.copybook.read_whole(super::PAGE, value, &mut row)?;
            came.push(Instant::now());
        }
    }
    Ok(came)
}

/// When kcat said that each record was there.
async fn by_kcat(kafka: &Kafka, topic: &str, count: usize) -> Result<Vec<Instant>, Failure> {
    let mut kcat = Command::new("kcat")
        .args(["-C", "-b", kafka.address(), "-t", topic])
        .args(["-o", "beginning", "-u", "-q", "-f", "%o\n"])
        .args(["-c", &count.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let said = kcat.stdout.take().ok_or("kcat has no standard output")?;
    let mut lines = BufReader::new(said).lines();
    let mut came = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if line.parse() != Ok(came.len()) {
            return Err(format!("kcat said {line:?} where {} was due", came.len()).into());
        }
        came.push(Instant::now());
    }
    match came.len() == count {
        true => Ok(came),
        false => Err(format!("kcat ended after {} of {count} records", came.len()).into()),
    }
}
