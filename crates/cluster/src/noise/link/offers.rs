//! Which epochs both ends of a link have told each other of. No I/O here.

use crate::noise::epochs::LinkSecret;
use std::collections::{BTreeMap, BTreeSet};
use wire::KeyEpoch;

/// Epochs a peer may have offered and that we remember; beyond them the oldest are forgotten.
const MAX_OFFERED: usize = 16;

/// Epochs we announced and whose secret the link keeps until it has moved past them. More than
/// [`MAX_OFFERED`], so that a peer can never move to one that is forgotten here unless it is 48
/// announcements late; then the link ends and a new one begins.
const MAX_ANNOUNCED: usize = 64;

#[derive(Default)]
pub(super) struct Offers {
    pub(super) announced: BTreeMap<KeyEpoch, LinkSecret>,
    pub(super) offered: BTreeSet<KeyEpoch>,
    pub(super) sending: KeyEpoch,
    pub(super) receiving: KeyEpoch,
}

impl Offers {
    /// Keeps what of `held` the peer has not been told of; gives those epochs, for an announcement.
    pub(super) fn announce(&mut self, held: BTreeMap<KeyEpoch, LinkSecret>) -> Vec<KeyEpoch> {
        let past = self.sending.min(self.receiving);
        let mut news = Vec::new();
        for (epoch, secret) in held {
            if epoch > past && !self.announced.contains_key(&epoch) {
                self.announced.insert(epoch, secret);
                news.push(epoch);
            }
        }
        self.prune();
        news
    }

    /// The peer holds this epoch.
    pub(super) fn offer(&mut self, epoch: KeyEpoch) {
        self.offered.insert(epoch);
        self.prune();
    }

    /// The newest epoch that both ends hold, if that is news for our direction.
    pub(super) fn next(&self) -> Option<(KeyEpoch, LinkSecret)> {
        self.offered
            .iter()
            .rev()
            .find_map(|epoch| Some((*epoch, self.announced.get(epoch)?.clone())))
            .filter(|(epoch, _)| *epoch > self.sending)
    }

    /// Our direction has moved.
    pub(super) fn sending(&mut self, epoch: KeyEpoch) {
        self.sending = epoch;
        self.prune();
    }

    /// The peer's direction has moved.
    pub(super) fn receiving(&mut self, epoch: KeyEpoch) {
        self.receiving = epoch;
        self.prune();
    }

    /// Forgets what neither direction can come to use.
    fn prune(&mut self) {
        let past = self.sending.min(self.receiving);
        self.announced.retain(|epoch, _| *epoch > past);
        while self.announced.len() > MAX_ANNOUNCED {
            self.announced.pop_first();
        }
        self.offered.retain(|epoch| *epoch > self.sending);
        while self.offered.len() > MAX_OFFERED {
            self.offered.pop_first();
        }
    }
}
