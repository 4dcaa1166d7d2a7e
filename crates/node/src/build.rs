//! The parts of a node, opened in order and wired to one another. [`crate::tree`] says how they live.

mod configured;
mod shown;

use crate::board::Board;
use crate::control::Control;
use crate::desk::Desk;
use crate::effects::{
    AggregatorEffects, CustodianEffects, MonitorEffects, ParticipantEffects, Served,
};
use crate::feed::Feed;
use crate::formats::Formats;
use crate::gateway::Gateway;
use crate::identity;
use crate::incarnation;
use crate::join;
use crate::mailbox::{DoorCounts, Mailbox};
use crate::members::{Gone, MembersFeed};
use crate::models::Models;
use crate::postman::Postman;
use crate::probe::Probe;
use crate::quarantine::Quarantine;
use crate::rooms::Rooms;
use crate::rooms::windows::Windows;
use crate::space::SealedSpace;
use crate::steward::Steward;
use crate::surroundings::{MailDoor, Surroundings};
use crate::tail::Tail;
use crate::tree;
use cluster::noise::EpochTable;
use cluster::{Cluster, Faults, MemberTable, Members, Transport};
use config::Config;
use configured::{
    Itself, address, configured, devices, door, heartbeats, level, links, mailer, pipeline,
};
use custody::{Custodian, Grace, Sealer};
use ed25519_dalek::SigningKey;
use edge::kafka::FeedConfig;
use edge::mailer::Outbox;
use edge::smtp::SmtpConfig;
use federation::{Aggregator, Participant};
use learn::{Learner, Shape, TrainConfig};
use ledger::Wanted;
use ledger::watch::WatchConfig;
use peers::Peers;
use replica::{Compaction, Ledger, LedgerConfig, Timings};
use runtime::entropy;
use runtime::mailbox::Address;
use runtime::service::ServiceError;
use runtime::supervisor::{ChildSpec, SupervisorSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use telemetry::directory::Directory;
use telemetry::monitor::Monitor;
use telemetry::transactions::PipelineConfig;
use tokio::sync::watch;
use wire::{MemberEntry, NodeId, Role, RoomId, Round};

/// Letters that wait for a machine. A burst of a ledger replay fits; beyond it senders wait.
const LETTERS: usize = 1_024;
/// Time given to the data space at the end to hand over what was accepted.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// Rows per training step: small enough for several steps on a young window.
const BATCH: usize = 64;

/// A node's parts.
pub struct Parts {
    /// Configuration.
    pub config: Config,
    /// This node.
    pub me: NodeId,
    /// What is shown.
    pub board: Arc<Board>,
    /// The links' supervisor.
    pub cluster_spec: SupervisorSpec,
    /// The ledger.
    pub ledger: Ledger,
    identity: SigningKey,
    incarnation: u64,
    configured: BTreeMap<NodeId, MemberEntry>,
    admitted: Option<u64>,
    members: Members,
    leaving: Arc<AtomicBool>,
    gone: watch::Sender<Option<Gone>>,
    cluster: Cluster,
    faults: Option<Faults>,
    epochs: EpochTable,
    space: Arc<SealedSpace>,
    models: Arc<Models>,
    learner: Arc<Learner>,
    windows: Arc<Mutex<Windows>>,
    updates: watch::Sender<Option<(Round, u64)>>,
    gateway: Arc<Gateway>,
    served: Served,
    directory: Arc<Directory>,
    formats: Arc<Formats>,
    quarantine: Arc<Quarantine>,
    counts: Arc<DoorCounts>,
    door: Arc<dyn MailDoor>,
    door_config: Arc<dyn Fn() -> SmtpConfig + Send + Sync>,
    mailer: Option<Arc<dyn Outbox>>,
    pipeline: Option<(FeedConfig, PipelineConfig)>,
    rooms_held: Arc<watch::Sender<BTreeSet<RoomId>>>,
    feeds_held: Arc<watch::Sender<BTreeSet<String>>>,
    letters: Letters,
}

/// The machines' addresses.
struct Letters {
    custodian: Address<custody::Input>,
    participant: Address<federation::ParticipantInput>,
    aggregator: Address<federation::Input>,
    monitor: Address<telemetry::monitor::Input>,
}

impl Parts {
    /// Opens everything that needs files or keys; nothing runs yet but the ledger.
    pub async fn open<T: Transport>(
        config: Config,
        surroundings: Surroundings<T>,
    ) -> Result<Self, ServiceError> {
        let me = NodeId::new(config.node.name.clone());
        let data = config.node.data_dir.clone();
        runtime::durable::create_dir(&data).map_err(|error| {
            format!(
                "cannot make `node.data_dir` = {}: {error}; name a folder that this user may write",
                data.display()
            )
        })?;
        let identity = identity::load(&config.cluster.identity)?;
        let configured = configured(&config);
        let admission = match &config.cluster.admission {
            Some(path) => Some(join::load_admission(path)?),
            None => None,
        };
        let incarnation = incarnation::next(&data).map_err(|error| {
            format!(
                "cannot keep this start's number in {}: {error}",
                data.display()
            )
        })?;
        let board = Board::new(me.clone());

        let shape = Shape::default();
        let models = Arc::new(Models::open(data.join("model"), &shape)?);
        let learner = Arc::new((surroundings.learner)(shape)?);
        let windows = Arc::new(Mutex::new(Windows::new(config.learning.window)));
        let letters = Letters {
            custodian: Address::of::<Custodian>("custodian", LETTERS),
            participant: Address::of::<Participant>("participant", LETTERS),
            aggregator: Address::of::<Aggregator>("aggregator", LETTERS),
            monitor: Address::of::<Monitor>("monitor", LETTERS),
        };
        let served = Served::default();
        let gateway = Arc::new(Gateway {
            ledger: OnceLock::new(),
            cluster: OnceLock::new(),
            models: models.clone(),
            aggregator: letters.aggregator.clone(),
            participant: letters.participant.clone(),
            served: served.clone(),
            configured: configured.clone(),
        });
        let epochs = EpochTable::default();
        let members = Members::new(MemberTable::founding(configured.values().cloned()));
        let itself = Itself {
            incarnation,
            identity: &identity,
            admission: admission.clone(),
        };
        let links = links(
            &config,
            surroundings.transport,
            itself,
            &members,
            &epochs,
            &gateway,
        )?;
        let cluster = links.cluster;
        let _ = gateway.cluster.set(cluster.clone());
        let founders = configured.iter();
        let ledger = Ledger::open(
            LedgerConfig {
                dir: tree::ledger_dir(&config),
                me: me.clone(),
                // Who was admitted has founded nothing.
                founders: match &admission {
                    Some(_) => Vec::new(),
                    None => founders
                        .map(|(node, entry)| (node.clone(), entry.identity))
                        .collect(),
                },
                address: address(&config),
                level: level(&config),
                identity: identity.clone(),
                cluster: config.cluster.name.clone(),
                timings: Timings::default(),
                compaction: Compaction::default(),
            },
            Arc::new(Peers::new(cluster.clone())),
        )
        .await?;
        // Calls that came before were refused and are repeated by their senders.
        let _ = gateway.ledger.set(ledger.clone());

        let grace = Grace {
            epochs: usize::try_from(config.keys.grace_epochs).unwrap_or(usize::MAX),
            time: Duration::from_millis(config.keys.grace_ms),
        };
        let sealer = Sealer::new(me.clone(), entropy::bytes())?;
        let space = SealedSpace::new(me.clone(), surroundings.space, sealer, grace, board.clone());

        let parts = Self {
            door: surroundings.door,
            door_config: door(&config)?,
            mailer: match surroundings.alerts {
                Some(outbox) => Some(outbox),
                None => mailer(&config)?,
            },
            pipeline: pipeline(&config, surroundings.kafka)?,
            directory: Arc::new(devices(&config)?),
            formats: Arc::new(Formats::load(config.mailbox.formats.clone())?),
            quarantine: Arc::new(Quarantine::open(tree::quarantine_dir(&config))?),
            counts: Arc::default(),
            rooms_held: Arc::new(watch::Sender::new(BTreeSet::new())),
            feeds_held: Arc::new(watch::Sender::new(BTreeSet::new())),
            config,
            me,
            board,
            cluster_spec: links.spec,
            faults: links.faults,
            ledger,
            identity,
            incarnation,
            configured,
            admitted: admission.map(|admission| admission.index),
            members,
            leaving: Arc::default(),
            gone: watch::Sender::new(None),
            cluster,
            epochs,
            space,
            models,
            learner,
            windows,
            updates: watch::Sender::new(None),
            gateway,
            served,
            letters,
        };
        parts.fill_board();
        Ok(parts)
    }

    /// Hands over what is still under way and closes the ledger.
    pub async fn close(self) {
        if let Err(error) = self.space.space().drain(DRAIN_LIMIT).await {
            tracing::warn!("{error}");
        }
        if let Err(error) = self.ledger.shutdown().await {
            tracing::warn!("the ledger's last checkpoint is not signed: {error}");
        }
    }

    /// The custodian, fresh at each start: its group state is never taken up again after a crash.
    pub fn custodian(&self) -> ChildSpec {
        let (me, identity) = (self.me.clone(), self.identity.clone());
        let (ledger, cluster, epochs, space, served) = (
            self.ledger.clone(),
            self.cluster.clone(),
            self.epochs.clone(),
            self.space.clone(),
            self.served.clone(),
        );
        ChildSpec::machine(self.letters.custodian.clone(), move || {
            let effects = CustodianEffects {
                ledger: ledger.clone(),
                cluster: cluster.clone(),
                epochs: epochs.clone(),
                space: space.clone(),
                served: served.clone(),
            };
            let (me, identity) = (me.clone(), identity.clone());
            async move {
                Ok((
                    // The tail tells it the roster.
                    Custodian::new(me, identity, custody::Roster::default(), entropy::bytes()),
                    effects,
                ))
            }
        })
    }

    /// The participant.
    pub fn participant(&self) -> ChildSpec {
        let (me, cluster, aggregator, learner, windows) = (
            self.me.clone(),
            self.cluster.clone(),
            self.letters.aggregator.clone(),
            self.learner.clone(),
            self.windows.clone(),
        );
        let (learning, updates) = (self.config.learning.clone(), self.updates.clone());
        ChildSpec::machine(self.letters.participant.clone(), move || {
            let effects = ParticipantEffects {
                me: me.clone(),
                cluster: cluster.clone(),
                aggregator: aggregator.clone(),
                sent: updates.clone(),
                learner: learner.clone(),
                windows: windows.clone(),
                config: TrainConfig {
                    epochs: u32::try_from(learning.local_epochs).unwrap_or(1),
                    batch: BATCH,
                    learning_rate: learning.learning_rate,
                    seed: 0,
                    proximal: None,
                },
                min_examples: learning.min_examples,
            };
            let me = me.clone();
            async move { Ok((Participant::new(me), effects)) }
        })
    }

    /// The aggregator.
    pub fn aggregator(&self) -> ChildSpec {
        let (me, ledger, cluster, models, participant) = (
            self.me.clone(),
            self.ledger.clone(),
            self.cluster.clone(),
            self.models.clone(),
            self.letters.participant.clone(),
        );
        let learning = self.config.learning.clone();
        ChildSpec::machine(self.letters.aggregator.clone(), move || {
            let config = federation::Config {
                min_cohort: learning.min_cohort,
                deadline: Duration::from_millis(learning.round_timeout_ms),
                pause: Duration::from_millis(learning.pause_ms),
                ..federation::Config::default()
            };
            let effects = AggregatorEffects {
                me: me.clone(),
                ledger: ledger.clone(),
                cluster: cluster.clone(),
                models: models.clone(),
                participant: participant.clone(),
            };
            let me = me.clone();
            async move { Ok((Aggregator::new(me, config), effects)) }
        })
    }

    /// The monitor.
    pub fn monitor(&self) -> ChildSpec {
        let (ledger, board) = (self.ledger.clone(), self.board.clone());
        ChildSpec::machine(self.letters.monitor.clone(), move || {
            let effects = MonitorEffects {
                ledger: ledger.clone(),
                board: board.clone(),
            };
            async move { Ok((Monitor::new(), effects)) }
        })
    }

    /// The ledger's tail.
    pub fn tail(&self) -> Tail {
        Tail {
            me: self.me.clone(),
            ledger: self.ledger.clone(),
            cluster: self.cluster.clone(),
            models: self.models.clone(),
            gateway: self.gateway.clone(),
            custodian: self.letters.custodian.clone(),
            aggregator: self.letters.aggregator.clone(),
            participant: self.letters.participant.clone(),
            rooms: self.rooms_held.clone(),
            feeds: self.feeds_held.clone(),
            board: self.board.clone(),
        }
    }

    /// The rooms.
    pub fn rooms(&self) -> Rooms {
        let ledger = self.ledger.clone();
        Rooms {
            space: self.space.clone(),
            board: self.board.clone(),
            learner: self.learner.clone(),
            models: self.models.clone(),
            monitor: self.letters.monitor.clone(),
            windows: self.windows.clone(),
            held: self.rooms_held.subscribe(),
            open_alerts: Arc::new(move || ledger.state().alerts.values().cloned().collect()),
            heartbeats: Arc::new(heartbeats(&self.config)),
        }
    }

    /// The mailbox.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox {
            me: self.me.clone(),
            incarnation: self.incarnation,
            door: self.door.clone(),
            config: self.door_config.clone(),
            dir: self.config.node.data_dir.join("mail"),
            directory: self.directory.clone(),
            formats: self.formats.clone(),
            space: self.space.clone(),
            ledger: self.ledger.clone(),
            quarantine: self.quarantine.clone(),
            board: self.board.clone(),
            counts: self.counts.clone(),
        }
    }

    /// The feed, if there is a mainframe.
    pub fn feed(&self) -> Option<Feed> {
        let (config, pipeline) = self.pipeline.clone()?;
        Some(Feed {
            me: self.me.clone(),
            config,
            pipeline,
            held: self.feeds_held.subscribe(),
            space: self.space.clone(),
            ledger: self.ledger.clone(),
            quarantine: self.quarantine.clone(),
            board: self.board.clone(),
        })
    }

    /// The steward.
    pub fn steward(&self) -> Steward {
        let home = |node: &str| Some(NodeId::new(node));
        let rooms = self.config.rooms.iter().map(|room| Wanted {
            role: Role::Room(RoomId::new(room.name.clone())),
            home: home(&room.home),
        });
        let feed = self.config.feed.iter().map(|feed| Wanted {
            role: Role::Feed(feed.topic.clone()),
            home: home(&feed.home),
        });
        Steward {
            me: self.me.clone(),
            incarnation: self.incarnation,
            ledger: self.ledger.clone(),
            cluster: self.cluster.clone(),
            level: level(&self.config),
            wanted: rooms.chain(feed).collect(),
            watch: WatchConfig {
                reconnect: Duration::from_millis(self.config.cluster.detection.reconnect_ms),
                ..WatchConfig::default()
            },
        }
    }

    /// The ledger's members to the links.
    pub fn members(&self) -> MembersFeed {
        MembersFeed {
            me: self.me.clone(),
            admitted: self.admitted,
            leaving: self.leaving.clone(),
            gone: self.gone.clone(),
            ledger: self.ledger.clone(),
            cluster: self.cluster.clone(),
            members: self.members.clone(),
            configured: self.configured.clone(),
        }
    }

    /// Waits until this node is a member no more.
    pub async fn gone(&self) -> Gone {
        let mut gone = self.gone.subscribe();
        loop {
            if let Some(gone) = gone.borrow_and_update().clone() {
                return gone;
            }
            // We hold the sender, so this waits.
            let _ = gone.changed().await;
        }
    }

    /// What an operator asks.
    pub fn control(&self) -> Control {
        Control {
            me: self.me.clone(),
            cluster: self.config.cluster.name.clone(),
            path: local::control::socket(&self.config.node.data_dir),
            board: self.board.clone(),
            ledger: self.ledger.clone(),
            members: self.members.clone(),
            leaving: self.leaving.clone(),
            gone: self.gone.clone(),
            desk: Desk {
                me: self.me.clone(),
                directory: self.directory.clone(),
                formats: self.formats.clone(),
                quarantine: self.quarantine.clone(),
                space: self.space.clone(),
            },
            faults: self.faults.clone(),
        }
    }

    /// A look into the node.
    pub fn probe(&self) -> Probe {
        Probe {
            control: self.control(),
            cluster: self.cluster.clone(),
            epochs: self.epochs.clone(),
            space: self.space.clone(),
            models: self.models.clone(),
            updates: self.updates.subscribe(),
            incarnation: self.incarnation,
        }
    }

    /// The postman, if there is a relay.
    pub fn postman(&self) -> Option<Postman> {
        Some(Postman {
            me: self.me.clone(),
            cluster: self.config.cluster.name.clone(),
            ledger: self.ledger.clone(),
            mailer: self.mailer.clone()?,
            watermark: self.config.node.data_dir.join("postman"),
            board: self.board.clone(),
        })
    }
}
