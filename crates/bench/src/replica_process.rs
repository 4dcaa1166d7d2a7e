//! One replica of the ledger over encrypted links, as a process of its own: what a node runs of
//! both, and nothing else of a node. The only file here that knows how they are put together.

use crate::Failure;
use crate::group::MemberPlan;
use crate::grpc::Status;
use crate::ports::Ports;
use crate::service::{self, Served};
use async_trait::async_trait;
use cluster::noise::EpochTable;
use cluster::{
    Applicant, Cluster, ClusterConfig, Detection, GatewayHandler, MemberTable, Members,
    TcpTransport,
};
use ed25519_dalek::SigningKey;
use peers::Peers;
use replica::{Compaction, Ledger, LedgerConfig, Timings};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use wire::{
    Act, Application, Call, Digest, Frame, Level, MemberEntry, NodeId, Reply, Round, Welcome,
};

/// The word by which a benchmark starts itself as a replica.
pub const WORD: &str = "replica";

const CLUSTER: &str = "bench";

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
    let consensus = runtime::place::of_its_own("consensus")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let place = consensus.handle().clone();
    runtime.block_on(async move {
        let clients = arguments.clients;
        let replica = runtime::place::at(Some(&place), open(arguments)).await?;
        let ledger = replica.ledger.clone();
        tokio::select! {
            served = service::serve(clients, replica) => served,
            why = ledger.stopped() => Err(why.into()),
        }
    })
}

/// Links and ledger, where a node has them.
async fn open(arguments: Arguments) -> Result<Arc<Replica>, Failure> {
    let me = name(arguments.me);
    let members = arguments.peers.iter().enumerate().map(|(at, address)| {
        let node = name(at);
        MemberEntry {
            identity: identity(&node).verifying_key().to_bytes(),
            address: address.to_string(),
            node,
        }
    });
    let members: Vec<MemberEntry> = members.collect();
    let listen = arguments.peers.get(arguments.me);
    let listen = *listen.ok_or("this member has no address among the peers")?;
    let handler = Arc::new(Handler::default());
    let links = links(&me, &members, listen, handler.clone()).await?;
    let founders = members
        .iter()
        .map(|entry| (entry.node.clone(), entry.identity));
    let config = LedgerConfig {
        dir: arguments.dir,
        cluster: CLUSTER.to_owned(),
        me: me.clone(),
        founders: founders.collect(),
        address: listen.to_string(),
        level: Level::NEWEST,
        identity: identity(&me),
        timings: Timings::default(),
        compaction: Compaction::default(),
    };
    let ledger = Ledger::open(config, Arc::new(Peers::new(links))).await?;
    // Set once, here; until then peers are refused.
    let _ = handler.0.set(ledger.clone());
    if arguments.me == 0 {
        tokio::spawn(raise_level(ledger.clone()));
    }
    Ok(Arc::new(Replica {
        ledger,
        members: members.into_iter().map(|entry| entry.node).collect(),
    }))
}

async fn links(
    me: &NodeId,
    members: &[MemberEntry],
    listen: SocketAddr,
    handler: Arc<dyn GatewayHandler>,
) -> Result<Cluster, Failure> {
    let config = ClusterConfig {
        cluster: CLUSTER.to_owned(),
        me: me.clone(),
        incarnation: runtime::clock::unix_now().0,
        identity: identity(me),
        members: Members::new(MemberTable::founding(members.iter().cloned())),
        level: Level::NEWEST,
        admission: None,
        detection: Detection::default(),
    };
    let transport = TcpTransport::bind(listen).await?;
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

/// As a node's steward does: from then on proposals share entries.
async fn raise_level(ledger: Ledger) {
    while ledger.state().level < Level::NEWEST {
        let level = Level(ledger.state().level.0 + 1);
        // Without a majority it is tried again.
        let _ = ledger.propose(Act::LevelRaised { level }).await;
    }
}

/// What peers ask.
#[derive(Default)]
struct Handler(OnceLock<Ledger>);

#[async_trait]
impl GatewayHandler for Handler {
    async fn frame(&self, from: NodeId, frame: Frame) {
        if let (Some(ledger), Frame::Checkpoint { note }) = (self.0.get().cloned(), frame) {
            // Beside the frames behind it: it may wait for the disk.
            tokio::spawn(async move { ledger.checkpoint(&from, note).await });
        }
    }

    async fn call(&self, from: NodeId, call: Call) -> Reply {
        let Some(ledger) = self.0.get() else {
            return Reply::Refused("the ledger is not open yet".to_owned());
        };
        let reply = ledger.serve(&from, call).await;
        reply.unwrap_or_else(|| Reply::Refused("a replica alone has only a ledger".to_owned()))
    }

    async fn apply(&self, _: Applicant, _: Application) -> Welcome {
        Welcome::Refused("a benchmark admits nobody".to_owned())
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
        // Before the level is raised the log is that of an older release, and not what is measured.
        let ready = self.ledger.state().level == Level::NEWEST;
        let leader = self.ledger.leader().borrow().leader.clone();
        let leader = leader.filter(|_| ready);
        Status {
            member: self.number(self.ledger.me()),
            leader: leader.map_or(0, |leader| self.number(&leader)),
        }
    }
}
