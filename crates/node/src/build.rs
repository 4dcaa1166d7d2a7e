//! The parts of a node, opened in order and wired to one another. [`crate::tree`] says how they live.

mod configured;
mod door;
mod machines;
mod services;
mod shown;

use crate::at_rest::{JournalKeys, Vault};
use crate::board::Board;
use crate::effects::{Contribution, Served};
use crate::exporter::{self, ExportConfig};
use crate::formats::Formats;
use crate::gateway::Gateway;
use crate::hatch::Hatch;
use crate::herald::{self, RoomScore};
use crate::identity;
use crate::incarnation::{self, Incarnation};
use crate::join;
use crate::mailbox::DoorCounts;
use crate::members::Gone;
use crate::models::Models;
use crate::quarantine::Quarantine;
use crate::space::{Proofs, SealedSpace};
use crate::surroundings::{MailDoor, Surroundings};
use crate::tail::RoundSettings;
use crate::tree;
use cluster::noise::EpochTable;
use cluster::{Cluster, Faults, MemberTable, Members, Transport};
use config::{Config, ModelKind};
use configured::{
    Itself, address, configured, devices, export, level, links, mailer, pipeline, registry,
};
use custody::at_rest::Purpose;
use custody::{Custodian, Grace, Sealer};
use door::door;
pub use door::house_key;
use ed25519_dalek::SigningKey;
use edge::kafka::FeedConfig;
use edge::mailer::Outbox;
use edge::registry::RegistryConfig;
use edge::smtp::SmtpConfig;
use federation::{Aggregator, Participant};
use learn::{Learner, Shape};
use peers::Peers;
use replica::{Compaction, Ledger, LedgerConfig, Timings};
use runtime::blocking;
use runtime::entropy;
use runtime::mailbox::Address;
use runtime::place;
use runtime::service::ServiceError;
use runtime::supervisor::SupervisorSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use telemetry::directory::Directory;
use telemetry::monitor::Monitor;
use telemetry::score::Scored;
use telemetry::transactions::PipelineConfig;
use telemetry::windows::Windows;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, watch};
use wire::{MemberEntry, NodeId, Role, RoomId};

/// What a participant handed over that whoever looks in has not seen yet: a round has two of them.
const CONTRIBUTIONS: usize = 16;

/// Time given to the data space at the end to hand over what was accepted.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

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
    /// Where the links and the ledger run, if not with the rest.
    pub consensus: Option<Handle>,
    /// The ledger.
    pub ledger: Ledger,
    identity: SigningKey,
    incarnation: Incarnation,
    configured: BTreeMap<NodeId, MemberEntry>,
    admitted: Option<u64>,
    members: Members,
    leaving: Arc<AtomicBool>,
    removed: watch::Sender<bool>,
    gone: watch::Sender<Option<Gone>>,
    cluster: Cluster,
    faults: Option<Faults>,
    epochs: EpochTable,
    space: Arc<SealedSpace>,
    models: Arc<Models>,
    rounds: RoundSettings,
    learner: Arc<Learner>,
    takes: Duration,
    windows: Arc<Mutex<Windows>>,
    updates: broadcast::Sender<Contribution>,
    gateway: Arc<Gateway>,
    served: Served,
    directory: Arc<Directory>,
    formats: Arc<Formats>,
    quarantine: Arc<Quarantine>,
    journal_keys: Arc<JournalKeys>,
    score_keys: Arc<JournalKeys>,
    counts: Arc<DoorCounts>,
    hatch: Arc<Hatch>,
    door: Arc<dyn MailDoor>,
    door_config: Arc<dyn Fn() -> SmtpConfig + Send + Sync>,
    mailer: Option<Arc<dyn Outbox>>,
    pipeline: Option<(FeedConfig, PipelineConfig)>,
    registry: Option<RegistryConfig>,
    export: Option<Export>,
    rooms_held: Arc<watch::Sender<BTreeSet<RoomId>>>,
    feeds_held: Arc<watch::Sender<BTreeSet<Role>>>,
    letters: Letters,
    announced: mpsc::Sender<RoomScore>,
    to_announce: Arc<tokio::sync::Mutex<mpsc::Receiver<RoomScore>>>,
}

/// What services that start again share of the way out to Kafka.
struct Export {
    config: ExportConfig,
    scores: mpsc::Sender<Scored>,
    scored: Arc<tokio::sync::Mutex<mpsc::Receiver<Scored>>>,
    numbered: Arc<AtomicU64>,
}

impl Export {
    fn new(config: ExportConfig) -> Self {
        let (scores, scored) = mpsc::channel(exporter::SCORES);
        Self {
            config,
            scores,
            scored: Arc::new(tokio::sync::Mutex::new(scored)),
            numbered: Arc::default(),
        }
    }
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
        let incarnation = incarnation::next(&data)?;
        let board = Board::new(me.clone());

        let shape = match config.learning.model {
            ModelKind::Dense => Shape::default(),
            ModelKind::Temporal => Shape::temporal(),
        };
        let models = Arc::new(Models::open(data.join("models"), &shape)?);
        let former = data.join("model");
        models.take_over(&former).map_err(|error| {
            format!(
                "the model of a former release, {}, is not taken over: {error}; remove the file to start without it",
                former.display()
            )
        })?;
        let windows = Windows::new(config.learning.window, shape.reach());
        let rounds = RoundSettings {
            secure: match config.learning.is_secure() {
                true => Some(config.learning.terms()?),
                false => None,
            },
            privacy: config.learning.privacy(),
            tenant: config.learning.tenant().cloned(),
            codec: config.learning.codec(shape.parameter_count()),
            weights: shape.parameter_count(),
            variates: config.learning.has_variates(),
        };
        let learner = Arc::new((surroundings.learner)(shape)?);
        let windows = Arc::new(Mutex::new(windows));
        let room = surroundings.letters;
        let letters = Letters {
            custodian: Address::of::<Custodian>("custodian", room),
            participant: Address::of::<Participant>("participant", room),
            aggregator: Address::of::<Aggregator>("aggregator", room),
            monitor: Address::of::<Monitor>("monitor", room),
        };
        let served = Served::default();
        let members = Members::new(MemberTable::founding(configured.values().cloned()));
        let gateway = Arc::new(Gateway {
            ledger: OnceLock::new(),
            cluster: OnceLock::new(),
            members: members.clone(),
            models: models.clone(),
            aggregator: letters.aggregator.clone(),
            participant: letters.participant.clone(),
            served: served.clone(),
            configured: configured.clone(),
        });
        let epochs = EpochTable::default();
        let itself = Itself {
            incarnation: incarnation.number,
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
        let opening = Ledger::open(
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
        );
        let ledger = place::at(surroundings.consensus.as_ref(), opening).await?;
        // Calls that came before were refused and are repeated by their senders.
        let _ = gateway.ledger.set(ledger.clone());

        let grace = Grace {
            epochs: usize::try_from(config.keys.grace_epochs).unwrap_or(usize::MAX),
            time: Duration::from_millis(config.keys.grace_ms),
        };
        let sealer = Sealer::new(me.clone(), entropy::bytes())?;
        let proofs = Proofs {
            key: identity.clone(),
            topics: config.keys.origin_proof.iter().cloned().collect(),
            rules: Arc::new(ledger.clone()),
        };
        let data = surroundings.space;
        let space = SealedSpace::new(me.clone(), data, sealer, grace, board.clone(), proofs);

        // The ledger's lock keeps a second process out from here on.
        let (mail, shelf) = (tree::mail_dir(&config), tree::quarantine_dir(&config));
        let scores = exporter::scores_dir(&tree::export_dir(&config));
        let vault = Arc::new(Vault::of_node(&config, &[&mail, &scores], &shelf)?);

        let quarantine = Quarantine::open(shelf, Ok(vault.clone()))?;
        match blocking::in_place(|| quarantine.renew()) {
            Ok(0) => {}
            Ok(renewed) => {
                tracing::info!(
                    "sealed {renewed} quarantined mails anew, under the newest wrapping key"
                );
            }
            Err(error) => {
                tracing::warn!("quarantined mails stay under a former wrapping key: {error}")
            }
        }

        let (announced, to_announce) = mpsc::channel(herald::SCORES);
        let parts = Self {
            door: surroundings.door,
            door_config: door(&config)?,
            mailer: match surroundings.alerts {
                Some(outbox) => Some(outbox),
                None => mailer(&config)?,
            },
            export: export(&config, surroundings.kafka.clone())?.map(Export::new),
            pipeline: pipeline(&config, surroundings.kafka)?,
            registry: registry(&config)?,
            directory: Arc::new(devices(&config)?),
            formats: Arc::new(Formats::load(config.mailbox.formats.clone())?),
            quarantine: Arc::new(quarantine),
            journal_keys: Arc::new(JournalKeys::new(
                vault.clone(),
                Purpose::MailJournal,
                space.epochs(),
            )),
            score_keys: Arc::new(JournalKeys::new(vault, Purpose::Scores, space.epochs())),
            counts: Arc::default(),
            hatch: Arc::default(),
            rooms_held: Arc::new(watch::Sender::new(BTreeSet::new())),
            feeds_held: Arc::new(watch::Sender::new(BTreeSet::new())),
            config,
            me,
            board,
            cluster_spec: links.spec,
            consensus: surroundings.consensus,
            faults: links.faults,
            ledger,
            identity,
            incarnation,
            configured,
            admitted: admission.map(|admission| admission.index),
            members,
            leaving: Arc::default(),
            removed: watch::Sender::new(false),
            gone: watch::Sender::new(None),
            cluster,
            epochs,
            space,
            models,
            rounds,
            learner,
            takes: surroundings.training,
            windows,
            updates: broadcast::Sender::new(CONTRIBUTIONS),
            gateway,
            served,
            letters,
            announced,
            to_announce: Arc::new(tokio::sync::Mutex::new(to_announce)),
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
}
