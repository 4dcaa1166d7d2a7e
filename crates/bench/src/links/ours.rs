//! Our links.

use super::{Caller, Received};
use crate::Failure;
use async_trait::async_trait;
use cluster::noise::EpochTable;
use cluster::{
    Applicant, Cluster, ClusterConfig, Detection, GatewayHandler, MemberTable, Members,
    TcpTransport,
};
use ed25519_dalek::SigningKey;
use runtime::supervisor::Supervisor;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wire::{Application, Call, Digest, Frame, Level, MemberEntry, NodeId, Reply, Round, Welcome};

/// No call here takes so long.
const LIMIT: Duration = Duration::from_secs(10);

const SERVER: &str = "server";
const CLIENT: &str = "client";

/// One end of our links.
pub struct End {
    cluster: Cluster,
    _supervisor: Supervisor,
}

/// The end that answers.
pub async fn server(server: SocketAddr, client: SocketAddr) -> Result<End, Failure> {
    end(SERVER, server, server, client).await
}

/// The end that asks.
pub async fn client(server: SocketAddr, client: SocketAddr) -> Result<End, Failure> {
    end(CLIENT, client, server, client).await
}

async fn end(
    me: &str,
    listen: SocketAddr,
    server: SocketAddr,
    client: SocketAddr,
) -> Result<End, Failure> {
    let identity = |name: &str| SigningKey::from_bytes(&Digest::of(name.as_bytes()).0);
    let member = |(name, at): (&str, SocketAddr)| MemberEntry {
        node: NodeId::from(name),
        identity: identity(name).verifying_key().to_bytes(),
        address: at.to_string(),
    };
    let members = [(SERVER, server), (CLIENT, client)].map(member);
    let config = ClusterConfig {
        cluster: "bench".to_owned(),
        me: NodeId::from(me),
        incarnation: 1,
        identity: identity(me),
        members: Members::new(MemberTable::founding(members)),
        level: Level::NEWEST,
        admission: None,
        detection: Detection::default(),
    };
    let transport = TcpTransport::bind(listen).await?;
    let escalated = |why| {
        eprintln!("{why}");
        std::process::exit(1);
    };
    let handler = Arc::new(Echo(Received::default()));
    let (cluster, supervisor) =
        Cluster::start(config, transport, EpochTable::default(), handler, escalated).await?;
    Ok(End {
        cluster,
        _supervisor: supervisor,
    })
}

struct Echo(Received);

#[async_trait]
impl GatewayHandler for Echo {
    async fn frame(&self, _: NodeId, _: Frame) {
        self.0.one();
    }

    async fn call(&self, _: NodeId, call: Call) -> Reply {
        match call {
            Call::Consensus(message) => Reply::Consensus(message),
            _ => Reply::Committed {
                index: self.0.count(),
            },
        }
    }

    async fn apply(&self, _: Applicant, _: Application) -> Welcome {
        Welcome::Refused("a benchmark admits nobody".to_owned())
    }
}

#[async_trait]
impl Caller for End {
    async fn call(&self, message: Vec<u8>) -> Result<(), Failure> {
        let sent = message.len();
        match self
            .cluster
            .call(&SERVER.into(), Call::Consensus(message), LIMIT)
            .await?
        {
            Reply::Consensus(back) if back.len() == sent => Ok(()),
            other => Err(format!("not an echo: {other:?}").into()),
        }
    }

    async fn cast(&self, message: &[u8]) -> Result<(), Failure> {
        let frame = Frame::Decline {
            round: Round(1),
            node: self.cluster.me().clone(),
            reason: String::from_utf8(message.to_vec())?,
        };
        Ok(self
            .cluster
            .cast_waiting(&SERVER.into(), frame, LIMIT)
            .await?)
    }

    async fn received(&self) -> Result<u64, Failure> {
        match self
            .cluster
            .call(&SERVER.into(), Call::GroupInfo, LIMIT)
            .await?
        {
            Reply::Committed { index } => Ok(index),
            other => Err(format!("not a count: {other:?}").into()),
        }
    }
}
