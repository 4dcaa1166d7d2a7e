//! Apache Kafka 4.1 and 3.9 (KRaft): the suite that the embedded broker passes as well, and what only real
//! brokers do. Jars come by `deploy/kafka/fetch.sh` and run on the JDK.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apache;
mod backlog;
mod java;
#[path = "../kafka_suite/mod.rs"]
mod kafka_suite;
mod protected;
mod records;
mod rolling;
mod tools;
mod topics;

use apache::{Brokers, Extra};
use broker::apache::OLDER;
use edge::kafka::{ClientConfig, Security};
use java::Java;
use kafka_suite::Cluster;
use std::path::Path;
use std::sync::LazyLock;
use tokio::sync::Mutex;

/// Brokers want a gigabyte and all processors at their start: one test at a time.
static TURN: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

impl Cluster for Brokers {
    fn bootstrap(&self) -> String {
        self.addresses().remove(0)
    }

    async fn restart(&mut self) {
        self.kill(0);
        self.spawn(0);
        self.serves().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_passes_on_apache_kafka_and_its_java_client_agrees() {
    let _turn = TURN.lock().await;
    let extra = |_: &Path, _, _| Extra {
        // Room for records of a mebibyte, and a cleaner that does not wait for a quarter of a minute.
        properties: "message.max.bytes=2097152\n\
                     log.cleaner.backoff.ms=200\n\
                     log.initial.task.delay.ms=100\n\
                     log.retention.check.interval.ms=200\n\
                     log.retention.ms=-1\n"
            .to_owned(),
        format: String::new(),
    };
    let mut apache = Brokers::one(None, extra).await;
    kafka_suite::run(&mut apache).await;

    let config = ClientConfig::new(apache.addresses(), Security::PLAINTEXT);
    let (config, java) = (&config, &Java::start(&apache));
    // Side by side: most of it is waiting, for the cleaner, for a deletion, for a look at the leaders.
    tokio::join!(
        records::every_codec_of_the_java_producer(config, java),
        records::aborted_transactions_are_left_out(config, java),
        records::records_of_a_mebibyte(config, java),
        records::a_compacted_log_has_gaps(config, java),
        topics::a_partition_is_added(config, java),
        topics::a_topic_is_made_anew(config, java),
        topics::a_topic_is_made_anew_and_filled_past_our_position(config, java),
        topics::records_are_deleted_under_us(config, java),
        tools::kafkas_own_tools_agree(config, &apache.libs),
    );
    // It looks at the memory of this process.
    backlog::a_backlog_of_many_segments(config, java).await;
    topics::a_thousand_partitions(config, java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_kafka_lets_in_who_has_a_password() {
    let _turn = TURN.lock().await;
    protected::run(OLDER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_are_killed_and_restarted_in_order_one_after_the_other() {
    let _turn = TURN.lock().await;
    rolling::run().await;
}
