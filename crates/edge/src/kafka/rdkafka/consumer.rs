//! One consumer of librdkafka with what it is assigned. Its blocking calls run off the caller's threads.

use super::settings::settings;
use crate::kafka::counters::{Counters, count};
use crate::kafka::error::code_name;
use crate::kafka::{FeedConfig, FeedError, OffsetCommit, Partitions};
use ::rdkafka::bindings;
use ::rdkafka::client::ClientContext;
use ::rdkafka::config::RDKafkaLogLevel;
use ::rdkafka::consumer::stream_consumer::MessageStream;
use ::rdkafka::consumer::{CommitMode, Consumer as _, ConsumerContext, StreamConsumer};
use ::rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use ::rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What a call gets beyond the limit that it was told.
const GRACE: Duration = Duration::from_secs(2);

/// How often it is looked whether offsets are committed.
const COMMIT_LOOK: Duration = Duration::from_millis(20);

/// librdkafka mends its connections by itself and tells of it here.
struct Events {
    counters: Arc<Counters>,
    last: Mutex<Option<String>>,
}

impl ClientContext for Events {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka: {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::info!("librdkafka: {error}: {reason}");
        count(&self.counters.faults, 1);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(reason.to_owned());
    }
}

impl ConsumerContext for Events {}

type Stream = StreamConsumer<Events>;

pub(super) struct Consumer {
    /// `None` only while it is dropped.
    consumer: Option<Arc<Stream>>,
    topic: String,
    address: String,
    wanted: Partitions,
    connect_limit: Duration,
    call_limit: Duration,
    metadata_age: Duration,
    looked: Instant,
    /// Those of the topic that are to be read.
    pub(super) partitions: Vec<i32>,
    /// Where librdkafka reads on; `None`: it has to be told again.
    assigned: Option<BTreeMap<i32, i64>>,
}

impl Consumer {
    pub(super) async fn open(
        config: &FeedConfig,
        counters: &Arc<Counters>,
    ) -> Result<Self, FeedError> {
        let settings = settings(config)?;
        let address = config.client.bootstrap.join(",");
        let events = Events {
            counters: Arc::clone(counters),
            last: Mutex::new(None),
        };
        count(&counters.connects, 1);
        let made = settings.create_with_context(events);
        let consumer = made.map_err(|error| FeedError::Connect {
            address: address.clone(),
            reason: error.to_string(),
        })?;
        let mut this = Self {
            consumer: Some(Arc::new(consumer)),
            topic: config.topic.clone(),
            address,
            wanted: config.partitions.clone(),
            connect_limit: config.client.connect_limit,
            call_limit: config.client.call_limit,
            metadata_age: config.metadata_age,
            looked: Instant::now(),
            partitions: Vec::new(),
            assigned: None,
        };
        this.look().await?;
        Ok(this)
    }

    fn consumer(&self) -> &Arc<Stream> {
        self.consumer.as_ref().expect("it is taken in `drop` alone")
    }

    /// Sees new partitions, and a topic that is gone, when it is time.
    pub(super) async fn look_again(&mut self) -> Result<(), FeedError> {
        match self.looked.elapsed() < self.metadata_age {
            true => Ok(()),
            false => self.look().await,
        }
    }

    async fn look(&mut self) -> Result<(), FeedError> {
        let (topic, limit) = (self.topic.clone(), self.connect_limit);
        let found = self.off_thread(move |consumer| {
            let metadata = consumer.fetch_metadata(Some(&topic), limit)?;
            let of_topic = metadata.topics().iter().find(|found| found.name() == topic);
            let code = of_topic.and_then(|found| found.error());
            let partitions: Vec<i32> = of_topic
                .map(|found| found.partitions().iter().map(|one| one.id()).collect())
                .unwrap_or_default();
            Ok((code.map(|code| code as i16), partitions))
        });
        let (code, partitions) = found.await.map_err(|error| {
            let told = self.consumer().context().last.lock();
            let told = told.unwrap_or_else(PoisonError::into_inner).take();
            FeedError::Connect {
                address: self.address.clone(),
                reason: told.unwrap_or_else(|| error.to_string()),
            }
        })?;
        if code.is_some() || partitions.is_empty() {
            return Err(FeedError::Refused {
                call: "Metadata",
                subject: format!("topic {}", self.topic),
                code: code_name(code.unwrap_or(3)),
            });
        }
        self.partitions = self.wanted.of(partitions.into_iter());
        self.looked = Instant::now();
        Ok(())
    }

    /// Makes librdkafka read from these places, if it is not what it does.
    pub(super) fn read_from(&mut self, wanted: &BTreeMap<i32, i64>) -> Result<(), FeedError> {
        if self.assigned.as_ref() == Some(wanted) {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(wanted.len());
        for (partition, offset) in wanted {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(|error| self.failed("Assign", &error))?;
        }
        // It ends what was read before: records on the queue are of the old assignment and are dropped.
        self.consumer()
            .assign(&list)
            .map_err(|error| self.failed("Assign", &error))?;
        self.assigned = Some(wanted.clone());
        Ok(())
    }

    /// It has come so far by itself.
    pub(super) fn stands(&mut self, partition: i32, next: i64) {
        if let Some(assigned) = &mut self.assigned {
            assigned.insert(partition, next);
        }
    }

    pub(super) fn read_anew(&mut self) {
        self.assigned = None;
    }

    pub(super) fn stream(&self) -> MessageStream<'_> {
        self.consumer().stream()
    }

    /// The first offset and the one behind the last.
    pub(super) async fn ends(&self, partition: i32) -> Result<(i64, i64), FeedError> {
        let (topic, limit) = (self.topic.clone(), self.call_limit);
        let ends =
            self.off_thread(move |consumer| consumer.fetch_watermarks(&topic, partition, limit));
        ends.await
            .map_err(|error| self.failed("ListOffsets", &error))
    }

    /// As the last Fetch told it.
    pub(super) fn high_watermark(&self, partition: i32) -> i64 {
        let (mut low, mut high) = (-1, -1);
        let Ok(topic) = CString::new(self.topic.as_str()) else {
            return high;
        };
        let client = self.consumer().client().native_ptr();
        #[expect(
            unsafe_code,
            reason = "a call of librdkafka's that the binding does not have: the client lives as long as we hold the consumer, the name ends with a zero, and it writes two numbers that are ours"
        )]
        let code = unsafe {
            bindings::rd_kafka_get_watermark_offsets(
                client,
                topic.as_ptr(),
                partition,
                &mut low,
                &mut high,
            )
        };
        match code {
            bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => high,
            _ => -1,
        }
    }

    pub(super) async fn committed(
        &self,
        partitions: &[i32],
    ) -> Result<Vec<OffsetCommit>, FeedError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        let limit = self.call_limit;
        let found = self.off_thread(move |consumer| consumer.committed_offsets(list, limit));
        let failed = |error| self.failed("OffsetFetch", &error);
        let found = found.await.map_err(failed)?;
        let mut committed = Vec::new();
        for element in found.elements() {
            element.error().map_err(failed)?;
            if let Offset::Offset(offset) = element.offset() {
                committed.push(OffsetCommit {
                    partition: element.partition(),
                    offset,
                    metadata: element.metadata().to_owned(),
                });
            }
        }
        Ok(committed)
    }

    /// Not librdkafka's own waiting, which has no end while a coordinator moves: it is asked what is committed.
    pub(super) async fn commit(&self, offsets: &[OffsetCommit]) -> Result<(), FeedError> {
        let failed = |error| self.failed("OffsetCommit", &error);
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for commit in offsets {
            let mut element = list.add_partition(&self.topic, commit.partition);
            element
                .set_offset(Offset::Offset(commit.offset))
                .map_err(failed)?;
            element.set_metadata(&commit.metadata);
        }
        let partitions: Vec<i32> = offsets.iter().map(|commit| commit.partition).collect();
        let deadline = Instant::now() + self.call_limit;
        self.consumer()
            .commit(&list, CommitMode::Async)
            .map_err(failed)?;
        loop {
            let found = self.committed(&partitions).await?;
            if offsets.iter().all(|commit| found.contains(commit)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(FeedError::Timeout {
                    call: "OffsetCommit",
                    address: self.address.clone(),
                    limit_ms: u64::try_from(self.call_limit.as_millis()).unwrap_or(u64::MAX),
                });
            }
            tokio::time::sleep(COMMIT_LOOK).await;
        }
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Stream) -> KafkaResult<T> + Send + 'static,
    ) -> KafkaResult<T> {
        let consumer = Arc::clone(self.consumer());
        let (done, ended) = tokio::sync::oneshot::channel();
        // Not one of the runtime's: some calls do not keep to their limit while a broker is away, and a runtime that ends
        // waits for its own.
        std::thread::spawn(move || {
            let result = call(&consumer);
            drop(consumer);
            // Nobody may be waiting any more.
            let _ = done.send(result);
        });
        match tokio::time::timeout(self.call_limit + GRACE, ended).await {
            Ok(ended) => ended.unwrap_or(Err(KafkaError::Canceled)),
            Err(_) => Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)),
        }
    }

    pub(super) fn failed(&self, call: &'static str, error: &KafkaError) -> FeedError {
        FeedError::Call {
            call,
            address: self.address.clone(),
            reason: error.to_string(),
        }
    }
}

impl Drop for Consumer {
    /// Closing waits for librdkafka's threads, and must not wait on one of ours.
    fn drop(&mut self) {
        let consumer = self.consumer.take();
        std::thread::spawn(move || drop(consumer));
    }
}

pub(super) fn is_out_of_range(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
    )
}
