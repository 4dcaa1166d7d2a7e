//! The node that ships, whole: its supervision tree with everything in it, in simulated
//! surroundings.

use super::follow::follow;
use super::ledger::identity;
use super::space::{Order, SimSpace};
use super::{Failure, broker, liar, updates};
use crate::lockstep::guest::net::{Door, SimTransport, Stream};
use crate::lockstep::guest::{see, wish};
use crate::lockstep::invariants::KEYS_EXPIRE;
use crate::lockstep::learning::{self, PAUSE_MS};
use crate::lockstep::protocol::{Boot, Rounds, Seen, Wish};
use crate::outcome::Kind;
use config::Config;
use edge::mailer::{Letter, MailerError, Outbox};
use edge::smtp::{Acceptor, BindError, MailSink, SmtpConfig, SmtpServer};
use futures::future::BoxFuture;
use learn::Learner;
use node::probe::Probe;
use node::remembered::Shelf;
use node::surroundings::{MailDoor, Surroundings};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wire::NodeId;
use wire::control::{Ask, ModelJob};

/// The door of links, as a port: addresses in a configuration have one.
const LINKS: &str = "7100";
/// The door of gear.
pub(super) const MAIL: &str = "25";
/// Former key epochs are readable for so long: some rounds.
const GRACE_MS: u64 = 10_000;
/// Letters that may wait for a machine. Production has room for a thousand, which no load of some minutes
/// fills; here a node that comes back and reads the ledger fills it, and its senders have to wait.
const LETTERS: usize = 8;
/// From so many nodes on secure rounds have two groups.
const GROUPED: usize = 6;
/// Noise of private rounds over their clipping bound, in thousandths: so little that models stay of use.
const NOISE_MILLI: u32 = 100;
const DELTA: f64 = 1e-5;
/// Nodes of the one tenant that there is in private rounds.
const TENANTS_NODES: usize = 2;
/// Its budget bears so many rounds of one node, that is two of both and then one or two of one.
const TENANTS_ROUNDS: u64 = 10;
/// How often queues and supervisors are looked at.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(boot: Boot, feed: bool, rounds: Rounds) -> Result<(), Failure> {
    let config = configuration(&boot, feed, rounds)?;
    let disk = Shelf::of(&config.node.data_dir);
    let shown = updates::Shown {
        learning: config.learning.clone(),
        // Before the node starts: what it finds itself.
        found: disk.load(),
        disk,
    };
    let (sender, probe) = oneshot::channel();
    let surroundings = Surroundings {
        transport: SimTransport::open(LINKS)?,
        space: Arc::new(SimSpace::join(&boot.name, &boot.nodes, Order::Kept)?),
        door: Arc::new(SimDoor),
        alerts: Some(Arc::new(Letterbox)),
        kafka: broker::reach(),
        learner: Learner::inline,
        training: training(&boot, rounds),
        letters: LETTERS,
        admin: false,
        control: false,
        consensus: None,
        probe: Some(sender),
    };
    tokio::spawn(async move {
        // None comes if the node could not be opened; it says why itself.
        if let Ok(probe) = probe.await {
            watch(probe, shown);
        }
    });
    node::tree::run_in(config, surroundings, std::future::pending()).await
}

/// What a node is told in a file, and the files that this names. They lie beside its disk: an
/// operator puts them there, and no power loss of this run takes them.
fn configuration(boot: &Boot, feed: bool, rounds: Rounds) -> Result<Config, Failure> {
    let etc = boot.dir.with_extension("etc");
    fs::create_dir_all(&etc)?;
    let secret = etc.join("identity");
    fs::write(&secret, hex::encode(identity(&boot.name).to_bytes()))?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let names = std::slice::from_ref(&boot.name);
    edge::tls::Certified::load_or_create(&etc, "mailbox", names)?;
    let secure = matches!(rounds, Rounds::Secure | Rounds::Private);
    // Of their sums the model is the mean by examples, as it is of one sum.
    let groups = if rounds == Rounds::Secure && boot.nodes.len() >= GROUPED {
        2
    } else {
        1
    };
    let mut text = format!(
        r#"
[node]
name = "{name}"
data_dir = "{data}"
[cluster]
name = "simulated"
listen = "127.0.0.1:{LINKS}"
address = "{name}:{LINKS}"
identity = "identity"
level = {level}
[mailbox]
listen = "127.0.0.1:{MAIL}"
domains = ["glasshouse.example"]
require_tls = false
certificate = "mailbox-cert.pem"
key = "mailbox-key.pem"
[dds]
domain = 1
[learning]
min_cohort = {cohort}
secure_aggregation = {secure}
secure_groups = {groups}
min_examples = 4
pause_ms = {PAUSE_MS}
round_timeout_ms = 5000
resend_ms = 300
window = 200
{extra}
[keys]
grace_epochs = 100
grace_ms = {GRACE_MS}
"#,
        level = boot.level,
        cohort = match (secure, groups) {
            (true, 1) => 3,
            (true, _) => GROUPED,
            (false, _) => 2,
        },
        name = boot.name,
        data = boot.dir.display(),
        extra = extra(boot, rounds),
    );
    for name in &boot.nodes {
        let key = identity(name).verifying_key();
        text += &format!(
            r#"
[[cluster.peer]]
name = "{name}"
address = "{name}:{LINKS}"
identity = "{}"
[[room]]
name = "hall-{name}"
home = "{name}"
[[device]]
id = "ups-{name}"
room = "hall-{name}"
class = "ups"
addresses = ["ups-{name}@hall.example"]
"#,
            hex::encode(key.to_bytes())
        );
    }
    if feed {
        fs::write(etc.join("transaction.cpy"), gear::mainframe::COPYBOOK)?;
        let (home, brokers) = (&boot.nodes[0], broker::address());
        text += &format!(
            r#"
[feed]
brokers = ["{brokers}"]
topic = "{}"
group = "{}"
copybook = "transaction.cpy"
room = "hall-{home}"
home = "{home}"
shares = 2
"#,
            broker::TOPIC,
            broker::GROUP
        );
    }
    config::parse(&text, &etc.join("node.toml"), &etc).map_err(Into::into)
}

/// Keys of `[learning]` for rounds of a kind.
fn extra(boot: &Boot, rounds: Rounds) -> String {
    match rounds {
        Rounds::Plain | Rounds::Secure => String::new(),
        Rounds::Private => {
            let tenants = boot.nodes.iter().take(TENANTS_NODES);
            let (epsilon, tenant) = match tenants.into_iter().any(|node| *node == boot.name) {
                true => {
                    let told = [(NOISE_MILLI, TENANTS_ROUNDS)].into();
                    let epsilon = federation::privacy::budget::epsilon(&told, DELTA);
                    (epsilon, r#", tenant = "hospital""#)
                }
                false => (1e9, ""),
            };
            let noise = f64::from(NOISE_MILLI) / 1_000.0;
            format!(
                r#"privacy = {{ noise_multiplier = {noise}, clip = 0.5, epsilon = {epsilon}, delta = {DELTA}, noise = "distributed"{tenant} }}"#
            )
        }
        // Either one leaves something out in every round.
        Rounds::Compressed if boot.seed.is_multiple_of(2) => {
            r#"compression = { kind = "quantised", bits = 3 }"#.to_owned()
        }
        Rounds::Compressed => r#"compression = { kind = "top-k", fraction = 0.05 }"#.to_owned(),
        Rounds::Scaffold => {
            let rate = learning::local_rate(boot.seed);
            format!("optimizer = \"scaffold\"\nlearning_rate = {rate}")
        }
        Rounds::Buffered => {
            let of = learning::buffering(boot.seed, boot.nodes.len());
            format!(
                "buffer = {{ size = {}, max_staleness = {} }}",
                of.size, of.max_staleness
            )
        }
    }
}

/// How long it trains besides what the learner takes, which is no time here.
fn training(boot: &Boot, rounds: Rounds) -> Duration {
    let slow = rounds == Rounds::Buffered && boot.nodes.last() == Some(&boot.name);
    let of = slow.then(|| learning::buffering(boot.seed, boot.nodes.len()));
    of.map_or(Duration::ZERO, |of| Duration::from_millis(of.slow_ms))
}

/// Shows what happens in the node.
fn watch(probe: Probe, shown: updates::Shown) {
    follow(probe.ledger());
    tokio::spawn(epochs(probe.clone()));
    tokio::spawn(limits(probe.clone()));
    tokio::spawn(updates::show(probe.clone(), shown));
    tokio::spawn(async move {
        loop {
            match wish().await {
                Wish::Evict(node) => {
                    let ask = Ask::Evict {
                        node: NodeId::new(node),
                        reason: "the plan says so".to_owned(),
                    };
                    let answer = probe.ask(ask).await;
                    see(Seen::Kind(Kind::Edge(format!("evict: {answer:?}"))));
                }
                Wish::Choose { back } => {
                    if let Some(job) = choice(&probe, back) {
                        let reason = "the plan says so".to_owned();
                        let answer = probe.ask(Ask::Model { job, reason }).await;
                        see(Seen::Kind(Kind::Edge(format!("model: {answer:?}"))));
                    }
                }
                Wish::Poison => {
                    let probe = probe.clone();
                    tokio::spawn(async move {
                        if let Err(error) = liar::lie(probe).await {
                            see(Seen::Kind(Kind::Log(format!("it cannot lie: {error}"))));
                        }
                    });
                }
                Wish::Rest => {}
            }
        }
    });
}

/// The model in the middle of those that the ledger's state remembers; none before there are some.
fn choice(probe: &Probe, back: bool) -> Option<ModelJob> {
    let state = probe.ledger().state();
    let made: Vec<u64> = state.rounds.losses().map(|(round, _)| round.0).collect();
    let model = made.get(made.len() / 2)?.to_string();
    Some(match (back, state.rounds.pinned) {
        (true, _) => ModelJob::RollBack { model },
        (false, true) => ModelJob::Unpin,
        (false, false) => ModelJob::Pin { model },
    })
}

async fn epochs(probe: Probe) {
    let mut epochs = probe.space().epochs();
    loop {
        let epoch = epochs.borrow_and_update().0;
        if epoch > 0 {
            see(Seen::Kind(Kind::KeyEpoch(epoch)));
            let holders = probe.holders().iter().map(NodeId::to_string).collect();
            see(Seen::Holders { epoch, holders });
        }
        if epochs.changed().await.is_err() {
            return;
        }
    }
}

/// Queues, supervisors and keys against their limits.
async fn limits(probe: Probe) {
    // By the clock that expires them.
    let mut superseded: BTreeMap<u64, Instant> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some((oldest, newest)) = probe.space().readable() {
            for epoch in oldest.0..newest.0 {
                superseded.entry(epoch).or_insert_with(Instant::now);
            }
            let since = superseded.get(&oldest.0).map(Instant::elapsed);
            if since.is_some_and(|since| since > Duration::from_millis(GRACE_MS) + LOOK) {
                see(Seen::Broken {
                    id: KEYS_EXPIRE.id.to_owned(),
                    detail: format!("key epoch {} is readable {since:?} after its end", oldest.0),
                });
            }
        }
        for actor in probe.status().tree {
            if let Some(mailbox) = &actor.mailbox {
                see(Seen::Gauge {
                    name: format!("mailbox of {}", actor.path),
                    // Between two looks it may have been full and empty again.
                    value: mailbox.peak,
                    limit: mailbox.capacity,
                });
            }
            if let Some(supervisor) = &actor.supervisor {
                see(Seen::Restarts {
                    name: actor.path.clone(),
                    used: supervisor.used.into(),
                    intensity: supervisor.intensity.into(),
                });
            }
        }
    }
}

/// Gear's door, on the simulated network.
struct SimDoor;

impl MailDoor for SimDoor {
    fn open(
        &self,
        config: SmtpConfig,
        sink: Arc<dyn MailSink>,
    ) -> BoxFuture<'_, Result<SmtpServer, BindError>> {
        let listen = config.listen;
        Box::pin(async move {
            let door = Door::open(MAIL).map_err(|source| BindError::Listen { listen, source })?;
            SmtpServer::serve_on(SimAcceptor(door), config, sink)
        })
    }
}

struct SimAcceptor(Door);

impl Acceptor for SimAcceptor {
    type Stream = Stream;

    async fn accept(&mut self) -> io::Result<(Stream, IpAddr)> {
        let (stream, _) = self.0.accept().await;
        Ok((stream, IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }
}

/// The operator's letterbox: always open.
struct Letterbox;

impl Outbox for Letterbox {
    fn post<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailerError>> {
        see(Seen::Kind(Kind::Edge(format!(
            "alert mail: {}",
            letter.subject
        ))));
        Box::pin(async { Ok(()) })
    }
}
