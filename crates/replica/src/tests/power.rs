//! A disk that keeps what it was told to make durable, and may lose the rest when the power fails.
//!
//! The real files are written; beside them stands, for each file of a directory that is wired up,
//! what it held when it was last synced. Losing power puts that back.

use super::*;
use std::cell::RefCell;
use std::io;
use std::path::Path;
use tokio::sync::watch;

thread_local! {
    /// Directories that are wired up. Tests run on one thread each, tasks included.
    static WIRED: RefCell<BTreeMap<PathBuf, Wired>> = RefCell::default();
}

struct Wired {
    /// Synced content by path.
    durable: BTreeMap<PathBuf, Vec<u8>>,
    /// While true, the syncs that a leader leaves to the background do not begin.
    held: watch::Sender<bool>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// Every sync fails.
    Broken,
    /// Nothing that the process still does reaches the disk.
    Off,
}

fn with<T>(path: &Path, work: impl FnOnce(&mut Wired) -> T) -> Option<T> {
    WIRED.with_borrow_mut(|wired| wired.get_mut(path.parent()?).map(work))
}

/// A sync of the file at `path`, or its replacement.
pub(in super::super) fn observe(
    path: &Path,
    sync: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    match with(path, |wired| wired.state) {
        None => return sync(),
        Some(State::Good) => sync()?,
        Some(State::Broken) => return Err(io::Error::other("the disk is broken, says the test")),
        Some(State::Off) => return Err(io::Error::other("the power is off, says the test")),
    }
    let content = std::fs::read(path)?;
    with(path, |wired| wired.durable.insert(path.to_owned(), content));
    Ok(())
}

/// Waits while syncs in the background are held up.
pub(in super::super) async fn released(path: &Path) {
    let Some(mut held) = with(path, |wired| wired.held.subscribe()) else {
        return;
    };
    if held.wait_for(|held| !held).await.is_err() {
        // The machine is gone.
        std::future::pending::<()>().await;
    }
}

/// What of the bytes behind the synced ones outlives the loss of power: all that was written, to
/// what the disk may have made of it.
pub(super) type Survives = fn(synced: usize, written: &[u8]) -> Vec<u8>;

/// Only what was synced.
pub(super) fn synced_only(synced: usize, written: &[u8]) -> Vec<u8> {
    written[..synced].to_vec()
}

/// All that was written.
pub(super) fn everything(_: usize, written: &[u8]) -> Vec<u8> {
    written.to_vec()
}

/// The first sector behind what was synced is lost, all the others are there.
pub(super) fn all_but_the_first_sector(synced: usize, written: &[u8]) -> Vec<u8> {
    let mut left = written.to_vec();
    let end = (synced + 1).next_multiple_of(512).min(left.len());
    left[synced..end].fill(0);
    left
}

impl House {
    /// Wires up a node's directory: before the node starts.
    pub(super) fn wire(&self, node: &str) {
        let dir = self.dir(node);
        std::fs::create_dir_all(&dir).unwrap();
        let durable = [log::LOG, leaves::LEAVES]
            .into_iter()
            .filter_map(|name| Some((dir.join(name), std::fs::read(dir.join(name)).ok()?)));
        let wired = Wired {
            durable: durable.collect(),
            held: watch::Sender::new(false),
            state: State::Good,
        };
        WIRED.with_borrow_mut(|all| all.insert(dir, wired));
    }

    fn wired<T>(&self, node: &str, work: impl FnOnce(&mut Wired) -> T) -> T {
        with(&self.dir(node).join("any"), work).expect("the node is wired up")
    }

    /// A house of which every node is wired up.
    pub(super) fn wired_up(names: &str) -> Self {
        let house = Self::new(names);
        house
            .names
            .iter()
            .for_each(|node| house.wire(node.as_str()));
        house
    }

    /// Holds up what a leader syncs in the background, or lets it go on.
    pub(super) fn hold_syncs(&self, node: &str, held: bool) {
        self.wired(node, |wired| wired.held.send_replace(held));
    }

    /// From now on the node's disk refuses to sync.
    pub(super) fn break_disk(&self, node: &str) {
        self.wired(node, |wired| wired.state = State::Broken);
    }

    /// The node loses power.
    pub(super) async fn lose_power(&self, ledger: Ledger, survives: Survives) -> String {
        let node = ledger.me().as_str().to_owned();
        self.wired(&node, |wired| wired.state = State::Off);
        let written = [log::LOG, leaves::LEAVES].map(|name| {
            let path = self.dir(&node).join(name);
            let written = std::fs::read(&path).unwrap();
            (path, written)
        });
        self.kill(ledger).await;
        for (path, written) in written {
            let durable = self.wired(&node, |wired| wired.durable.get(&path).cloned());
            let synced = durable.map_or(0, |durable| durable.len());
            std::fs::write(&path, survives(synced, &written)).unwrap();
        }
        self.wire(&node);
        node
    }
}
