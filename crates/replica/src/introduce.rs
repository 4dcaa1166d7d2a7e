//! What a replica says of itself: where it is, and which one it is. Also when it is ready.

use super::handle::{Core, Inner};
use super::lead;
use super::phase::Phase;
use super::propose;
use super::read;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use wire::{Act, Level, StoreId};

/// Between two attempts to be ready.
const LOOK: Duration = Duration::from_millis(100);
/// Pause before something is said again that was not heard or had no effect; doubles. The first one
/// is as long as an election takes.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) async fn run(inner: Arc<Inner>) {
    let core = lead::opened(&inner).await;
    // Both for as long as the replica runs.
    tokio::join!(get_ready(&inner, core), introduce(&inner, core));
}

/// Ready is who has a vote and had everything that was committed at that moment.
async fn get_ready(inner: &Inner, core: &Core) {
    let metrics = core.raft.metrics();
    loop {
        let (voter, heard_all) = {
            let metrics = metrics.borrow();
            let voter = metrics
                .membership_config
                .membership()
                .voter_ids()
                .any(|id| id == core.id);
            let applied = metrics.last_applied.map(|id| id.index);
            (
                voter,
                applied.is_some() && applied == metrics.last_log_index,
            )
        };
        let state = inner.store.now().state;
        // Peers of the first release cannot be asked what is committed.
        let ready = match state.level.min(inner.level) {
            Level::FIRST => heard_all && inner.leadership.borrow().leader.is_some(),
            _ => {
                voter
                    && read::index_reached(inner, inner.timings.attempt_limit)
                        .await
                        .is_ok()
            }
        };
        if voter && ready && state.size > 0 {
            inner.phase.send_if_modified(|phase| {
                let catching_up = *phase == Phase::CatchingUp;
                if catching_up {
                    *phase = Phase::Ready;
                }
                catching_up
            });
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Proposes `Introduced` until the ledger says of this node what is true.
async fn introduce(inner: &Inner, core: &Core) {
    let mut published = inner.store.watch();
    let mut pause = FIRST_PAUSE;
    loop {
        let state = published.borrow_and_update().state.clone();
        let due = match state.members.get(&inner.me) {
            Some(member) => {
                let said = (member.address.as_deref(), member.store);
                state.level >= Level::MEMBERSHIP
                    && said != (Some(inner.address.as_str()), Some(core.store_id))
            }
            // Nobody feeds a new replica before it is on the ledger.
            None => state.size == 0 && core.store_id != StoreId::FOUNDING,
        };
        if inner.level < Level::MEMBERSHIP || !due {
            pause = FIRST_PAUSE;
            if published.changed().await.is_err() {
                return;
            }
            continue;
        }
        let act = Act::Introduced {
            node: inner.me.clone(),
            address: inner.address.clone(),
            store: core.store_id,
        };
        match propose::propose(inner, act).await {
            Ok(leaf) => tracing::info!(leaf, store = core.store_id.0, "this replica is introduced"),
            Err(error) => tracing::info!("this replica is not introduced yet: {error}"),
        }
        let _ = timeout(pause, published.changed()).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
