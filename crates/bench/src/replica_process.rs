//! One replica of the ledger over encrypted links, as a process of its own: what a node runs of
//! both, and nothing else of a node. The only file here that knows how they are put together.

use crate::Failure;
use crate::group::MemberPlan;
use crate::grpc::Status;
use crate::ports::Ports;
use crate::service::{self, Served};
use async_trait::async_trait;
use cluster::noise::EpochTable;
use cluster::{CallError, Cluster, ClusterConfig, GatewayHandler, TcpTransport};
use ed25519_dalek::SigningKey;
use futures::future::BoxFuture;
use replica::{Compaction, ConsensusNet, Ledger, LedgerConfig, NetError, Timings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wire::{Act, Call, Digest, Frame, NodeId, Record, Reply, Round};

/// The word by which a benchmark starts itself as a replica.
pub const WORD: &str = "replica";

const CLUSTER: &str = "bench";

/// As in a node: a consensus message is answered within an election's time or not worth waiting
/// for, a forwarded proposal waits for its commit.
const CONSENSUS_LIMIT: Duration = Duration::from_secs(2);
const PROPOSE_LIMIT: Duration = Duration::from_secs(5);

/// What a replica process is told on its command line.
#[derive(clap::Args)]
pub struct Arguments {
    /// Its place among the peers.
    #[arg(long)]
    me: usize,
    /// Its directory.
    #[arg(long)]
    dir: PathBuf,
    /// Where it serves clients.
    #[arg(long)]
    clients: SocketAddr,
    /// Where each member's links arrive, in order.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<SocketAddr>,
}

/// `count` replicas with their data under `dir`.
pub fn plans(count: usize, dir: &Path, ports: &mut Ports) -> Result<Vec<MemberPlan>, Failure> {
    std::fs::create_dir_all(dir)?;
    let program = std::env::current_exe()?;
    let mut addresses = Vec::new();
    for _ in 0..count {
        addresses.push((ports.free()?, ports.free()?));
    }
    let peers: Vec<String> = addresses
        .iter()
        .map(|(_, peers)| peers.to_string())
        .collect();
    let plan = |me: usize| {
        let clients = addresses[me].0;
        let home = dir.join(name(me).as_str());
        let arguments = [
            WORD.to_owned(),
            format!("--me={me}"),
            format!("--dir={}", home.display()),
            format!("--clients={clients}"),
            format!("--peers={}", peers.join(",")),
        ];
        MemberPlan {
            program: program.clone(),
            arguments: arguments.into(),
            clients,
            log: dir.join(format!("{}.log", name(me))),
        }
    };
    Ok((0..count).map(plan).collect())
}

fn name(at: usize) -> NodeId {
    NodeId::new(format!("member{at}"))
}

/// Made from the name: worth nothing outside a benchmark.
fn identity(node: &NodeId) -> SigningKey {
    SigningKey::from_bytes(&Digest::of(node.as_str().as_bytes()).0)
}

/// Runs until it is killed. Not async, so that all of a replica is compiled once, with this crate,
/// and not once more with each benchmark that starts one.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let me = name(arguments.me);
    let members: Vec<NodeId> = (0..arguments.peers.len()).map(name).collect();
    let roster: Vec<(NodeId, [u8; 32])> = members
        .iter()
        .map(|node| (node.clone(), identity(node).verifying_key().to_bytes()))
        .collect();
    let handler = Arc::new(Handler::default());
    let links = links(&me, &roster, &arguments.peers, handler.clone()).await?;
    let config = LedgerConfig {
        dir: arguments.dir,
        cluster: CLUSTER.to_owned(),
        me: me.clone(),
        roster,
        identity: identity(&me),
        timings: Timings::default(),
        compaction: Compaction::default(),
    };
    let ledger = Ledger::open(config, Arc::new(Links(links))).await?;
    // Set once, here; until then peers are refused.
    let _ = handler.0.set(ledger.clone());
    let replica = Arc::new(Replica {
        ledger: ledger.clone(),
        members,
    });
    tokio::select! {
        served = service::serve(arguments.clients, replica) => served,
        why = ledger.stopped() => Err(why.into()),
    }
}

async fn links(
    me: &NodeId,
    roster: &[(NodeId, [u8; 32])],
    addresses: &[SocketAddr],
    handler: Arc<dyn GatewayHandler>,
) -> Result<Cluster, Failure> {
    let addresses = roster.iter().zip(addresses);
    let addresses: BTreeMap<NodeId, SocketAddr> = addresses
        .map(|((node, _), at)| (node.clone(), *at))
        .collect();
    let listen = addresses
        .get(me)
        .copied()
        .ok_or("no address for this member")?;
    let dialed = addresses
        .into_iter()
        .map(|(node, at)| (node, at.to_string()))
        .collect();
    let config = ClusterConfig {
        cluster: CLUSTER.to_owned(),
        me: me.clone(),
        incarnation: runtime::clock::unix_now().0,
        identity: identity(me),
        roster: roster.iter().cloned().collect(),
    };
    let transport = TcpTransport::bind(listen, dialed).await?;
    let escalated = |why| {
        eprintln!("{why}");
        std::process::exit(1);
    };
    let (cluster, supervisor) =
        Cluster::start(config, transport, EpochTable::default(), handler, escalated).await?;
    // It lives as long as the process, which is killed.
    std::mem::forget(supervisor);
    Ok(cluster)
}

/// What peers ask.
#[derive(Default)]
struct Handler(OnceLock<Ledger>);

#[async_trait]
impl GatewayHandler for Handler {
    async fn frame(&self, _: NodeId, _: Frame) {}

    async fn call(&self, _: NodeId, call: Call) -> Reply {
        let Some(ledger) = self.0.get() else {
            return Reply::Refused("the ledger is not open yet".to_owned());
        };
        match call {
            Call::Consensus(bytes) => Reply::Consensus(ledger.consensus(&bytes).await),
            Call::Propose(record) => ledger.handle_propose(*record).await,
            other => Reply::Refused(format!("a replica alone does not serve {other:?}")),
        }
    }
}

/// The ledger's way to its peers.
struct Links(Cluster);

impl Links {
    async fn ask(&self, to: &NodeId, call: Call, limit: Duration) -> Result<Reply, NetError> {
        self.0
            .call(to, call, limit)
            .await
            .map_err(|error| match error {
                CallError::NotLinked { node } => NetError::NoLink(node),
                CallError::Lost { node } | CallError::TimedOut { node, .. } => {
                    NetError::NoAnswer(node)
                }
                CallError::TooLarge { .. } | CallError::Malformed(_) => NetError::Unexpected {
                    peer: to.clone(),
                    what: error.to_string(),
                },
            })
    }
}

impl ConsensusNet for Links {
    fn call<'a>(
        &'a self,
        to: &'a NodeId,
        bytes: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, NetError>> {
        Box::pin(async move {
            match self
                .ask(to, Call::Consensus(bytes), CONSENSUS_LIMIT)
                .await?
            {
                Reply::Consensus(bytes) => Ok(bytes),
                other => Err(NetError::Unexpected {
                    peer: to.clone(),
                    what: format!("{other:?}"),
                }),
            }
        })
    }

    fn propose<'a>(
        &'a self,
        to: &'a NodeId,
        record: Record,
    ) -> BoxFuture<'a, Result<Reply, NetError>> {
        Box::pin(async move {
            self.ask(to, Call::Propose(Box::new(record)), PROPOSE_LIMIT)
                .await
        })
    }
}

struct Replica {
    ledger: Ledger,
    members: Vec<NodeId>,
}

impl Replica {
    /// Members count from 1: 0 says that nobody leads.
    fn number(&self, node: &NodeId) -> u64 {
        let at = self.members.iter().position(|member| member == node);
        at.map_or(0, |at| at as u64 + 1)
    }
}

#[async_trait]
impl Served for Replica {
    async fn put(&self, value: &[u8]) -> Result<u64, Failure> {
        // An act that carries text and changes nothing: no round is open.
        let act = Act::RoundAbandoned {
            round: Round(u64::MAX),
            reason: String::from_utf8(value.to_vec())?,
        };
        Ok(self.ledger.propose(act).await?)
    }

    fn status(&self) -> Status {
        let leader = self.ledger.leader().borrow().leader.clone();
        Status {
            member: self.number(self.ledger.me()),
            leader: leader.map_or(0, |leader| self.number(&leader)),
        }
    }
}
