//! Who belongs to the cluster at this moment, as far as this node knows.

use crate::admission;
use crate::noise::{HandshakeError, Peer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;
use wire::{Admission, MemberEntry, NodeId};

/// A node that was a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Former {
    /// The ed25519 identity key it had. Only who proves to hold it is told why it is refused.
    pub identity: [u8; 32],
    /// Why it is none any more, in a sentence.
    pub why: String,
}

/// The members by one state of the ledger, or by the configuration before there is a ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberTable {
    /// All members; this node may be among them.
    pub members: BTreeMap<NodeId, MemberEntry>,
    /// Former members that are remembered.
    pub removed: BTreeMap<NodeId, Former>,
    /// Those of the former members whose vote in consensus still counts: links to them stand until it
    /// does not, or the votes that are left might be no majority. What may go over such a link is for
    /// the application to say.
    pub leaving: BTreeSet<NodeId>,
    /// Leaves of the ledger that this is the outcome of; 0: no ledger yet. An admission by one of
    /// these leaves adds nothing to the table, it can only be stale.
    pub leaves: u64,
}

/// What entitles a peer to its link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is in the table.
    Member,
    /// It has shown an admission by a leaf that the table does not know yet.
    Admitted {
        /// Index of the leaf.
        leaf: u64,
    },
}

impl MemberTable {
    /// From a list of members, before there is a ledger.
    pub fn founding(members: impl IntoIterator<Item = MemberEntry>) -> Self {
        let by_name = |member: MemberEntry| (member.node.clone(), member);
        Self {
            members: members.into_iter().map(by_name).collect(),
            ..Self::default()
        }
    }

    /// Where a peer that has proved its name and identity stands, given what it showed.
    pub(crate) fn standing(
        &self,
        cluster: &str,
        peer: &Peer,
        shown: Option<&Admission>,
    ) -> Result<Standing, HandshakeError> {
        let node = || peer.node.clone();
        if let Some(member) = self.members.get(&peer.node) {
            return if member.identity == peer.identity {
                Ok(Standing::Member)
            } else {
                Err(HandshakeError::WrongIdentity { node: node() })
            };
        }
        if self.is_leaving(peer) {
            return Ok(Standing::Member);
        }
        let former = self.removed.get(&peer.node);
        let Some(shown) = shown else {
            return Err(match former {
                Some(former) if former.identity == peer.identity => HandshakeError::Removed {
                    node: node(),
                    why: former.why.clone(),
                },
                Some(_) | None => HandshakeError::UnknownNode { node: node() },
            });
        };
        if let Some(former) = former {
            // An admission older than the removal. Without a ledger there is no telling.
            if former.identity == peer.identity && (self.leaves == 0 || shown.index < self.leaves) {
                let why = former.why.clone();
                return Err(HandshakeError::Removed { node: node(), why });
            }
        }
        if shown.index < self.leaves {
            return Err(HandshakeError::StaleAdmission {
                node: node(),
                leaf: shown.index,
                leaves: self.leaves,
            });
        }
        admission::verify(shown, cluster, &peer.node, &peer.identity, &self.members).map_err(
            |error| HandshakeError::Admission {
                node: node(),
                error,
            },
        )?;
        Ok(Standing::Admitted { leaf: shown.index })
    }

    fn is_leaving(&self, peer: &Peer) -> bool {
        let former = self.removed.get(&peer.node);
        let same = former.is_some_and(|former| former.identity == peer.identity);
        same && self.leaving.contains(&peer.node)
    }

    /// Whether a link may stay, by what entitled it when it was made; otherwise why not.
    pub(crate) fn still_stands(&self, peer: &Peer, standing: Standing) -> Result<(), String> {
        let node = &peer.node;
        match (self.members.get(node), standing) {
            (Some(member), _) if member.identity == peer.identity => Ok(()),
            (Some(_), _) => Err(format!("node {node} has another identity key now")),
            (None, Standing::Admitted { leaf }) if leaf >= self.leaves => Ok(()),
            (None, _) if self.is_leaving(peer) => Ok(()),
            (None, Standing::Member | Standing::Admitted { .. }) => {
                Err(self.removed.get(node).map_or_else(
                    || format!("node {node} is not a member of the cluster any more"),
                    |former| former.why.clone(),
                ))
            }
        }
    }
}

/// The table that this node goes by; one for all clones. The node sets it from its ledger.
#[derive(Clone, Debug)]
pub struct Members(watch::Sender<Arc<MemberTable>>);

impl Members {
    /// Starts from `table`.
    pub fn new(table: MemberTable) -> Self {
        Self(watch::Sender::new(Arc::new(table)))
    }

    /// From now on it is this. Links to who is neither a member nor leaving end at once; dialers start
    /// for who is new, and follow changed addresses.
    pub fn set(&self, table: MemberTable) {
        self.0.send_if_modified(|current| {
            let news = **current != table;
            if news {
                *current = Arc::new(table);
            }
            news
        });
    }

    /// The table at this moment.
    pub fn current(&self) -> Arc<MemberTable> {
        Arc::clone(&self.0.borrow())
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<MemberTable>> {
        let mut receiver = self.0.subscribe();
        receiver.mark_changed();
        receiver
    }
}
