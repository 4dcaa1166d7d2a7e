//! Nodes as processes, killed and brought back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// In which a death must be noticed (link heartbeats; a closed socket shows at once).
const NOTICED: Duration = Duration::from_secs(3);
/// Far more than anything else here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    name: &'static str,
    process: Child,
    orders: ChildStdin,
    told: Receiver<String>,
}

fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/cluster_node");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p cluster --examples`",
        path.display()
    );
    path
}

/// Addresses for the nodes of one test, in the form the program takes.
fn addresses(names: &[&str]) -> Vec<String> {
    let listeners: Vec<_> = names
        .iter()
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let name = |(name, listener): (&&str, &TcpListener)| {
        format!("{name}={}", listener.local_addr().unwrap())
    };
    names.iter().zip(&listeners).map(name).collect()
}

impl Node {
    fn start(name: &'static str, incarnation: u64, addresses: &[String]) -> Self {
        let mut process = Command::new(program())
            .args([name, &incarnation.to_string()])
            .args(addresses)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, told) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| tell.send(line))
        });
        let orders = process.stdin.take().unwrap();
        let mut node = Self {
            name,
            process,
            orders,
            told,
        };
        node.wait_for("ready", PATIENCE);
        node
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// The next line that begins with `start`; others are passed over.
    fn wait_for(&mut self, start: &str, limit: Duration) -> String {
        self.wait_for_one(&[start], limit)
    }

    /// As [`wait_for`](Self::wait_for), with several beginnings to choose from.
    fn wait_for_one(&mut self, starts: &[&str], limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        let mut passed = Vec::new();
        loop {
            match self
                .told
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) if starts.iter().any(|start| line.starts_with(start)) => return line,
                Ok(line) => passed.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!(
                        "{} did not say {starts:?} within {limit:?}, but {passed:?}",
                        self.name
                    )
                }
            }
        }
    }

    /// Sends `signal` to the process.
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.process.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn kill(mut self) {
        self.process.kill().unwrap(); // SIGKILL
        self.process.wait().unwrap();
    }

    /// Asks until the link to `peer` answers.
    fn call(&mut self, peer: &str) {
        let expected = format!("reply Refused(\"{} called\")", self.name);
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.order(&format!("call {peer}"));
            let answer = self.wait_for_one(&["reply", "error"], PATIENCE);
            if answer == expected {
                return;
            }
            // Its "up" may not have come yet; the link is made at any moment.
            assert!(
                answer.contains("no link") && Instant::now() < deadline,
                "{answer}"
            );
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_killed_node_is_noticed_and_comes_back_whichever_it_is() {
    let addresses = addresses(&["a", "b", "c"]);
    let mut incarnation = 1;
    let mut nodes = ["a", "b", "c"].map(|name| Some(Node::start(name, incarnation, &addresses)));
    for node in nodes.iter_mut().flatten() {
        for _ in 0..2 {
            node.wait_for("up", PATIENCE);
        }
    }
    // Each in turn, twice: the one that dials all, the one in the middle, the one that is dialed.
    for round in 0..6 {
        let victim = round % 3;
        let name = ["a", "b", "c"][victim];
        nodes[victim].take().unwrap().kill();
        for survivor in nodes.iter_mut().flatten() {
            survivor.wait_for(&format!("down {name} "), NOTICED);
        }
        let [x, y] = [(victim + 1) % 3, (victim + 2) % 3];
        nodes[x].as_mut().unwrap().call(["a", "b", "c"][y]);
        incarnation += 1;
        let mut back = Node::start(name, incarnation, &addresses);
        for survivor in nodes.iter_mut().flatten() {
            survivor.wait_for(&format!("up {name} {incarnation}"), PATIENCE);
            survivor.call(name);
        }
        for other in [x, y] {
            let peer = ["a", "b", "c"][other];
            back.call(peer);
            back.order(&format!("cast {peer} {round}"));
            nodes[other]
                .as_mut()
                .unwrap()
                .wait_for(&format!("frame {name} {round}"), PATIENCE);
        }
        nodes[victim] = Some(back);
    }
}

#[test]
fn a_frozen_node_is_noticed_and_linked_again_when_it_thaws() {
    let addresses = addresses(&["p", "q"]);
    let (mut p, mut q) = (
        Node::start("p", 1, &addresses),
        Node::start("q", 1, &addresses),
    );
    p.wait_for("up q 1", PATIENCE);
    q.wait_for("up p 1", PATIENCE);
    q.signal("-STOP");
    let down = p.wait_for("down q", NOTICED);
    assert!(down.contains("nothing heard for 1.9s"), "{down}");
    q.signal("-CONT");
    p.wait_for("up q 1", PATIENCE);
    p.call("q");
    q.wait_for("down p", PATIENCE);
    q.wait_for("up p 1", PATIENCE);
    q.call("p");
}

#[test]
fn a_node_stops_when_told_and_its_peers_see_it_at_once() {
    let addresses = addresses(&["s", "t"]);
    let (mut s, mut t) = (
        Node::start("s", 1, &addresses),
        Node::start("t", 1, &addresses),
    );
    s.wait_for("up t", PATIENCE);
    t.wait_for("up s", PATIENCE);
    t.order("quit");
    s.wait_for("down t", NOTICED);
    t.wait_for("stopped", PATIENCE);
    assert!(t.process.wait().unwrap().success());
}
