//! Connections from outside.

use super::counters::count;
use super::door::Door;
use super::links::Links;
use super::quiet::Quiet;
use super::{Transport, session};
use crate::noise::{self, HandshakeError};
use runtime::service::StopSignal;
use runtime::supervisor::ChildSpec;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::Purpose;

/// Connections that have not yet proven who they are. More wait in the kernel's queue; each one
/// is gone after the handshake's time limit.
const MAX_STRANGERS: usize = 32;

/// Pause after a failed accept: it fails for want of file descriptors, and trying at once would
/// only burn a core until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) fn child<T: Transport>(links: &Arc<Links>, transport: &Arc<T>) -> ChildSpec {
    let (links, transport) = (Arc::clone(links), Arc::clone(transport));
    ChildSpec::service("accept", move || {
        let reception = Arc::new(Reception {
            links: Arc::clone(&links),
            transport: Arc::clone(&transport),
            door: Door::new(&links),
            quiet: Quiet::default(),
        });
        async move {
            Ok(move |mut stop: StopSignal| async move {
                tokio::select! {
                    () = accept(&reception) => {}
                    () = stop.stopped() => {}
                }
                reception.links.close_all("this node stops");
                Ok(())
            })
        }
    })
}

struct Reception<T> {
    links: Arc<Links>,
    transport: Arc<T>,
    door: Door,
    quiet: Quiet,
}

async fn accept<T: Transport>(reception: &Arc<Reception<T>>) {
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    loop {
        let permit = Arc::clone(&strangers).acquire_owned().await; // never closed
        let connection = match reception.transport.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!("cannot accept connections: {error}; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let reception = Arc::clone(reception);
        tokio::spawn(async move {
            if let Err(error) = reception.receive(connection, permit.ok()).await {
                reception.refuse(&error);
            }
        });
    }
}

impl<T: Transport> Reception<T> {
    async fn receive(
        &self,
        connection: T::Stream,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), HandshakeError> {
        let links = &self.links;
        let greeted = noise::listen(connection, &links.identity, links.level).await?;
        let table = links.members.current();
        let side = links.side(&table, None);
        match greeted.purpose() {
            Purpose::Link => {
                let (mut connection, established) = greeted.link(side).await?;
                drop(permit);
                let peer = &established.proven.peer.node;
                self.transport.proven(&mut connection, peer);
                session::adopt(links, connection, established, false).await;
                Ok(())
            }
            Purpose::Join => {
                let entry = self.door.enter()?;
                let channel = greeted.applicant(side).await?;
                // From here on the door's own limits hold.
                drop(permit);
                self.door.hear(entry, channel).await;
                Ok(())
            }
        }
    }

    fn refuse(&self, error: &HandshakeError) {
        let counters = &self.links.counters;
        if matches!(error, HandshakeError::TooManyApplicants) {
            count(&counters.refused_applications);
        } else {
            count(&counters.refused_handshakes);
        }
        if matches!(error, HandshakeError::Removed { .. }) {
            count(&counters.refused_former);
        }
        self.quiet.warn(format!("refused a connection: {error}"));
    }
}
