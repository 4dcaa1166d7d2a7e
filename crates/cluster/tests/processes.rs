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
const PATIENCE: Duration = Duration::from_secs(60);

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
        // A thread stops when it next comes out of the kernel, and could answer until then.
        while signal == "-STOP" && !self.is_stopped() {
            std::thread::yield_now();
        }
    }

    /// Are all its threads?
    fn is_stopped(&self) -> bool {
        let tasks = format!("/proc/{}/task", self.process.id());
        let mut tasks = std::fs::read_dir(tasks).unwrap();
        tasks.all(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
            // proc(5): pid (name) state …
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
        })
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

#[test]
fn a_short_stop_is_forgiven_and_the_stopped_one_accuses_nobody() {
    let addresses = addresses(&["k", "l"]);
    let (mut k, mut l) = (
        Node::start("k", 1, &addresses),
        Node::start("l", 1, &addresses),
    );
    k.wait_for("up l", PATIENCE);
    l.wait_for("up k", PATIENCE);
    k.order("watch 3");
    l.order("watch 3");
    // Half of what is forgiven: this test's own machine may be slow, too.
    l.signal("-STOP");
    std::thread::sleep(Duration::from_millis(600));
    l.signal("-CONT");
    for node in [&mut k, &mut l] {
        let seen = node.wait_for("watched", PATIENCE);
        assert_eq!(Node::count(&seen, "false_positives"), 0, "{seen}");
        assert_eq!(Node::count(&seen, "links_lost"), 0, "{seen}");
        assert!(Node::count(&seen, "heartbeats") > 5, "{seen}");
    }
}

/// Far less than what 300,000 messages of 1 KiB take, or a few thousand waiting calls; more than
/// one full window with everything around it.
const MOST_GROWTH: u64 = 32 << 20;

impl Node {
    /// A line of `/proc/PID/status`, in bytes.
    fn memory(&self, what: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            << 10
    }

    /// What it has in memory now.
    fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most it ever had.
    fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Numbers in an answer, by the words before them.
    fn count(answer: &str, what: &str) -> u64 {
        let mut words = answer.split_whitespace().skip_while(|word| *word != what);
        words.nth(1).unwrap().parse().unwrap()
    }

    fn flood(&mut self, order: &str, answer: &str) -> String {
        self.order(order);
        self.wait_for(answer, Duration::from_secs(120))
    }
}

#[test]
fn a_stalled_peer_under_300_000_messages_costs_no_memory() {
    let addresses = addresses(&["m", "n"]);
    let (mut m, mut n) = (
        Node::start("m", 1, &addresses),
        Node::start("n", 1, &addresses),
    );
    m.wait_for("up n", PATIENCE);
    n.wait_for("up m", PATIENCE);
    m.flood("flood n 2000", "flooded"); // everything that is allocated once
    m.flood("calls n 2000", "called");
    let before = [m.resident(), n.resident()];

    // It lives and does not handle its mail.
    n.order("stall");
    n.wait_for("stall", PATIENCE);
    let answer = m.flood("flood n 300000", "flooded");
    assert_eq!(
        Node::count(&answer, "sent") + Node::count(&answer, "shed"),
        300_000,
        "{answer}"
    );
    assert!(Node::count(&answer, "shed") >= 299_000, "{answer}");
    n.order("go");
    n.wait_for("go", PATIENCE);
    m.call("n");
    m.order("cast n 1000001");
    n.wait_for("frame m 1000001", PATIENCE);

    // It is stopped: first the window is full, then the link is down.
    n.signal("-STOP");
    let answer = m.flood("flood n 300000", "flooded");
    assert!(Node::count(&answer, "sent") <= 1_000, "{answer}");
    assert!(Node::count(&answer, "unlinked") > 0, "{answer}");
    n.signal("-CONT");
    m.call("n");
    m.order("cast n 1000002");
    n.wait_for("frame m 1000002", PATIENCE);

    // Calls to a stopped peer wait, but not without bound.
    n.signal("-STOP");
    let answer = m.flood("calls n 300000", "called");
    assert_eq!(Node::count(&answer, "answered"), 0, "{answer}");
    assert!(Node::count(&answer, "shed") > 0, "{answer}");
    n.signal("-CONT");
    m.call("n");

    for (node, before) in [(&m, before[0]), (&n, before[1])] {
        let growth = node.peak().saturating_sub(before);
        println!(
            "{}: {} KiB before, peak {} KiB",
            node.name,
            before >> 10,
            node.peak() >> 10
        );
        assert!(
            growth < MOST_GROWTH,
            "{}: grew by {} KiB",
            node.name,
            growth >> 10
        );
    }
}

#[test]
fn an_evicted_process_learns_why_and_is_not_let_in_again() {
    let addresses = addresses(&["u", "v"]);
    let (mut u, mut v) = (
        Node::start("u", 1, &addresses),
        Node::start("v", 1, &addresses),
    );
    u.wait_for("up v", PATIENCE);
    v.wait_for("up u", PATIENCE);
    u.order("evict v");
    let told = v.wait_for("dismissed u", Duration::from_secs(1));
    assert_eq!(told, "dismissed u node v was evicted by u");
    v.kill();
    // It has the greater name: nobody dials it, so it asks by itself, once it has waited enough.
    let mut v = Node::start("v", 2, &addresses);
    let told = v.wait_for("dismissed u", PATIENCE);
    assert_eq!(told, "dismissed u node v was evicted by u");
    u.order("links");
    assert_eq!(u.wait_for("links", PATIENCE), "links {}");
}
