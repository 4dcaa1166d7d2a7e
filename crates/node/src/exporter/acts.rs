//! Alerts and rounds, from the ledger.

use super::Exporter;
use super::pusher::Pusher;
use ledger::Applied;
use replica::Committed;
use runtime::blocking;
use runtime::durable::number::{self, Kept};
use runtime::service::ServiceError;
use telemetry::cloudevents::{CloudEvent, Stream};

/// Most events in one go: a storm's worth of alerts goes out in a few batches.
const BATCH: usize = 500;

pub(super) async fn export(exporter: &Exporter) -> Result<(), ServiceError> {
    let mut alerts = pusher(exporter, Stream::Alerts);
    let mut rounds = pusher(exporter, Stream::Rounds);
    if alerts.is_none() && rounds.is_none() {
        return std::future::pending().await;
    }
    let mark = exporter.dir.join("acts");
    let mut leaf = blocking::in_place(|| first(exporter, &mark))?;
    let mut log = exporter.ledger.subscribe(leaf);
    loop {
        let mut events = Vec::new();
        let mut next = Some(log.next().await?);
        while let Some(committed) = next {
            leaf = committed.index + 1;
            events.extend(event(exporter, &committed));
            next = match events.len() < BATCH {
                true => log.ready()?,
                false => None,
            };
        }
        if events.is_empty() {
            continue;
        }
        for (stream, pusher) in [(Stream::Alerts, &mut alerts), (Stream::Rounds, &mut rounds)] {
            let some: Vec<CloudEvent> = events
                .iter()
                .filter(|event| event.stream == stream)
                .cloned()
                .collect();
            if let (Some(pusher), false) = (pusher, some.is_empty()) {
                pusher.push(&some).await?;
            }
        }
        blocking::in_place(|| number::write(&mark, leaf))?;
    }
}

fn pusher(exporter: &Exporter, stream: Stream) -> Option<Pusher<'_>> {
    let topic = exporter.config.topic(stream)?;
    Some(Pusher::new(exporter, topic))
}

fn event(exporter: &Exporter, committed: &Committed) -> Option<CloudEvent> {
    let mine = committed.record.proposer == exporter.me;
    let effective = committed.applied == Applied::Effective;
    match mine && effective {
        true => exporter.events.of_act(committed.index, &committed.record),
        false => None,
    }
}

/// Where to go on. A node that never exported begins with what comes from now on; one whose mark is damaged
/// begins again, since events that come twice are told by their ids.
fn first(exporter: &Exporter, mark: &std::path::Path) -> Result<u64, ServiceError> {
    match number::read(mark) {
        Ok(Some(kept)) => Ok(Kept::number(kept)),
        Ok(None) => {
            let now = exporter.ledger.size_and_root().0;
            number::write(mark, now)?;
            Ok(now)
        }
        Err(error) => {
            tracing::warn!("{error}; alerts and rounds of this node may be exported again");
            Ok(0)
        }
    }
}
