use std::collections::BTreeMap;
use std::fmt;
use tokio::sync::watch;
use wire::KeyEpoch;
use zeroize::Zeroizing;

/// Epochs kept. Two would do for links that move at once; the rest is for a peer that is a few
/// rounds behind, so that the link need not stay on an older key than necessary.
pub const MAX_EPOCHS: usize = 8;

/// A key epoch's secret for links, from the group's exporter. Zeroized when dropped.
pub type LinkSecret = Zeroizing<[u8; 32]>;

/// The link secrets this node holds, shared by its custodian and all its links.
#[derive(Clone)]
pub struct EpochTable(watch::Sender<BTreeMap<KeyEpoch, LinkSecret>>);

impl Default for EpochTable {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl fmt::Debug for EpochTable {
    /// Epochs only, never secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.borrow().keys()).finish()
    }
}

impl EpochTable {
    /// Adds an epoch; links announce it and move. The oldest beyond [`MAX_EPOCHS`] is forgotten.
    pub fn insert(&self, epoch: KeyEpoch, secret: [u8; 32]) {
        self.0.send_modify(|table| {
            table.insert(epoch, Zeroizing::new(secret));
            while table.len() > MAX_EPOCHS {
                table.pop_first();
            }
        });
    }

    /// Forgets every epoch before `epoch`. Links that moved on do not need them any more.
    pub fn prune_before(&self, epoch: KeyEpoch) {
        self.0.send_modify(|table| *table = table.split_off(&epoch));
    }

    /// The newest epoch held.
    pub fn newest(&self) -> Option<KeyEpoch> {
        self.0.borrow().keys().next_back().copied()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<BTreeMap<KeyEpoch, LinkSecret>> {
        let mut receiver = self.0.subscribe();
        receiver.mark_changed();
        receiver
    }
}
