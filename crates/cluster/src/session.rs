//! Sessions of `ractor_cluster` over our links.

use super::link::Link;
use super::links::Links;
use super::{gateway, side_door};
use crate::noise::{self, Established, LinkReader, LinkWriter};
use ractor::{Actor, ActorCell, SpawnErr};
use ractor_cluster::node::{NodeConnectionMode, NodeServerSessionInformation};
use ractor_cluster::{
    BoxRead, BoxWrite, ClusterBidiStream, IncomingEncryptionMode, NodeEventSubscription,
    NodeServer, NodeServerMessage,
};
use runtime::supervisor::ChildSpec;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use wire::codec::MAX_ENCODED;
use wire::{Level, NodeId};

/// Time for a session to be ready after its handshake: three small messages each way.
const SESSION_LIMIT: Duration = Duration::from_secs(5);

/// Time for the former session with a peer to go once its link is closed. Longer only if the
/// session server is stuck; the new session may then lose the election between the two and is tried again.
const FORMER_SESSION_LIMIT: Duration = Duration::from_secs(1);

/// Room around an encoded value in a session's frame: actor ids, variant, length fields.
const FRAME_OVERHEAD: u64 = 4096;

pub(super) fn child(links: &Arc<Links>) -> ChildSpec {
    let links = Arc::clone(links);
    ChildSpec::actor("sessions", move |supervisor| {
        start(Arc::clone(&links), supervisor)
    })
}

async fn start(links: Arc<Links>, supervisor: ActorCell) -> Result<ActorCell, SpawnErr> {
    let closed = side_door::closed().map_err(|error| SpawnErr::StartupFailed(error.into()))?;
    // The incarnation is part of the name: a peer may still hold a session with our former self
    // and would turn away a second one under the same name.
    let name = format!("{}#{}", links.me(), links.incarnation);
    let server = node_server(0, &links.cluster, name, links.me(), closed);
    let (actor, _) = Actor::spawn_linked(None, server, (), supervisor).await?;
    links.sessions.send_replace(BTreeMap::new());
    let subscription = Box::new(Events {
        links: Arc::clone(&links),
    });
    actor
        .cast(NodeServerMessage::SubscribeToEvents {
            id: "links".to_owned(),
            subscription,
        })
        .map_err(|error| SpawnErr::StartupFailed(error.to_string().into()))?;
    links.server.send_replace(Some(actor.clone()));
    Ok(actor.get_cell())
}

/// The cookie keeps nobody out, the side door does: it is the cluster's name.
pub(super) fn node_server(
    port: u16,
    cookie: &str,
    name: String,
    host: &NodeId,
    side_door: IncomingEncryptionMode,
) -> NodeServer {
    let mode = NodeConnectionMode::Isolated;
    NodeServer::new(
        port,
        cookie.to_owned(),
        name,
        host.to_string(),
        Some(side_door),
        Some(mode),
    )
    .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST))
    .with_max_inbound_frame_size(MAX_ENCODED as u64 + FRAME_OVERHEAD)
}

/// What the session server tells us, by the link's number in the session's label.
struct Events {
    links: Arc<Links>,
}

impl NodeEventSubscription for Events {
    fn node_session_opened(&self, _: NodeServerSessionInformation) {}

    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {}

    fn node_session_ready(&self, session: NodeServerSessionInformation) {
        let Some(link) = number(&session).and_then(|number| self.links.link_by_number(number))
        else {
            return;
        };
        match gateway::find(&session.actor.get_cell(), &link) {
            Some(gateway) => self.links.ready(&link, gateway),
            None => link.handle.close("the peer's session brought no gateway"),
        }
    }

    fn node_session_disconnected(&self, session: NodeServerSessionInformation) {
        let Some(number) = number(&session) else {
            return;
        };
        if let Some(link) = self.links.link_by_number(number) {
            link.handle.close("its session ended");
        }
        self.links.sessions.send_modify(|sessions| {
            sessions.remove(&number);
        });
    }
}

fn number(session: &NodeServerSessionInformation) -> Option<u64> {
    session.peer_addr.parse().ok()
}

struct LabelledStream<S> {
    reader: LinkReader<S>,
    writer: LinkWriter<S>,
    number: u64,
}

impl<S> ClusterBidiStream for LabelledStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        (Box::new(self.reader), Box::new(self.writer))
    }

    fn peer_label(&self) -> Option<String> {
        Some(self.number.to_string())
    }
}

/// Turns an established connection into the one link to its peer; `None` when it is not to be, or
/// no session server runs.
///
/// A peer that comes anew has lost its former link, whatever we think of it: the newest one wins.
/// Two exceptions: an older incarnation never replaces a newer one; and when both ends dialed at
/// the same moment, both must choose the same connection, which is the one that the smaller name
/// dialed.
pub(super) async fn adopt<S>(
    links: &Arc<Links>,
    connection: S,
    established: Established,
    dialed: bool,
) -> Option<Arc<Link>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let node = established.proven.peer.node.clone();
    let setup = links.setup(&node);
    let _one_at_a_time = setup.lock().await;
    if let Some(former) = links.link(&node) {
        let (old, new) = (former.peer.incarnation, established.proven.peer.incarnation);
        if old > new {
            tracing::warn!(
                peer = %node,
                "refused incarnation {new} beside the linked incarnation {old}: two processes with one identity?",
            );
            return None;
        }
        let preferred = |dialed: bool| dialed == links.dials_first(&node);
        if old == new && preferred(former.dialed) && !preferred(dialed) {
            return None;
        }
        former.handle.close("replaced by a newer link");
    }
    wait_for_former_session(links, &node).await;
    let server = links.server.borrow().clone()?;

    let detection = links.detectors.detection;
    let pace = noise::Pace {
        heartbeat: detection.heartbeat,
        silence_limit: detection.silence_limit,
        dismisses: established.proven.level >= Level::MEMBERSHIP,
    };
    let pulse = links.detectors.linked(&node, established.proven.level);
    let Established { proven, keys } = established;
    let noise::Link {
        reader,
        writer,
        handle,
    } = noise::Link::start(connection, keys, &links.epochs, pace, pulse);
    let link = links.enter(proven, handle, dialed);
    links.sessions.send_modify(|sessions| {
        sessions.insert(link.number, link.peer.node.clone());
    });
    tokio::spawn(watch(Arc::clone(links), Arc::clone(&link)));
    let stream = Box::new(LabelledStream {
        reader,
        writer,
        number: link.number,
    });
    if server
        .cast(NodeServerMessage::ConnectionOpenedExternal {
            stream,
            is_server: !dialed,
        })
        .is_err()
    {
        link.handle.close("the session server is gone");
    }
    Some(link)
}

async fn wait_for_former_session(links: &Links, node: &NodeId) {
    let mut sessions = links.sessions.subscribe();
    let gone = sessions.wait_for(|sessions| sessions.values().all(|peer| peer != node));
    if tokio::time::timeout(FORMER_SESSION_LIMIT, gone)
        .await
        .is_err()
    {
        tracing::warn!(peer = %node, "the former session is still there after {FORMER_SESSION_LIMIT:?}");
        links
            .sessions
            .send_modify(|sessions| sessions.retain(|_, peer| peer != node));
    }
}

/// Sees a link to its end, which is near if its session does not become ready.
async fn watch(links: Arc<Links>, link: Arc<Link>) {
    let mut gateway = link.gateway.subscribe();
    let ready = tokio::time::timeout(SESSION_LIMIT, gateway.wait_for(Option::is_some));
    tokio::select! {
        ready = ready => if ready.is_err() {
            link.handle.close(format!("no session within {SESSION_LIMIT:?}"));
        },
        _ = link.handle.closed() => {}
    }
    let reason = link.handle.closed().await;
    links.leave(&link, reason);
}
