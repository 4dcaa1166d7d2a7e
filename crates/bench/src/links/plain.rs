//! Plain `ractor_cluster` 0.16: TCP, a cookie, a derived message, a process group to find the
//! remote actor by, as its documentation shows.

use super::{Caller, Received};
use crate::Failure;
use async_trait::async_trait;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, pg};
use ractor_cluster::{NodeServer, NodeServerMessage, RactorClusterMessage};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// No call here takes so long.
const LIMIT: Duration = Duration::from_secs(10);

const GROUP: &str = "echo";
const COOKIE: &str = "bench";

/// What is sent.
#[derive(RactorClusterMessage)]
pub enum Message {
    /// One way.
    Cast(Vec<u8>),
    /// There and back.
    #[rpc]
    Call(Vec<u8>, RpcReplyPort<Vec<u8>>),
    /// How many casts came.
    #[rpc]
    Received(u64, RpcReplyPort<u64>),
}

struct Echo;

impl Actor for Echo {
    type Msg = Message;
    type State = Received;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (): (),
    ) -> Result<Received, ActorProcessingErr> {
        pg::join(GROUP.to_owned(), vec![myself.get_cell()]);
        Ok(Received::default())
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        received: &mut Received,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Cast(_) => received.one(),
            Message::Call(message, port) => port.send(message)?,
            Message::Received(_, port) => port.send(received.count())?,
        }
        Ok(())
    }
}

async fn node(name: &str, port: u16) -> Result<ActorRef<NodeServerMessage>, Failure> {
    let server = NodeServer::new(
        port,
        COOKIE.to_owned(),
        name.to_owned(),
        "localhost".to_owned(),
        None,
        None,
    )
    .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (node, _) = Actor::spawn(None, server, ()).await?;
    Ok(node)
}

/// The end that answers.
pub async fn server(server: SocketAddr) -> Result<ActorRef<NodeServerMessage>, Failure> {
    Actor::spawn(None, Echo, ()).await?;
    node("server", server.port()).await
}

/// The end that asks.
pub struct End {
    _node: ActorRef<NodeServerMessage>,
}

/// Connects to the end that answers.
pub async fn client(server: SocketAddr) -> Result<End, Failure> {
    let node = node("client", 0).await?;
    ractor_cluster::client_connect(&node, server).await?;
    Ok(End { _node: node })
}

impl End {
    fn echo(&self) -> Result<ActorRef<Message>, Failure> {
        let members = pg::get_members(&GROUP.to_owned());
        let remote = members
            .into_iter()
            .find(|member| !member.get_id().is_local());
        Ok(remote.ok_or("no remote actor yet")?.into())
    }
}

#[async_trait]
impl Caller for End {
    async fn call(&self, message: Vec<u8>) -> Result<(), Failure> {
        let sent = message.len();
        match self
            .echo()?
            .call(|port| Message::Call(message, port), Some(LIMIT))
            .await?
        {
            CallResult::Success(back) if back.len() == sent => Ok(()),
            other => Err(format!("not an echo: {other:?}").into()),
        }
    }

    async fn cast(&self, message: &[u8]) -> Result<(), Failure> {
        self.echo()?.cast(Message::Cast(message.to_vec()))?;
        Ok(())
    }

    async fn received(&self) -> Result<u64, Failure> {
        match self
            .echo()?
            .call(|port| Message::Received(0, port), Some(LIMIT))
            .await?
        {
            CallResult::Success(count) => Ok(count),
            other => Err(format!("not a count: {other:?}").into()),
        }
    }
}
