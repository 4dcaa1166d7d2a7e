//! Connections to peers with greater names, made and made again.

use super::links::{Link, Links};
use super::{Transport, session};
use crate::noise::handshake;
use runtime::entropy;
use runtime::service::StopSignal;
use runtime::supervisor::ChildSpec;
use std::sync::Arc;
use std::time::Duration;
use wire::NodeId;

/// First pause between attempts; doubled after each failure. A peer that restarts is back within
/// a second, and on the same host its port answers at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause, before jitter: a peer that comes back waits for us this long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Time for a connection to be made. Within one site it takes less than a millisecond.
const DIAL_LIMIT: Duration = Duration::from_secs(2);

/// A link that lived so long was a good one: the next attempt starts from the first pause.
const GOOD_LIFE: Duration = Duration::from_secs(3);

pub(super) fn child<T: Transport>(
    links: &Arc<Links>,
    transport: &Arc<T>,
    peer: NodeId,
) -> ChildSpec {
    let (links, transport) = (Arc::clone(links), Arc::clone(transport));
    ChildSpec::service(format!("dial:{peer}"), move || {
        let (links, transport, peer) = (Arc::clone(&links), Arc::clone(&transport), peer.clone());
        async move {
            Ok(move |mut stop: StopSignal| async move {
                tokio::select! {
                    () = keep_linked(&links, &transport, &peer) => {}
                    () = stop.stopped() => {}
                }
                Ok(())
            })
        }
    })
}

async fn keep_linked<T: Transport>(links: &Arc<Links>, transport: &Arc<T>, peer: &NodeId) {
    let mut pause = FIRST_PAUSE;
    // Only changes of the reason are worth a line: a peer can be down for days.
    let mut last_complaint = String::new();
    loop {
        match dial(links, transport, peer).await {
            Ok(Some(link)) => {
                last_complaint.clear();
                link.handle.closed().await;
                if link.handle.age() >= GOOD_LIFE {
                    pause = FIRST_PAUSE;
                }
            }
            Ok(None) => {}
            Err(complaint) => {
                if complaint != last_complaint {
                    tracing::info!(peer = %peer, "no link: {complaint}; trying again");
                    last_complaint = complaint;
                }
            }
        }
        let jitter = entropy::below(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        tokio::time::sleep(pause + Duration::from_millis(jitter)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn dial<T: Transport>(
    links: &Arc<Links>,
    transport: &Arc<T>,
    peer: &NodeId,
) -> Result<Option<Arc<Link>>, String> {
    let mut connection = tokio::time::timeout(DIAL_LIMIT, transport.dial(peer))
        .await
        .map_err(|_| format!("no connection within {DIAL_LIMIT:?}"))?
        .map_err(|error| error.to_string())?;
    let established = handshake(&mut connection, &links.identity, &links.roster, Some(peer))
        .await
        .map_err(|error| error.to_string())?;
    Ok(session::adopt(links, connection, established, false).await)
}
