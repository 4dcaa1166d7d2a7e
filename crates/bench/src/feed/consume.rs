//! Reading a topic to its end: our feed, kcat and rdkafka_performance (both on librdkafka), and samsa's own stream.

use super::broker::Kafka;
use crate::Failure;
use crate::mail::cost;
use edge::kafka::{Feed as _, FeedConfig, KafkaFeed};
use futures::StreamExt as _;
use samsa::prelude::{BrokerAddress, ConsumerBuilder, TcpConnection, TopicPartitionsBuilder};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Nothing takes longer; what does has come to a standstill.
const LIMIT: Duration = Duration::from_secs(120);

/// What a reader reached.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    /// Records a second.
    pub rate: f64,
    /// Processor time of the client for a record, in microseconds.
    pub micros: f64,
}

fn reached(records: usize, took: Duration, cost: Duration) -> Reached {
    Reached {
        rate: records as f64 / took.as_secs_f64(),
        micros: cost.as_secs_f64() * 1e6 / records as f64,
    }
}

/// Times of this process and of children that it has waited for.
fn times() -> Result<(Duration, Duration), Failure> {
    Ok(cost::own().ok_or("/proc/self/stat cannot be read")?)
}

/// Our feed, from connecting to the last record.
pub async fn ours(kafka: &Kafka, topic: &str, records: usize) -> Result<Reached, Failure> {
    let (before, begin) = (times()?.0, Instant::now());
    let mut feed = KafkaFeed::new(FeedConfig::new(kafka.client(), topic, "bench"));
    let (mut count, mut bytes) = (0, 0);
    while count < records {
        for part in feed.poll().await? {
            count += part.records.len();
            let values = part.records.iter().map(|record| record.value.as_ref());
            bytes += values.flatten().map(|value| value.len()).sum::<usize>();
        }
        if begin.elapsed() > LIMIT {
            return Err(format!("{count} of {records} records came within {LIMIT:?}").into());
        }
    }
    if bytes != count * super::broker::VALUE {
        return Err(format!("{count} records had {bytes} bytes").into());
    }
    Ok(reached(records, begin.elapsed(), times()?.0 - before))
}

/// kcat, which throws the values away.
pub fn kcat(kafka: &Kafka, topic: &str, records: usize) -> Result<Reached, Failure> {
    let mut command = Command::new("kcat");
    command
        .args(["-C", "-b", kafka.address(), "-t", topic])
        // Records have no key: nothing is printed, so that no terminal is measured.
        .args(["-o", "beginning", "-e", "-q", "-f", "%k"])
        .args(["-c", &records.to_string()]);
    foreign(command, records)
}

/// librdkafka's own measuring consumer, which counts what comes.
pub fn performance(
    kafka: &Kafka,
    topic: &str,
    partitions: i32,
    records: usize,
) -> Result<Reached, Failure> {
    let program = crate::mail::tools().join("rdkafka-performance/rdkafka_performance");
    let mut command = Command::new(program);
    command
        .args(["-C", "-b", kafka.address(), "-t", topic])
        .args(["-o", "beginning", "-q", "-c", &records.to_string()]);
    for partition in 0..partitions {
        command.args(["-p", &partition.to_string()]);
    }
    foreign(command, records)
}

fn foreign(mut command: Command, records: usize) -> Result<Reached, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let (before, begin) = (times()?.1, Instant::now());
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| {
            format!("{name} does not start ({error}); run `cargo xtask setup --for bench`")
        })?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} ended with {}: {complaint}", output.status).into());
    }
    Ok(reached(records, begin.elapsed(), times()?.1 - before))
}

/// samsa's stream, where it can read the topic at all: it fails on several partitions and on codecs.
pub async fn samsa(kafka: &Kafka, topic: &str, records: usize) -> Result<Reached, Failure> {
    let (before, begin) = (times()?.0, Instant::now());
    let (host, port) = kafka.address().rsplit_once(':').ok_or("host:port")?;
    let address = BrokerAddress {
        host: host.to_owned(),
        port: port.parse()?,
    };
    let wanted = TopicPartitionsBuilder::new()
        .assign(topic.to_owned(), vec![0])
        .build();
    let consumer = ConsumerBuilder::<TcpConnection>::new(vec![address], wanted)
        .await
        .map_err(|error| format!("samsa: {error}"))?
        .build();
    let stream = consumer.into_stream();
    let mut stream = std::pin::pin!(stream);
    let mut count = 0;
    while count < records {
        let next = tokio::time::timeout(LIMIT, stream.next()).await;
        match next {
            Ok(Some(Ok(batch))) => count += batch.count(),
            Ok(Some(Err(error))) => return Err(format!("samsa: {error}").into()),
            Ok(None) => return Err(format!("samsa's stream ended after {count} records").into()),
            Err(_) => return Err(format!("samsa stands still after {count} records").into()),
        }
    }
    Ok(reached(records, begin.elapsed(), times()?.0 - before))
}
