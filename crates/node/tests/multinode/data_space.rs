//! What the data space tells of nodes that die, as the house sees it.

use super::several::{House, LIMIT, house_with, options};
use local::{Network, NetworkChoice, NodeView};
use wire::control::{Answer, Ask};
use wire::status::Status;

/// Writers of readings that show no life for a second are told; a participant counts as gone much later, so
/// that what lies between can be looked at.
const SETTINGS: &str = r#"
[dds]
lease_ms = 20000
[dds.topic.readings]
lease_ms = 1000
[[device]]
id = "pdu-1"
room = "room-1"
class = "pdu"
addresses = ["pdu-1@hall.example"]
"#;

/// The alert about the writers of the room, as a node sees it.
fn about_writers(status: &Status) -> Option<&str> {
    let mut open = status.alerts.open.iter();
    open.find(|alert| alert.device.as_str() == "data-space/room-1")
        .map(|alert| alert.summary.as_str())
}

fn status<'a>(views: &'a [NodeView], node: &str) -> Option<&'a Status> {
    let view = views.iter().find(|view| view.name == node)?;
    view.status.as_deref()
}

fn until(house: &House, node: &str, what: &str, fits: impl Fn(&Status) -> bool) {
    let waited = house
        .cluster
        .wait_until(LIMIT, what, |views| status(views, node).is_some_and(&fits));
    waited.unwrap_or_else(|error| panic!("{error}\n{}", house.log(node)));
}

#[test]
fn writers_whose_process_dies_are_an_alert_of_their_room_until_they_are_gone() {
    let mut options = options(NetworkChoice::Only(Network::Loopback));
    options.overrides = SETTINGS.parse().unwrap();
    let mut house = house_with(3, options);
    // Neither who holds the room nor who leads, so that nothing else has to change hands.
    let leader = house.leader();
    let writer = ["node-2", "node-3"]
        .into_iter()
        .find(|name| *name != leader)
        .unwrap();
    let ask = Ask::Publish {
        device: "pdu-1".into(),
        senml: r#"[{"n":"load","u":"%","v":40}]"#.to_owned(),
        reason: "a trial".to_owned(),
    };
    match house.ask(writer, &ask) {
        Ok(Answer::Done { text }) => println!("  {text}"),
        other => panic!("{other:?}"),
    }
    until(
        &house,
        "node-1",
        "the room's holder has read it",
        |status| {
            let topic = status.dds.topics.get("glasshouse_readings");
            topic.is_some_and(|topic| topic.received > 0)
        },
    );
    let views = house.cluster.status().unwrap();
    assert_eq!(status(&views, "node-1").and_then(about_writers), None);

    house.cluster.kill(writer).unwrap();
    until(&house, "node-1", "the alert", |status| {
        about_writers(status).is_some_and(|summary| {
            summary
                .contains("writers of the readings of room room-1 on the data space show no life")
        })
    });
    until(&house, "node-1", "the all-clear", |status| {
        about_writers(status).is_none()
    });
}
