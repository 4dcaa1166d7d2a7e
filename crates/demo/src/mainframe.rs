//! The mainframe: transaction records in EBCDIC to the broker's topic, with a bad afternoon.

use edge::kafka::{ClientConfig, Codec, NewRecord, Producer};
use gear::mainframe::{Encoder, Fault, FaultKind, Mainframe, MainframeConfig};
use runtime::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use wire::UnixMillis;

/// Records go out in batches of what happened since the last one.
const PERIOD: Duration = Duration::from_millis(200);
/// Pause after a broker that did not answer.
const PAUSE: Duration = Duration::from_millis(200);
/// The region that has the bad afternoon, and when, as shares of the span.
const TROUBLED: &str = "CICSPRD2";
const TROUBLE: std::ops::Range<f64> = 0.66..0.82;

/// Produces until the span is over or the demo ends.
pub(crate) async fn run(
    client: ClientConfig,
    topic: &str,
    span: Duration,
    produced: Arc<AtomicU64>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (started, mut from) = (Instant::now(), clock::unix_now());
    let moment = |share: f64| UnixMillis(from.0 + (span.as_millis() as f64 * share) as u64);
    let trouble = |kind| Fault {
        region: TROUBLED.into(),
        kind,
        from: moment(TROUBLE.start),
        until: moment(TROUBLE.end),
    };
    let faults = vec![
        trouble(FaultKind::LatencySurge(6.0)),
        trouble(FaultKind::ErrorSurge(0.4)),
    ];
    let mut mainframe = Mainframe::new(MainframeConfig {
        faults,
        ..MainframeConfig::default()
    });
    let encoder = Encoder::new()?;
    let mut producer = Producer::new(client, topic);
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while started.elapsed() < span {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        let until = clock::unix_now();
        let transactions = mainframe.between(from, until);
        from = until;
        let mut records = Vec::with_capacity(transactions.len());
        for transaction in &transactions {
            records.push(NewRecord {
                timestamp: i64::try_from(transaction.time.0)?,
                key: Some(transaction.region.clone().into()),
                value: Some(encoder.encode(transaction)?.into()),
                headers: Vec::new(),
            });
        }
        if records.is_empty() {
            continue;
        }
        // Uncompressed, so that the wire check would recognise a record in clear. A batch whose
        // answer was lost may be on the topic twice; `produced` counts what was acknowledged.
        while let Err(error) = producer.send(0, &records, Codec::None).await {
            tracing::warn!("mainframe: {error}");
            if *stop.borrow() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        produced.fetch_add(records.len() as u64, Relaxed);
    }
    Ok(())
}
