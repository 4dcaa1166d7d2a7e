//! Processes, records and commands, with a shell script in the place of a node: it runs until it is
//! told to stop, and "joins" by writing a configuration.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use local::process::{Life, Process};
use local::state::State;
use local::{LocalCluster, Network, NetworkChoice, NodeState, Options};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use wire::UnixMillis;
use wire::control::{Answer, Ask};

/// A process starts and stops in milliseconds; this is for a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

const NODE: &str = r#"#!/bin/sh
if [ "$2" = join ]; then
  # node join --token T --name N --dir D --listen L --config OUT
  test "$4" = the-token || { echo "the token is not good" >&2; exit 1; }
  sed -e '/^\[node\]/,/^\[/ s/"node-1"/"'"$6"'"/' "${12%/*}/node-1.toml" >"${12}"
  printf '\n[[cluster.peer]]\nname = "%s"\naddress = "%s"\nidentity = "%s"\n' "$6" "${10}" \
    d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a >>"${12}"
  exit 0
fi
echo "$* runs"
trap 'exit 0' TERM
while :; do sleep 0.05; done
"#;

fn place() -> (tempfile::TempDir, PathBuf, Options) {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("glasshouse");
    std::fs::write(&script, NODE).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let options = Options {
        network: NetworkChoice::Only(Network::Loopback),
        ..Options::new(script)
    };
    let place = dir.path().join("cluster");
    (dir, place, options)
}

fn states(cluster: &LocalCluster) -> Vec<NodeState> {
    let views = cluster.status().unwrap();
    views.iter().map(|view| view.state).collect()
}

/// The scripts have set their traps once they have written their line.
fn settle(cluster: &LocalCluster) {
    let wait = cluster.wait_until(LIMIT, "a line in every log", |views| {
        views.iter().all(|view| {
            view.state != NodeState::Silent
                || std::fs::read_to_string(cluster.files(&view.name).log)
                    .is_ok_and(|text| text.contains("runs"))
        })
    });
    wait.unwrap();
}

fn process(dir: &Path, node: &str) -> Option<Process> {
    let state = State::load(dir).unwrap();
    state
        .nodes
        .iter()
        .find(|record| record.name == node)?
        .process
}

#[test]
fn nodes_are_started_paused_killed_started_again_and_stopped() {
    use NodeState::{Dead, Paused, Silent};
    let (_dir, place, options) = place();
    let mut cluster = LocalCluster::create(&place, 3, options.clone()).unwrap();
    assert_eq!(states(&cluster), [Dead; 3]);
    assert_eq!(cluster.start_all().unwrap().len(), 3);
    assert!(cluster.start_all().unwrap().is_empty());
    settle(&cluster);
    assert_eq!(states(&cluster), [Silent; 3]);
    let runs = cluster.start("node-2").unwrap_err().to_string();
    assert!(runs.contains("node-2 runs already"), "{runs}");

    cluster.pause("node-2").unwrap();
    cluster
        .wait_until(LIMIT, "a paused node", |views| views[1].state == Paused)
        .unwrap();
    cluster.kill("node-1").unwrap();
    assert_eq!(states(&cluster), [Dead, Paused, Silent]);
    let dead = cluster.pause("node-1").unwrap_err().to_string();
    assert!(dead.contains("does not run"), "{dead}");
    cluster.resume("node-2").unwrap();
    cluster.start("node-1").unwrap();
    settle(&cluster);
    assert_eq!(states(&cluster), [Silent; 3]);
    assert_eq!(cluster.status().unwrap()[0].restarts, 1);
    cluster.stop("node-3").unwrap();

    let unknown = cluster.kill("node-7").unwrap_err().to_string();
    assert!(
        unknown.contains("the cluster has node-1, node-2, node-3"),
        "{unknown}"
    );
    assert_eq!(cluster.name("2").unwrap(), "node-2");
    let taken = LocalCluster::create(&place, 3, options).err().unwrap();
    assert!(taken.to_string().contains("new folder"), "{taken}");

    let (_, agreement) = cluster.agreement().unwrap();
    assert_eq!(agreement.text, "no node answers");
    assert!(cluster.down().unwrap().is_empty());
    assert!(cluster.down().unwrap().is_empty());
    assert_eq!(states(&cluster), [Dead; 3]);
}

#[test]
fn waiting_in_vain_says_who_lacks_what_and_shows_the_log() {
    let (_dir, place, options) = place();
    let mut cluster = LocalCluster::create(&place, 1, options).unwrap();
    cluster.start_all().unwrap();
    settle(&cluster);
    let error = cluster
        .wait_ready(Duration::from_millis(300), |_| {})
        .unwrap_err()
        .to_string();
    for says in [
        "every node answering was not seen",
        "node-1 lacks an answer",
        "node-1.toml runs",
    ] {
        assert!(error.contains(says), "{error}");
    }
    cluster.kill("node-1").unwrap();
    let error = cluster.wait_ready(LIMIT, |_| {}).unwrap_err().to_string();
    assert!(error.contains("node-1 ended by itself"), "{error}");
}

#[test]
fn a_process_whose_record_was_lost_is_found_and_ended() {
    let (_dir, place, options) = place();
    let mut cluster = LocalCluster::create(&place, 1, options.clone()).unwrap();
    cluster.start_all().unwrap();
    settle(&cluster);
    let lost = process(&place, "node-1").unwrap();
    let mut state = State::load(&place).unwrap();
    state.nodes[0].process = None;
    state.save(&place).unwrap();

    let mut other = LocalCluster::open(&place, options).unwrap();
    assert_eq!(other.running().unwrap(), ["node-1"]);
    other.down().unwrap();
    assert_eq!(lost.life(), Life::Ended);
}

#[test]
fn a_detached_cluster_goes_on_and_any_other_ends_when_it_is_dropped() {
    let (_dir, place, mut options) = place();
    options.detached = true;
    let mut cluster = LocalCluster::create(&place, 2, options.clone()).unwrap();
    cluster.start_all().unwrap();
    settle(&cluster);
    drop(cluster);
    let all = [process(&place, "node-1"), process(&place, "node-2")].map(Option::unwrap);
    assert!(all.iter().all(|process| process.life() == Life::Running));

    options.detached = false;
    drop(LocalCluster::open(&place, options).unwrap());
    assert!(all.iter().all(|process| process.life() == Life::Ended));
}

/// Answers as the control socket of a node would; reports what it was asked.
fn serve(socket: &Path) -> mpsc::Receiver<Ask> {
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    let (asked, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            let ask: Ask = serde_json::from_str(&line).unwrap();
            let answer = match &ask {
                Ask::Invite { .. } => Answer::Invitation {
                    token: "the-token".into(),
                    expires: UnixMillis(1),
                },
                Ask::Split { .. } => Answer::Done { text: "cut".into() },
                Ask::Status { .. } => Answer::Status {
                    status: Box::default(),
                },
                Ask::Evict { .. }
                | Ask::Leave
                | Ask::Deploy { .. }
                | Ask::Quarantine { .. }
                | Ask::ReaderKey { .. }
                | Ask::Publish { .. }
                | Ask::Rounds { .. }
                | Ask::Model { .. }
                | Ask::ReaderKeyAgain { .. } => Answer::Refused {
                    text: "not here".into(),
                },
            };
            let mut line = serde_json::to_vec(&answer).unwrap();
            line.push(b'\n');
            stream.write_all(&line).unwrap();
            if asked.send(ask).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn a_cluster_grows_by_invitation() {
    let (_dir, place, options) = place();
    let mut cluster = LocalCluster::create(&place, 1, options).unwrap();
    let uninvited = cluster.grow(2, |_| {}).unwrap_err().to_string();
    assert!(uninvited.contains("no member runs"), "{uninvited}");
    assert_eq!(cluster.state().unwrap().names(), ["node-1"]);

    cluster.start_all().unwrap();
    let asked = serve(&cluster.files("node-1").control);
    let mut said = Vec::new();
    cluster.grow(3, |line| said.push(line.to_owned())).unwrap();
    assert_eq!(
        said,
        [
            "node-2 joined, invited by node-1",
            "node-3 joined, invited by node-1"
        ]
    );
    for name in ["node-2", "node-3"] {
        let invited = asked.recv_timeout(LIMIT).unwrap();
        assert!(
            matches!(&invited, Ask::Invite { node: Some(node), .. } if node.as_str() == name),
            "{invited:?}"
        );
        let config = config::load(&cluster.files(name).config).unwrap();
        assert_eq!(config.node.name, name);
        assert_eq!(config.rooms.len(), 1, "the cluster's rooms, no new one");
    }
    assert_eq!(cluster.running().unwrap().len(), 3);
}

#[test]
fn on_loopback_the_nodes_split_themselves_and_a_restarted_one_is_told_again() {
    let (_dir, place, options) = place();
    let mut cluster = LocalCluster::create(&place, 2, options).unwrap();
    cluster.start_all().unwrap();
    let groups = local::groups::parse("1|2", &cluster.state().unwrap().names()).unwrap();
    let deaf = cluster.split(&groups).unwrap_err().to_string();
    assert!(deaf.contains("node-1 was not split"), "{deaf}");

    let (first, second) = (
        serve(&cluster.files("node-1").control),
        serve(&cluster.files("node-2").control),
    );
    cluster.split(&groups).unwrap();
    let expect = |asked: &mpsc::Receiver<Ask>, peers: &[&str]| {
        let peers = peers.iter().map(|peer| (*peer).into()).collect();
        assert_eq!(asked.recv_timeout(LIMIT).unwrap(), Ask::Split { peers });
    };
    expect(&first, &["node-2"]);
    expect(&second, &["node-1"]);
    cluster.kill("node-2").unwrap();
    cluster.start("node-2").unwrap();
    expect(&second, &["node-1"]);
    cluster.pause("node-2").unwrap();
    cluster
        .wait_until(LIMIT, "a paused node", |views| {
            views[1].state == NodeState::Paused
        })
        .unwrap();
    // Whoever looked has asked for their status.
    let heard = |asked: &mpsc::Receiver<Ask>| loop {
        match asked.recv_timeout(LIMIT).unwrap() {
            Ask::Status { .. } => {}
            other => return other,
        }
    };
    let nobody = Ask::Split { peers: Vec::new() };
    cluster.heal().unwrap();
    assert_eq!(heard(&first), nobody);
    cluster.resume("node-2").unwrap();
    assert_eq!(heard(&second), nobody);
    assert!(!cluster.state().unwrap().nodes[1].untold);
    let lossy = cluster.degrade("node-1", 5).unwrap_err().to_string();
    assert!(lossy.contains("--network namespaces"), "{lossy}");
}
