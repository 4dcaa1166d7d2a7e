use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What became of every child of a supervision tree, by path (`supervisor/child`).
#[derive(Clone, Default, Debug)]
pub struct Tree(Arc<Mutex<BTreeMap<String, TreeNode>>>);

/// One child.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TreeNode {
    /// How often it was started again since the process began.
    pub restarts: u64,
    /// Whether it runs.
    pub running: bool,
    starts: u64,
}

impl Tree {
    /// A copy of the present state.
    pub fn snapshot(&self) -> BTreeMap<String, TreeNode> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Name → restarts, as the status page wants it.
    pub fn restarts(&self) -> BTreeMap<String, u64> {
        self.snapshot()
            .into_iter()
            .map(|(path, node)| (path, node.restarts))
            .collect()
    }

    pub(crate) fn started(&self, path: &str) {
        self.change(path, |node| {
            node.restarts = node.starts;
            node.starts += 1;
            node.running = true;
        });
    }

    pub(crate) fn stopped(&self, path: &str) {
        self.change(path, |node| node.running = false);
    }

    fn change(&self, path: &str, change: impl FnOnce(&mut TreeNode)) {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(nodes.entry(path.to_owned()).or_default());
    }
}
