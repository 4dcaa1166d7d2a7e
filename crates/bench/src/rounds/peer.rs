//! One process: its links, its machine, its orders.

use super::counted::{Bytes, Counted};
use super::{LIMIT, Used, aggregator, follow, identity, lead, participant};
use crate::{Failure, lines};
use cluster::noise::EpochTable;
use cluster::{
    Cluster, ClusterConfig, Detection, GatewayHandler, MemberTable, Members, TcpTransport,
};
use runtime::supervisor::{ChildSpec, Intensity, Strategy, Supervisor, SupervisorSpec};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Level, MemberEntry, NodeId};

/// The word by which the benchmark starts itself as one process of the house.
pub const WORD: &str = "peer";

/// What a process is told on its command line.
#[derive(clap::Args)]
pub struct Arguments {
    /// 0: the aggregator; else the participant of that number
    number: usize,
    /// Parameters of the model
    parameters: usize,
    /// Where they listen, the aggregator first
    #[arg(value_delimiter = ',')]
    addresses: Vec<SocketAddr>,
}

/// Runs one process until its orders end.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    // As a node's.
    runtime::heap::keep_large_buffers();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(peer(arguments))
}

async fn peer(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        number,
        parameters,
        addresses,
    } = arguments;
    let bytes = Arc::new(Bytes::default());
    if number == 0 {
        return lead::lead(parameters, &addresses, bytes).await;
    }
    follow::follow(number, parameters, &addresses, bytes).await
}

/// Restarts before a process gives up; in a benchmark every one is a failure.
const INTENSITY: Intensity = Intensity::new(0, Duration::from_secs(1));

/// Links and a machine, under one supervisor.
pub(super) struct House {
    pub(super) cluster: Cluster,
    _supervisor: Supervisor,
}

impl House {
    /// `me` among those it is to be linked with: a participant with the aggregator, the aggregator with all.
    pub(super) async fn start(
        (me, addresses): (&NodeId, &[SocketAddr]),
        bytes: Arc<Bytes>,
        handler: Arc<dyn GatewayHandler>,
        machine: impl FnOnce(&Cluster) -> ChildSpec,
    ) -> Result<Self, Failure> {
        let all = (0..addresses.len()).map(|number| match number {
            0 => aggregator(),
            number => participant(number),
        });
        let linked = |node: &NodeId| *me == aggregator() || *node == aggregator() || node == me;
        let members: Vec<_> = all
            .zip(addresses)
            .filter(|(node, _)| linked(node))
            .collect();
        let own = members.iter().find(|(node, _)| node == me);
        let listen = **own.map(|(_, at)| at).ok_or("this process has no address")?;
        let peers = members.len() - 1;
        let entry = |(node, at): (NodeId, &SocketAddr)| MemberEntry {
            identity: identity(&node).verifying_key().to_bytes(),
            node,
            address: at.to_string(),
        };
        let config = ClusterConfig {
            cluster: "bench".to_owned(),
            me: me.clone(),
            incarnation: 1,
            identity: identity(me),
            members: Members::new(MemberTable::founding(members.into_iter().map(entry))),
            level: Level::NEWEST,
            admission: None,
            // How deaths are noticed is not measured here: a busy machine must not end a link.
            detection: Detection {
                silence_limit: LIMIT,
                ..Detection::default()
            },
        };
        let transport = Counted::new(TcpTransport::bind(listen).await?, bytes);
        let (cluster, links) = Cluster::new(config, transport, EpochTable::default(), handler)?;
        let children = vec![ChildSpec::supervisor("cluster", links), machine(&cluster)];
        let top = SupervisorSpec::new(Strategy::OneForOne, INTENSITY, children);
        let escalated = |why| {
            eprintln!("{why}");
            std::process::exit(1);
        };
        let supervisor = Supervisor::start(top, escalated).await?;
        let house = Self {
            cluster,
            _supervisor: supervisor,
        };
        house.linked(peers).await?;
        Ok(house)
    }

    async fn linked(&self, peers: usize) -> Result<(), Failure> {
        let mut events = self.cluster.events();
        let deadline = Instant::now() + LIMIT;
        while self.cluster.links().len() < peers {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = tokio::time::timeout(left, events.recv()).await;
            waited.map_err(|_| format!("{} of {peers} links", self.cluster.links().len()))??;
        }
        Ok(())
    }
}

/// What this process has used so far.
pub(super) fn used(bytes: &Bytes) -> Result<Used, Failure> {
    let mut nanos = 0_u64;
    for task in std::fs::read_dir("/proc/self/task")? {
        // Its first field is the thread's time on a processor, in ns (proc(5)); the threads are those of the runtime
        // and do not end.
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Used {
        processor_ms: nanos as f64 / 1e6,
        sent: bytes.sent(),
        received: bytes.received(),
    })
}

/// Answers what was used, until there are no more orders.
pub(super) async fn obey(bytes: Arc<Bytes>) -> Result<(), Failure> {
    lines::obey(|order| {
        let bytes = Arc::clone(&bytes);
        async move {
            match order.as_str() {
                "used" => Ok(used(&bytes)?.line()),
                _ => Err(format!("unknown order {order:?}").into()),
            }
        }
    })
    .await
}
