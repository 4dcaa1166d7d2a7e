//! `glasshouse dds spy`: what goes over the data space, one line a sample and an event. It joins as a
//! stranger does; a reader key opens its topic and partition.

mod key;
mod said;

use super::Outcome;
use super::{Named, seconds};
use dds::{CycloneSpace, DataSpace as _, Delivery, SpaceEvent, Topic};
use key::Key;
use said::{Line, sample_line};
use std::future::Future as _;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Configuration of a node: how its data space is joined.
    #[arg(long)]
    config: PathBuf,
    /// Which topic; default: that of the key, or all.
    #[arg(long, value_enum)]
    topic: Option<Named>,
    /// Partition, a room for readings; * and ? are wildcards. Default: that of the key, or all.
    #[arg(long, visible_alias = "room")]
    partition: Option<String>,
    /// Only samples of this key: the device, for readings and scores.
    #[arg(long)]
    device: Option<String>,
    /// Reader key as `glasshouse dds key` writes it; what it does not open is shown as sealed.
    #[arg(long)]
    key: Option<PathBuf>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// End after so many samples.
    #[arg(long)]
    count: Option<u64>,
    /// End after this time: 90s, 30m, 1h.
    #[arg(long = "for", value_parser = seconds)]
    for_s: Option<u64>,
}

/// Where to look, by key and arguments.
struct Place {
    topics: Vec<Topic>,
    partition: String,
}

fn place(arguments: &Arguments, key: Option<&Key>) -> Result<Place, String> {
    let asked = arguments.topic.map(Named::topic);
    let Some(key) = key else {
        let all = || Topic::ALL.into_iter().map(|(_, topic)| topic).collect();
        return Ok(Place {
            topics: asked.map_or_else(all, |topic| vec![topic]),
            partition: arguments.partition.clone().unwrap_or_else(|| "*".into()),
        });
    };
    let contradicts = |what: &str, asked: &str, of_key: &str| {
        format!("the reader key is for {what} {of_key}, not {asked}; leave --{what} out")
    };
    let known = Topic::ALL.into_iter().map(|(_, topic)| topic);
    let topic = known
        .into_iter()
        .find(|topic| topic.name() == key.topic())
        .ok_or_else(|| {
            format!(
                "the reader key is for topic {}, which is none of ours",
                key.topic()
            )
        })?;
    if let Some(asked) = asked.filter(|asked| *asked != topic) {
        return Err(contradicts("topic", asked.name(), topic.name()));
    }
    match &arguments.partition {
        Some(asked) if asked != key.partition() => {
            Err(contradicts("partition", asked, key.partition()))
        }
        Some(_) | None => Ok(Place {
            topics: vec![topic],
            partition: key.partition().to_owned(),
        }),
    }
}

/// Beside a node on the same host: its ports are taken, and it is one of those to look for.
fn beside(config: &config::Config) -> dds::DomainConfig {
    let mut domain = config.dds.domain_config();
    domain.participant = None;
    domain.participants = domain.participants.max(MIN_PARTICIPANTS);
    let here = domain.interfaces.iter().map(ToString::to_string);
    let missing: Vec<String> = here.filter(|here| !domain.peers.contains(here)).collect();
    domain.peers.extend(missing);
    domain
}

/// Participants to expect on this host, where nodes are told that they are alone: some people that look on.
const MIN_PARTICIPANTS: u16 = 8;

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let config = config::load(&arguments.config)?;
    let key = arguments.key.as_deref().map(Key::read).transpose()?;
    let place = place(arguments, key.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let looking = look(arguments, &config, &place, key);
        match arguments.for_s {
            Some(limit) => tokio::time::timeout(Duration::from_secs(limit), looking)
                .await
                .unwrap_or(Ok(())),
            None => looking.await,
        }
    })
}

async fn look(
    arguments: &Arguments,
    config: &config::Config,
    place: &Place,
    mut key: Option<Key>,
) -> Outcome {
    let space = CycloneSpace::join(&beside(config))?.with_topics(config.dds.configured_topics());
    let mut events = space.events();
    let mut subscriptions = Vec::new();
    for topic in &place.topics {
        subscriptions.push(space.subscribe(topic, &[&place.partition])?);
    }
    let print = |line: Line| line.print(arguments.json);
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 {
        let (topic, delivery) = tokio::select! {
            event = next_event(&mut events) => {
                print(said::event_line(&event))?;
                continue;
            }
            next = any(&mut subscriptions) => match next {
                Some(next) => next,
                None => return Ok(()),
            },
        };
        let wanted = |found: &str| {
            arguments
                .device
                .as_deref()
                .is_none_or(|asked| asked == found)
        };
        if !wanted(delivery.key()) {
            continue;
        }
        match delivery {
            Delivery::Disposed { key } => print(said::over_line(&topic, &key))?,
            Delivery::Sample(sample) => {
                let opened = match &mut key {
                    Some(key) => key.open(&sample),
                    None => Err("no reader key".to_owned()),
                };
                print(sample_line(&topic, &sample, &opened))?;
                left -= 1;
            }
        }
    }
    Ok(())
}

async fn next_event(events: &mut broadcast::Receiver<SpaceEvent>) -> SpaceEvent {
    loop {
        match events.recv().await {
            Ok(event) => return event,
            Err(RecvError::Lagged(lost)) => eprintln!("glasshouse: {lost} events are lost"),
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The next delivery of any subscription; `None` when the data space has closed.
async fn any(subscriptions: &mut [dds::Subscription]) -> Option<(String, Delivery)> {
    std::future::poll_fn(|context| {
        for subscription in subscriptions.iter_mut() {
            let topic = subscription.topic().to_owned();
            // Dropped at once when there is nothing: `recv` is cancel safe.
            if let Poll::Ready(next) = pin!(subscription.recv()).poll(context) {
                return Poll::Ready(next.map(|delivery| (topic, delivery)));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::HOUSE;

    #[test]
    fn key_and_arguments_must_say_the_same() {
        let key = Key::parse(
            r#"{"grant":"g","topic":"glasshouse_readings","partition":"hall","until":1,"keys":{}}"#,
        )
        .unwrap();
        let arguments = |topic, partition: Option<&str>| Arguments {
            config: PathBuf::new(),
            topic,
            partition: partition.map(str::to_owned),
            device: None,
            key: None,
            json: false,
            count: None,
            for_s: None,
        };
        for (topic, partition, key, expected) in [
            (None, None, None, Ok((5, "*"))),
            (Some(Named::Alerts), None, None, Ok((1, "*"))),
            (None, Some(HOUSE), None, Ok((5, HOUSE))),
            (None, None, Some(&key), Ok((1, "hall"))),
            (
                Some(Named::Readings),
                Some("hall"),
                Some(&key),
                Ok((1, "hall")),
            ),
            (
                Some(Named::Alerts),
                None,
                Some(&key),
                Err("topic glasshouse_readings"),
            ),
            (None, Some("cellar"), Some(&key), Err("partition hall")),
        ] {
            match (place(&arguments(topic, partition), key), expected) {
                (Ok(found), Ok((topics, partition))) => {
                    assert_eq!((found.topics.len(), &*found.partition), (topics, partition));
                }
                (Err(sentence), Err(part)) => assert!(sentence.contains(part), "{sentence}"),
                (found, expected) => {
                    panic!("{expected:?}, not {:?}", found.map(|found| found.partition))
                }
            }
        }
    }
}
