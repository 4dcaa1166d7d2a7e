//! The services of a node, made from its parts; and what may end the node besides them.

use super::Parts;
use super::configured::{alert_mail, heartbeats, level};
use crate::budget::Declaration;
use crate::control::{Control, Publisher, ReaderKeys};
use crate::desk::Desk;
use crate::exporter::Exporter;
use crate::feed::Feed;
use crate::herald::Herald;
use crate::mailbox::Mailbox;
use crate::members::{Gone, MembersFeed};
use crate::postman::Postman;
use crate::probe::Probe;
use crate::rooms::{Judging, Rooms};
use crate::steward::Steward;
use crate::tail::Tail;
use crate::tree;
use learn::TrainConfig;
use ledger::Wanted;
use ledger::watch::WatchConfig;
use runtime::service::ServiceError;
use std::sync::Arc;
use std::time::Duration;
use telemetry::cloudevents::Events;
use wire::{FeedShare, NodeId, Role, RoomId};

impl Parts {
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
            rounds: self.rounds.clone(),
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
            judging: self.judging(),
            heartbeats: Arc::new(heartbeats(&self.config)),
            scores: self.export.as_ref().map(|export| export.scores.clone()),
            announced: self.announced.clone(),
        }
    }

    /// As configured.
    fn judging(&self) -> Judging {
        let learning = &self.config.learning;
        let epochs = u32::try_from(learning.personal_epochs).unwrap_or(0);
        Judging {
            false_alarm_rate: learning.false_alarm_rate,
            tuning: (epochs > 0).then(|| TrainConfig {
                epochs,
                ..self.training()
            }),
        }
    }

    /// What says on the ledger what private rounds may tell; none where they are not private.
    pub fn budget(&self) -> Option<Declaration> {
        let learning = &self.config.learning;
        Some(Declaration {
            me: self.me.clone(),
            ledger: self.ledger.clone(),
            budget: learning.privacy()?.budget,
            tenant: learning.tenant().cloned(),
        })
    }

    /// The herald.
    pub fn herald(&self) -> Herald {
        Herald {
            me: self.me.clone(),
            cluster: self.config.cluster.name.clone(),
            space: self.space.clone(),
            ledger: self.ledger.clone(),
            board: self.board.clone(),
            scored: self.to_announce.clone(),
        }
    }

    /// The mailbox.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox {
            me: self.me.clone(),
            cluster: self.config.cluster.name.clone(),
            incarnation: self.incarnation.number,
            door: self.door.clone(),
            config: self.door_config.clone(),
            dir: tree::mail_dir(&self.config),
            keys: self.journal_keys.clone(),
            directory: self.directory.clone(),
            formats: self.formats.clone(),
            space: self.space.clone(),
            ledger: self.ledger.clone(),
            quarantine: self.quarantine.clone(),
            removed: self.removed.subscribe(),
            board: self.board.clone(),
            counts: self.counts.clone(),
            hatch: self.hatch.clone(),
        }
    }

    /// The feed, if there is a mainframe.
    pub fn feed(&self) -> Option<Feed> {
        let (config, pipeline) = self.pipeline.clone()?;
        Some(Feed {
            me: self.me.clone(),
            config,
            pipeline,
            registry: self.registry.clone(),
            read: Arc::default(),
            aside: Arc::default(),
            held: self.feeds_held.subscribe(),
            space: self.space.clone(),
            ledger: self.ledger.clone(),
            quarantine: self.quarantine.clone(),
            board: self.board.clone(),
        })
    }

    /// The exporter, if somebody wants to hear of us.
    pub fn exporter(&self) -> Option<Exporter> {
        let export = self.export.as_ref()?;
        Some(Exporter {
            me: self.me.clone(),
            incarnation: self.incarnation.number,
            config: export.config.clone(),
            events: Events::new(&self.config.cluster.name),
            ledger: self.ledger.clone(),
            scored: export.scored.clone(),
            numbered: export.numbered.clone(),
            dir: tree::export_dir(&self.config),
            keys: self.score_keys.clone(),
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
        let whole = self.config.feed.iter().map(|feed| Wanted {
            role: Role::Feed(feed.topic.clone()),
            home: feed.home.as_deref().and_then(home),
        });
        let shares = self.config.feed.iter().flat_map(|feed| {
            (0..feed.shares).map(|share| Wanted {
                role: Role::FeedShare(FeedShare {
                    topic: feed.topic.clone(),
                    of: feed.shares,
                    share,
                }),
                home: feed.home.as_deref().and_then(home),
            })
        });
        Steward {
            me: self.me.clone(),
            incarnation: self.incarnation.number,
            ledger: self.ledger.clone(),
            cluster: self.cluster.clone(),
            level: level(&self.config),
            wanted: rooms.chain(whole).chain(shares).collect(),
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
            removed: self.removed.clone(),
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

    /// Waits until it turns out that a former start of this node had a greater number; gives the reason
    /// why this one must end.
    pub async fn outnumbered(&self) -> ServiceError {
        let data = &self.config.node.data_dir;
        match self.incarnation.outnumbered(data, &self.ledger).await {
            Ok(why) => why.into(),
            Err(error) => error.into(),
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
                devices: (self.door_config)().policy.devices,
                formats: self.formats.clone(),
                quarantine: self.quarantine.clone(),
                space: self.space.clone(),
            },
            publisher: Publisher {
                directory: self.directory.clone(),
                formats: self.formats.clone(),
                hatch: self.hatch.clone(),
            },
            reader_keys: ReaderKeys::new(self.space.clone()),
            models: self.models.clone(),
            links: self.cluster.clone(),
            privacy: self.config.learning.privacy(),
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
            updates: self.updates.clone(),
            incarnation: self.incarnation.number,
        }
    }

    /// The postman, if there is a relay.
    pub fn postman(&self) -> Option<Postman> {
        Some(Postman {
            me: self.me.clone(),
            settings: alert_mail(&self.config),
            ledger: self.ledger.clone(),
            mailer: self.mailer.clone()?,
            watermark: self.config.node.data_dir.join("postman"),
            ahead: self.config.node.data_dir.join("postman-ahead"),
            board: self.board.clone(),
        })
    }
}
