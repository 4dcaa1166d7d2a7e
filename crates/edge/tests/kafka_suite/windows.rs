//! From a simulated mainframe to reports.

use super::*;
use edge::kafka::OffsetCommit;
use gear::mainframe::{CODE_PAGE, COPYBOOK, Encoder, Mainframe, MainframeConfig};
use telemetry::copybook::Copybook;
use telemetry::transactions::{
    Checkpoint, FieldNames, Pipeline, PipelineConfig, TransactionLayout, WindowConfig,
};
use wire::{Report, UnixMillis};

fn pipeline() -> Pipeline {
    let layout = TransactionLayout::new(
        Copybook::parse(COPYBOOK).unwrap(),
        CODE_PAGE,
        &FieldNames::default(),
        0,
    )
    .unwrap();
    Pipeline::new(PipelineConfig {
        topic: "transactions".to_owned(),
        layout: layout.into(),
        windows: WindowConfig::default(),
    })
}

fn reading(report: &Report, name: &str) -> f64 {
    report
        .readings
        .iter()
        .find(|reading| reading.name == name)
        .unwrap()
        .value
}

/// Mainframe → records → Kafka → feed → windows, with a poison record, and with a second process
/// that takes over from the first one's commit: each transaction counts once.
pub(crate) async fn ebcdic_records_become_windows(config: &ClientConfig) {
    const START: u64 = 1_772_366_400_000;
    let mut producer = topic(config, "transactions", 3).await;
    let encoder = Encoder::new().unwrap();
    let transactions = Mainframe::new(MainframeConfig::default())
        .between(UnixMillis(START), UnixMillis(START + 60_000));
    let regions = MainframeConfig::default().regions;
    for (partition, region) in (0..).zip(&regions) {
        let of_region = transactions
            .iter()
            .filter(|transaction| transaction.region == *region);
        let mut records: Vec<_> = of_region
            .map(|transaction| NewRecord {
                timestamp: transaction.time.0 as i64,
                key: Some(region.clone().into()),
                value: Some(encoder.encode(transaction).unwrap().into()),
                headers: Vec::new(),
            })
            .collect();
        records.insert(
            7,
            NewRecord {
                value: Some(vec![0xF1; 50].into()),
                ..records[7].clone()
            },
        );
        within(producer.send(partition, &records, Codec::Lz4))
            .await
            .unwrap();
    }
    let total = transactions.len() + regions.len();
    let now = UnixMillis(START + 60_000);
    let mut reports = Vec::new();
    let mut refused = Vec::new();

    // The first process stops after a good third and has committed what it published.
    let mut before = pipeline();
    let mut feed_before = feed(config, "transactions");
    let taken = take(&mut feed_before, total).await;
    for (partition, record) in taken
        .iter()
        .filter(|(_, record)| record.offset < (total / 9) as i64)
    {
        for reason in before.record(
            now,
            *partition,
            record.offset,
            record.value.as_deref(),
            &mut reports,
        ) {
            refused.push((*partition, record.offset, reason.to_string()));
        }
    }
    let commits: Vec<_> = before
        .checkpoints()
        .into_iter()
        .map(|(partition, checkpoint)| OffsetCommit {
            partition,
            offset: checkpoint.offset,
            metadata: checkpoint.metadata(),
        })
        .collect();
    within(feed_before.commit(&commits)).await.unwrap();
    drop(feed_before);

    let mut after = pipeline();
    let mut feed_after = feed(config, "transactions");
    let mut left = total as i64;
    for commit in within(feed_after.committed()).await.unwrap() {
        left -= commit.offset;
        after.resume(
            commit.partition,
            Checkpoint::parse(commit.offset, &commit.metadata).unwrap(),
        );
    }
    assert!(left < total as i64);
    for (partition, record) in take(&mut feed_after, left as usize).await {
        for reason in after.record(
            now,
            partition,
            record.offset,
            record.value.as_deref(),
            &mut reports,
        ) {
            refused.push((partition, record.offset, reason.to_string()));
        }
    }
    after.idle(UnixMillis(now.0 + 60_000), &mut reports);

    refused.sort();
    assert_eq!(
        refused
            .iter()
            .map(|(partition, offset, _)| (*partition, *offset))
            .collect::<Vec<_>>(),
        [(0, 7), (1, 7), (2, 7)]
    );
    assert!(
        refused[0]
            .2
            .starts_with("record of 50 bytes is truncated: CARD-TRANSACTION needs 120"),
        "{refused:?}"
    );
    for region in &regions {
        let of_region: Vec<_> = transactions
            .iter()
            .filter(|transaction| transaction.region == *region)
            .collect();
        let windows: Vec<_> = reports
            .iter()
            .filter(|report| report.device.as_str() == format!("mainframe-{region}"))
            .collect();
        assert_eq!(windows.len(), 6, "one minute in windows of ten seconds");
        let sum = |name| {
            windows
                .iter()
                .map(|window| reading(window, name))
                .sum::<f64>()
        };
        assert_eq!(sum("count"), of_region.len() as f64);
        assert_eq!(
            sum("response.ok"),
            of_region
                .iter()
                .filter(|transaction| transaction.response == "00")
                .count() as f64
        );
        let cents: i64 = of_region
            .iter()
            .map(|transaction| transaction.amount_cents)
            .sum();
        assert!((sum("amount.sum") * 100.0 - cents as f64).abs() < 0.01);
    }
}
