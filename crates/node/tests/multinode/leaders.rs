//! Several nodes as processes: loss of the leader, loss of all, and a split network. With root the
//! nodes live in network namespaces and a split loses real packets.

use super::several::{LIMIT, house, house_with, leads, options};
use local::state::State;
use local::{Network, NetworkChoice, NodeView};
use std::path::Path;
use std::time::Duration;

/// Majorities elect within two seconds; a minority that has not lost its leader after this keeps it.
const LEADERLESS: Duration = Duration::from_secs(60);

#[test]
fn a_killed_leader_is_replaced_and_a_restarted_cluster_has_its_whole_history() {
    let mut house = house(3, NetworkChoice::Only(Network::Loopback));
    house.agree();

    let killed = house.leader();
    house.cluster.kill(&killed).unwrap();
    let names = house.cluster.state().unwrap().names();
    let others: Vec<String> = names.into_iter().filter(|name| *name != killed).collect();
    house
        .cluster
        .wait_until(LIMIT, "a new leader", |views| {
            leads(views, &others).is_some()
        })
        .unwrap();
    house.cluster.start(&killed).unwrap();
    house.cluster.wait_ready(LIMIT, |_| {}).unwrap();
    house.agree();

    assert_eq!(house.cluster.down().unwrap(), Vec::<String>::new());
    let before = house.leaves("node-1", None);
    assert!(!before.is_empty());
    house.up();
    house.agree();
    let count = u64::try_from(before.len()).unwrap();
    for node in ["node-1", "node-2", "node-3"] {
        house
            .cluster
            .wait_until(LIMIT, "a checkpoint over the former leaves", |_| {
                let ledger = house.cluster.files(node).data.join("ledger");
                replica::verify(&ledger, &replica::VerifyOptions::default())
                    .is_ok_and(|report| report.size >= count)
            })
            .unwrap();
        assert_eq!(house.leaves(node, Some(count)), before, "{node}");
    }
    let starts: Vec<u32> = house
        .cluster
        .state()
        .unwrap()
        .nodes
        .iter()
        .map(|node| node.starts)
        .collect();
    assert_eq!(starts.iter().sum::<u32>(), 7, "{starts:?}");
    assert!(house.dir.path().exists());
}

/// A minority with the old leader loses it, the majority goes on, and all are one afterwards.
#[test]
fn a_split_leaves_the_majority_working_and_heals() {
    let mut house = house(3, NetworkChoice::Auto);
    let network = house.cluster.state().unwrap().network;
    println!("split over {}", network.describe());
    if let Some(reason) = house.cluster.fallback() {
        println!("not over namespaces: {reason}");
    }
    house.agree();

    let alone = house.leader();
    let names = house.cluster.state().unwrap().names();
    let majority: Vec<String> = names.into_iter().filter(|name| *name != alone).collect();
    house
        .cluster
        .split(&[vec![alone.clone()], majority.clone()])
        .unwrap();
    let views = house
        .cluster
        .wait_until(LEADERLESS, "a leader of the majority alone", |views| {
            let lonely = views.iter().find(|view| view.name == alone);
            leads(views, &majority).is_some()
                && lonely.is_some_and(|view| !view.leads() && view.status.is_some())
        })
        .unwrap();
    let size = |views: &[NodeView], name: &str| {
        views
            .iter()
            .find(|view| view.name == name)
            .and_then(NodeView::size)
            .unwrap_or(0)
    };
    // The majority notes the loss on the ledger; the minority cannot.
    let split_at = size(&views, &alone);
    house
        .cluster
        .wait_until(LIMIT, "the majority's next entry", |views| {
            majority.iter().all(|name| size(views, name) > split_at)
                && views.iter().any(|view| {
                    majority.contains(&view.name)
                        && view
                            .status
                            .as_ref()
                            .is_some_and(|status| status.members.get(&alone) == Some(&false))
                })
        })
        .unwrap();
    let views = house.cluster.status().unwrap();
    assert_eq!(size(&views, &alone), split_at, "a minority went on alone");

    house.cluster.heal().unwrap();
    house.cluster.wait_ready(LIMIT, |_| {}).unwrap();
    house.agree();
    let dir = house.cluster.dir().to_owned();
    drop(house.cluster);
    assert_nothing_left(&dir);
}

/// Everything that nodes say to each other goes through their network: links, and the data space.
#[test]
fn a_mail_to_one_node_is_read_at_the_home_of_its_room() {
    let mut options = options(NetworkChoice::Auto);
    options.overrides = r#"
        [[device]]
        id = "ups-1"
        room = "room-2"
        class = "ups"
        addresses = ["ups-1@hall.example"]
    "#
    .parse()
    .unwrap();
    let house = house_with(2, options);
    let state = house.cluster.state().unwrap();
    println!("over {}", state.network.describe());
    let holds = |view: &NodeView, room: &str| {
        let room = wire::Role::Room(room.into());
        view.status
            .as_ref()
            .is_some_and(|status| status.roles.contains(&room))
    };
    house
        .cluster
        .wait_until(LIMIT, "room-2 at its home", |views| {
            holds(&views[1], "room-2")
        })
        .unwrap();
    let certificate = house.cluster.files("node-1").data.join("mailbox-cert.pem");
    let sent = house
        .cluster
        .inside("node-2", || {
            std::process::Command::new(env!("CARGO_BIN_EXE_glasshouse"))
                .args(["device", "send", "apc-ups", "--from", "ups-1@hall.example"])
                .args(["--to", &state.nodes[0].mail_to(), "--ca"])
                .arg(certificate)
                .status()
                .unwrap()
        })
        .unwrap();
    assert!(sent.success());
    house
        .cluster
        .wait_until(LIMIT, "the reading at node-2", |views| {
            views[1]
                .status
                .as_ref()
                .is_some_and(|status| status.dds.received_remote > 0)
        })
        .unwrap();
}

fn assert_nothing_left(dir: &Path) {
    assert!(!local::namespaces::Namespaces::of(dir).exist());
    for node in State::load(dir).unwrap().nodes {
        let config = dir.join(format!("{}.toml", node.name));
        assert_eq!(local::process::Process::of_config(&config), None);
    }
}

/// The command line itself, in the order in which a person would use it.
#[test]
fn the_commands_bring_a_cluster_up_hurt_it_and_take_it_down() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("c");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_glasshouse"))
            .args(["cluster", "--dir"])
            .arg(&place)
            .args(arguments)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let good = |arguments: &[&str], says: &str| {
        let (success, text) = run(arguments);
        assert!(success && text.contains(says), "{arguments:?}: {text}");
    };
    let bad = |arguments: &[&str], says: &str| {
        let (success, text) = run(arguments);
        assert!(!success && text.contains(says), "{arguments:?}: {text}");
    };
    // Whatever fails below, nothing stays behind.
    let guard = Guard(&run);
    good(&["down"], "nothing to stop");
    bad(&["status"], "holds no cluster");
    bad(&["up", "--nodes", "10"], "1 to 9");
    good(&["up", "--nodes", "2"], "all 2 nodes agree");
    good(&["up"], "runs already");
    bad(&["up", "--nodes", "1"], "has 2 nodes, not 1");
    good(&["pause", "2"], "node-2 stands still");
    good(&["status"], "node-2 is paused");
    good(&["resume", "node-2"], "goes on");
    good(&["kill", "2"], "node-2 was killed");
    bad(&["kill", "2"], "does not run");
    good(&["status", "--json"], "\"state\": \"dead\"");
    bad(&["start", "3"], "no node `3`");
    good(&["up"], "all 2 nodes agree");
    good(&["logs", "2"], "node-2 is up");
    bad(&["split", "1,2"], "at least two");
    good(&["down"], "is down");
    good(&["down"], "is down");
    good(&["status"], "no node answers");
    drop(guard);
    assert_nothing_left(&place.canonicalize().unwrap());
}

struct Guard<'a>(&'a dyn Fn(&[&str]) -> (bool, String));

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        (self.0)(&["down"]);
    }
}
