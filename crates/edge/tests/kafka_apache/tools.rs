//! Kafka's own command line tools as independent clients.

use crate::kafka_suite::{feed, record, take, text, topic, within};
use edge::kafka::{ClientConfig, Codec, Feed, OffsetCommit};
use std::path::Path;
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Runs a tool with this standard input and returns its standard output.
async fn run(libs: &Path, class: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("java")
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .arg("-cp")
        .arg(format!("{}/*", libs.display()))
        .arg(format!("org.apache.kafka.tools.{class}"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = within(child.wait_with_output()).await.unwrap();
    assert!(output.status.success(), "{class}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What the console producer writes we read, what we write the console consumer reads, and what we commit is the lag that the
/// tool for groups shows.
pub(crate) async fn kafkas_own_tools_agree(config: &ClientConfig, libs: &Path) {
    let broker = config.bootstrap[0].as_str();
    let mut producer = topic(config, "tools", 1).await;
    let mut lines: Vec<String> = (0..20).map(|n| format!("from the console {n}")).collect();
    let to_topic = ["--bootstrap-server", broker, "--topic", "tools"];
    let arguments = [&to_topic[..], &["--compression-codec", "lz4"]].concat();
    run(
        libs,
        "ConsoleProducer",
        &arguments,
        &(lines.join("\n") + "\n"),
    )
    .await;
    let mut feed = feed(config, "tools");
    let taken = take(&mut feed, lines.len()).await;
    let values: Vec<String> = taken.iter().map(|(_, record)| text(record)).collect();
    assert_eq!(values, lines);
    let commit = OffsetCommit {
        partition: 0,
        offset: 20,
        metadata: String::new(),
    };
    within(feed.commit(&[commit])).await.unwrap();

    let ours: Vec<String> = (0..3).map(|n| format!("from us {n}")).collect();
    let records: Vec<_> = ours.iter().map(|line| record(line.clone())).collect();
    within(producer.send(0, &records, Codec::Zstd))
        .await
        .unwrap();
    lines.extend(ours);
    let all = [
        "--from-beginning",
        "--max-messages",
        "23",
        "--timeout-ms",
        "30000",
    ];
    let arguments = [&to_topic[..], &all].concat();
    let describe = [
        "--bootstrap-server",
        broker,
        "--group",
        "tools-group",
        "--describe",
    ];
    let (read, described) = tokio::join!(
        run(libs, "consumer.ConsoleConsumer", &arguments, ""),
        run(libs, "consumer.group.ConsumerGroupCommand", &describe, ""),
    );
    assert_eq!(read.lines().collect::<Vec<_>>(), lines);
    // Group, topic, partition, committed offset, end, lag.
    let row = described
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.first() == Some(&"tools-group"))
        .unwrap_or_else(|| panic!("{described}"));
    assert_eq!(row[1..6], ["tools", "0", "20", "23", "3"], "{described}");
}
