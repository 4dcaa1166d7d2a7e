//! Scores, through a journal.

use super::pusher::Pusher;
use super::{Exporter, scores_dir};
use runtime::blocking;
use runtime::journal::{Journal, JournalError, JournalOptions};
use runtime::service::ServiceError;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use telemetry::cloudevents::{CloudEvent, Stream};
use telemetry::score::Scored;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use wire::UnixMillis;

/// Scores that share a record of the journal, and so an `fdatasync`.
const BATCH: usize = 512;
/// How long the first of them waits for company.
const GATHER: Duration = Duration::from_millis(200);
/// Records of the journal that may wait: some two million scores, 1 GiB. An outage that lasts longer costs
/// the newest ones; they are counted.
const MOST_WAITING: u64 = 4_096;
/// Segments are given back in steps of this.
const SEGMENT_BYTES: u64 = 16 << 20;

/// As it stands in the journal.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    time: u64,
    json: String,
}

pub(super) async fn export(exporter: &Exporter) -> Result<(), ServiceError> {
    let mut scored = exporter.scored.lock().await;
    let Some(topic) = exporter.config.topic(Stream::Scores) else {
        // Nobody asked for them.
        while scored.recv().await.is_some() {}
        return std::future::pending().await;
    };
    let dir = scores_dir(&exporter.dir);
    let options = JournalOptions {
        segment_bytes: SEGMENT_BYTES,
        cipher: Some(exporter.keys.clone()),
        ..JournalOptions::default()
    };
    let (journal, _) = blocking::in_place(|| Journal::open(&dir, options))?;
    let (durable, mut seen) = watch::channel(journal.last());
    tokio::select! {
        ended = keep(exporter, &journal, &mut scored, &durable) => ended,
        ended = send(exporter, &journal, topic, &mut seen) => ended,
    }
}

/// Writes down what is judged.
async fn keep(
    exporter: &Exporter,
    journal: &Journal,
    scored: &mut mpsc::Receiver<Scored>,
    durable: &watch::Sender<u64>,
) -> Result<(), ServiceError> {
    // Numbered within this start of the process, also when the service starts again.
    let kept = |scored: &Scored| {
        let number = exporter.numbered.fetch_add(1, Relaxed);
        let event = exporter
            .events
            .of_score(&exporter.me, exporter.incarnation, number, scored);
        Kept {
            key: event.key,
            time: event.time.0,
            json: event.json,
        }
    };
    let shed = |count: usize| {
        let count = count as u64;
        exporter.board.count.export_shed.fetch_add(count, Relaxed);
    };
    loop {
        let Some(first) = scored.recv().await else {
            return std::future::pending().await;
        };
        let mut batch = vec![kept(&first)];
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH
            && let Ok(Some(more)) = timeout_at(until, scored.recv()).await
        {
            batch.push(kept(&more));
        }
        if journal.last().saturating_sub(journal.processed()) >= MOST_WAITING {
            shed(batch.len());
            continue;
        }
        match journal.append(wire::encode(&batch)).await {
            Ok(seq) => drop(durable.send_replace(seq)),
            // The disk may have room again later; scores are many, and one more comes.
            Err(error @ (JournalError::Full { .. } | JournalError::TooLarge { .. })) => {
                tracing::warn!("{} scores are not exported: {error}", batch.len());
                shed(batch.len());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends what is written down, in order.
async fn send(
    exporter: &Exporter,
    journal: &Journal,
    topic: &str,
    durable: &mut watch::Receiver<u64>,
) -> Result<(), ServiceError> {
    let mut pusher = Pusher::new(exporter, topic);
    loop {
        let from = journal.processed() + 1;
        durable.wait_for(|last| *last >= from).await?;
        for record in blocking::in_place(|| journal.read_from(from))? {
            let record = record?;
            let kept: Vec<Kept> = wire::decode(&record.payload)?;
            let events: Vec<CloudEvent> = kept.into_iter().map(event).collect();
            pusher.push(&events).await?;
            blocking::in_place(|| journal.mark_processed(record.seq))?;
        }
        let done = journal.processed();
        blocking::in_place(|| journal.release(done))?;
    }
}

fn event(kept: Kept) -> CloudEvent {
    CloudEvent {
        stream: Stream::Scores,
        key: kept.key,
        time: UnixMillis(kept.time),
        json: kept.json,
    }
}
