//! Follows the table of members: links of who was removed end, dialers start and stop.

use super::links::Links;
use super::members::MemberTable;
use super::{Transport, dial};
use runtime::service::{ServiceError, StopSignal};
use runtime::supervisor::ChildSpec;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use wire::NodeId;

pub(super) fn child<T: Transport>(links: &Arc<Links>, transport: &Arc<T>) -> ChildSpec {
    let (links, transport) = (Arc::clone(links), Arc::clone(transport));
    ChildSpec::service("members", move || {
        let (links, transport) = (Arc::clone(&links), Arc::clone(&transport));
        async move {
            Ok(move |stop: StopSignal| async move {
                let mut follower = Follower {
                    links,
                    transport,
                    dialers: BTreeMap::new(),
                    tasks: JoinSet::new(),
                };
                follower.run(stop).await
            })
        }
    })
}

struct Dialer {
    address: watch::Sender<String>,
    task: AbortHandle,
}

struct Follower<T> {
    links: Arc<Links>,
    transport: Arc<T>,
    dialers: BTreeMap<NodeId, Dialer>,
    /// Aborts its tasks when dropped.
    tasks: JoinSet<()>,
}

impl<T: Transport> Follower<T> {
    async fn run(&mut self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let mut table = self.links.members.subscribe();
        let mut awake = tokio::time::interval(self.links.detectors.detection.heartbeat);
        awake.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                changed = table.changed() => {
                    // The sender lives in `links`.
                    changed.map_err(|_| "the table of members is gone")?;
                    let table = Arc::clone(&table.borrow_and_update());
                    self.links.follow(&table);
                    self.staff(&table);
                }
                _ = awake.tick() => self.links.detectors.tick(),
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(()) => {}
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => return Err(format!("a dialer failed: {error}").into()),
                },
            }
        }
    }

    /// One dialer for each other member.
    fn staff(&mut self, table: &MemberTable) {
        self.dialers.retain(|peer, dialer| {
            let stays = table.members.contains_key(peer);
            if !stays {
                dialer.task.abort();
            }
            stays
        });
        for (peer, member) in &table.members {
            if peer == self.links.me() {
                continue;
            }
            if let Some(dialer) = self.dialers.get(peer) {
                dialer.address.send_if_modified(|address| {
                    let moved = *address != member.address;
                    if moved {
                        address.clone_from(&member.address);
                    }
                    moved
                });
                continue;
            }
            let (address, follows) = watch::channel(member.address.clone());
            let (links, transport) = (Arc::clone(&self.links), Arc::clone(&self.transport));
            let keeping = dial::keep_linked(links, transport, peer.clone(), follows);
            let task = self.tasks.spawn(keeping);
            self.dialers.insert(peer.clone(), Dialer { address, task });
        }
    }
}
