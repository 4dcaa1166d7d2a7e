//! What the data space tells of devices and writers, as the monitor's observations.

use dds::{SpaceEvent, Topic};
use std::collections::BTreeSet;
use telemetry::monitor::Input;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use wire::{RoomId, UnixMillis};

/// The next event; waits for ever once there are none any more, as at the end of the process.
pub(super) async fn next(events: &mut broadcast::Receiver<SpaceEvent>) -> SpaceEvent {
    loop {
        match events.recv().await {
            Ok(event) => return event,
            // A deadline that is missed is missed again, and counts come with each change.
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!("{lost} events of the data space are lost")
            }
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// What `event` says to the monitor of who holds `rooms`, at `at`.
pub(super) fn observed(
    event: &SpaceEvent,
    rooms: &BTreeSet<&RoomId>,
    at: UnixMillis,
) -> Option<Input> {
    let readings = Topic::READINGS;
    match event {
        SpaceEvent::DeadlineMissed {
            topic,
            key: Some(device),
            deadline,
            total: _,
        } if topic == readings.name() => Some(Input::Overdue {
            device: device.as_str().into(),
            deadline: *deadline,
        }),
        SpaceEvent::LivelinessLost {
            topic,
            partitions,
            alive,
            silent,
        }
        | SpaceEvent::LivelinessRegained {
            topic,
            partitions,
            alive,
            silent,
        } if topic == readings.name() => {
            let room = rooms.iter().find(|room| room.as_str() == partitions)?;
            Some(Input::Writers {
                room: (*room).clone(),
                alive: *alive,
                silent: *silent,
                at,
            })
        }
        SpaceEvent::DeadlineMissed { .. }
        | SpaceEvent::LivelinessLost { .. }
        | SpaceEvent::LivelinessRegained { .. }
        | SpaceEvent::ReaderMatched { .. }
        | SpaceEvent::ReaderLost { .. }
        | SpaceEvent::WriterMatched { .. }
        | SpaceEvent::WriterLost { .. }
        | SpaceEvent::PromiseBroken { .. }
        | SpaceEvent::IncompatibleQos { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const AT: UnixMillis = UnixMillis(7);

    fn missed(topic: &Topic, key: Option<&str>) -> SpaceEvent {
        SpaceEvent::DeadlineMissed {
            topic: topic.name().into(),
            key: key.map(Into::into),
            deadline: Duration::from_secs(60),
            total: 1,
        }
    }

    fn life(lost: bool, topic: &Topic, room: &str, (alive, silent): (u32, u32)) -> SpaceEvent {
        let (topic, partitions) = (topic.name().to_owned(), room.to_owned());
        if lost {
            SpaceEvent::LivelinessLost {
                topic,
                partitions,
                alive,
                silent,
            }
        } else {
            SpaceEvent::LivelinessRegained {
                topic,
                partitions,
                alive,
                silent,
            }
        }
    }

    #[test]
    fn readings_of_rooms_held_here_are_observed_and_nothing_else() {
        let hall = RoomId::from("hall");
        let writers = |alive, silent| Input::Writers {
            room: hall.clone(),
            alive,
            silent,
            at: AT,
        };
        let overdue = Input::Overdue {
            device: "ups-1".into(),
            deadline: Duration::from_secs(60),
        };
        let (readings, scores) = (Topic::READINGS, Topic::SCORES);
        let matched = SpaceEvent::WriterMatched {
            topic: readings.name().into(),
            writers: 1,
        };
        for (event, expected) in [
            (missed(&readings, Some("ups-1")), Some(overdue)),
            (missed(&readings, None), None),
            (missed(&scores, Some("ups-1")), None),
            (life(true, &readings, "hall", (1, 1)), Some(writers(1, 1))),
            (life(false, &readings, "hall", (2, 0)), Some(writers(2, 0))),
            (life(true, &readings, "cellar", (1, 1)), None),
            (life(true, &scores, "hall", (1, 1)), None),
            (matched, None),
        ] {
            assert_eq!(
                observed(&event, &BTreeSet::from([&hall]), AT),
                expected,
                "{event:?}"
            );
        }
    }
}
