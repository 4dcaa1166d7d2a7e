//! A cluster of processes for tests: made, waited for, asked, compared.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test itself"
)]

use local::control;
use local::{LocalCluster, Network, NetworkChoice, NodeView, Options};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wire::control::{Answer, Ask};

/// Everything here takes seconds; on a busy machine tens of them.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// One cluster at a time: two would measure how busy the machine is.
static TURN: Mutex<()> = Mutex::new(());

/// A folder and a running cluster in it. The cluster is dropped first.
pub(crate) struct House {
    pub(crate) cluster: LocalCluster,
    pub(crate) dir: tempfile::TempDir,
    /// Last, so that the next cluster starts when this one is gone.
    _turn: MutexGuard<'static, ()>,
}

pub(crate) fn options(network: NetworkChoice) -> Options {
    Options {
        network,
        ..Options::new(env!("CARGO_BIN_EXE_glasshouse"))
    }
}

pub(crate) fn house(nodes: usize, network: NetworkChoice) -> House {
    house_with(nodes, options(network))
}

pub(crate) fn house_with(nodes: usize, options: Options) -> House {
    // A test that panicked holds nothing that the next one could trip over.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let cluster = LocalCluster::create(&dir.path().join("cluster"), nodes, options).unwrap();
    let mut house = House {
        cluster,
        dir,
        _turn: turn,
    };
    house.up();
    house
}

impl House {
    pub(crate) fn up(&mut self) {
        self.cluster.start_all().unwrap();
        self.cluster
            .wait_ready(LIMIT, |line| println!("  {line}"))
            .unwrap();
    }

    pub(crate) fn leader(&self) -> String {
        let views = self.cluster.status().unwrap();
        views.iter().find_map(NodeView::leader).unwrap().to_owned()
    }

    /// Until all nodes say the same.
    pub(crate) fn agree(&self) {
        let agreed = std::cell::RefCell::new(String::new());
        self.cluster
            .wait_until(LIMIT, "agreement", |views| {
                let (views, agreement) = match self.cluster.agreement() {
                    Ok(found) => found,
                    Err(error) => panic!("{error}, after {views:?}"),
                };
                *agreed.borrow_mut() = agreement.text;
                agreement.agrees && views.iter().all(|view| view.status.is_some())
            })
            .unwrap_or_else(|error| panic!("{error}\n{}", agreed.borrow()));
        println!("  {}", agreed.borrow());
    }

    /// Hashes of a node's first leaves, as far as they are signed or up to `count`.
    pub(crate) fn leaves(&self, node: &str, count: Option<u64>) -> Vec<String> {
        let ledger = self.cluster.files(node).data.join("ledger");
        let trust = replica::VerifyOptions::default();
        let report = replica::verify(&ledger, &trust)
            .unwrap_or_else(|error| panic!("the ledger of {node}: {error}"));
        (0..count.unwrap_or(report.size))
            .map(|index| {
                let leaf = replica::inclusion(&ledger, index, &trust).unwrap();
                leaf.hash.to_string()
            })
            .collect()
    }
}

pub(crate) fn leads(views: &[NodeView], nodes: &[String]) -> Option<String> {
    let mut seen = views
        .iter()
        .filter(|view| nodes.contains(&view.name))
        .map(NodeView::leader);
    let first = seen.next()??.to_owned();
    (nodes.contains(&first) && seen.all(|leader| leader == Some(first.as_str()))).then_some(first)
}

impl House {
    /// Asks a node over its control socket.
    pub(crate) fn ask(&self, node: &str, ask: &Ask) -> Result<Answer, String> {
        let socket = self.cluster.files(node).control;
        match control::ask(&socket, ask, Duration::from_secs(20)) {
            Ok(Answer::Refused { text }) => Err(text),
            Ok(answer) => Ok(answer),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What a node has written so far.
    pub(crate) fn log(&self, node: &str) -> String {
        std::fs::read_to_string(self.cluster.files(node).log).unwrap_or_default()
    }
}

/// On loopback, where a test is about other things than packets.
pub(crate) fn loopback(nodes: usize) -> House {
    house(nodes, NetworkChoice::Only(Network::Loopback))
}
