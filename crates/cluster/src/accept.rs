//! Connections from outside.

use super::links::{Links, count};
use super::{Transport, session};
use crate::noise::handshake;
use runtime::service::StopSignal;
use runtime::supervisor::ChildSpec;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Connections that have not yet proven who they are. More wait in the kernel's queue; each one
/// is gone after the handshake's time limit.
const MAX_STRANGERS: usize = 32;

/// Pause after a failed accept: it fails for want of file descriptors, and trying at once would
/// only burn a core until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) fn child<T: Transport>(links: &Arc<Links>, transport: &Arc<T>) -> ChildSpec {
    let (links, transport) = (Arc::clone(links), Arc::clone(transport));
    ChildSpec::service("accept", move || {
        let (links, transport) = (Arc::clone(&links), Arc::clone(&transport));
        async move {
            Ok(move |mut stop: StopSignal| async move {
                tokio::select! {
                    () = accept(&links, &transport) => {}
                    () = stop.stopped() => {}
                }
                links.close_all("this node stops");
                Ok(())
            })
        }
    })
}

async fn accept<T: Transport>(links: &Arc<Links>, transport: &Arc<T>) {
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    loop {
        let permit = Arc::clone(&strangers).acquire_owned().await; // never closed
        let mut connection = match transport.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!("cannot accept connections: {error}; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let links = Arc::clone(links);
        tokio::spawn(async move {
            let result = handshake(&mut connection, &links.identity, &links.roster, None).await;
            drop(permit);
            match result {
                Ok(established) => {
                    session::adopt(&links, connection, established, true).await;
                }
                Err(error) => {
                    count(&links.counters.refused_handshakes);
                    tracing::warn!("refused a connection: {error}");
                }
            }
        });
    }
}
