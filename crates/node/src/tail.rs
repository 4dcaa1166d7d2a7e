//! The ledger's tail: tells every part of the node what the cluster has decided, in order.

use crate::accounts;
use crate::board::Board;
use crate::effects::fetch_model;
use crate::gateway::Gateway;
use crate::members::Roll;
use crate::models::Models;
use cluster::Cluster;
use custody::Input as Custody;
use federation::compression::Codec;
use federation::scaffold::{Carried, Lineage, Standing};
use federation::secagg::{Charge, SecureRound, Terms};
use federation::{Input as Aggregation, ParticipantInput};
use ledger::Applied;
use replica::{Committed, Ledger};
use runtime::mailbox::Address;
use runtime::service::{ServiceError, StopSignal};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;
use wire::{Act, Digest, Level, NodeId, Role, RoomId, Round};

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Tail {
    /// This node.
    pub me: NodeId,
    /// The ledger.
    pub ledger: Ledger,
    /// For models from peers.
    pub cluster: Cluster,
    /// Models.
    pub models: Arc<Models>,
    /// For models that came before their name.
    pub gateway: Arc<Gateway>,
    /// The custodian.
    pub custodian: Address<Custody>,
    /// The aggregator.
    pub aggregator: Address<Aggregation>,
    /// The participant.
    pub participant: Address<ParticipantInput>,
    /// Rooms held.
    pub rooms: Arc<watch::Sender<BTreeSet<RoomId>>>,
    /// Kafka topics fed.
    pub feeds: Arc<watch::Sender<BTreeSet<Role>>>,
    /// For the roles shown.
    pub board: Arc<Board>,
    /// How rounds are run.
    pub rounds: RoundSettings,
}

/// What is configured of rounds, as far as their participants go by it.
#[derive(Clone)]
pub struct RoundSettings {
    /// They are to be secure, on these terms.
    pub secure: Option<Terms>,
    /// What a private round costs, and what may be spent in all.
    pub privacy: Option<federation::Privacy>,
    /// Whose this node's data are, if not its own.
    pub tenant: Option<String>,
    /// How updates in clear are made smaller.
    pub codec: Option<Codec>,
    /// Weights of the model.
    pub weights: usize,
    /// They are to have control variates.
    pub variates: bool,
}

impl RoundSettings {
    /// What the vectors of a round are that has just been opened, by the ledger up to its leaf.
    pub fn carried(
        &self,
        lineage: &mut Lineage,
        state: &ledger::State,
        (round, model): (Round, Digest),
    ) -> Carried {
        if !self.variates || state.level < Level::VARIATES_AND_TENANTS {
            lineage.disturbed();
            return Carried::Weights(self.weights);
        }
        Carried::Joined(Standing {
            weights: self.weights,
            members: state.members.len(),
            begin: lineage.opened(round, model),
        })
    }
}

impl Tail {
    /// Replays the ledger from its start, then follows it. The machines are fresh whenever this
    /// is: the supervisor restarts them together (rest for one).
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let mut log = self.ledger.subscribe(0);
        let (mut roll, mut lineage) = (Roll::default(), Lineage::default());
        let mut leadership = self.ledger.leader();
        leadership.mark_changed();
        let replay_to = self.ledger.state().size;
        let (mut told, mut led) = (0, None);
        if replay_to == 0 {
            self.caught_up().await?;
        }
        loop {
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                committed = log.next() => {
                    let committed = committed?;
                    let roster = roll.follow(&committed);
                    let commit = committed.record.act.key_epoch().is_some();
                    // A group commit is judged by the roster before it, all else by the one after.
                    if roster && !commit {
                        self.custodian.send(roll.input()).await?;
                    }
                    let replayed = told < replay_to;
                    self.tell(&committed, &roll, &mut lineage, replayed).await?;
                    if roster && commit {
                        self.custodian.send(roll.input()).await?;
                    }
                    told = committed.index + 1;
                    if told == replay_to {
                        self.caught_up().await?;
                    }
                }
                changed = leadership.changed(), if told >= replay_to => {
                    changed?;
                    let leads = leadership.borrow_and_update().leader.as_ref() == Some(&self.me);
                    if led != Some(leads) {
                        led = Some(leads);
                        self.leads(leads).await?;
                    }
                }
            }
        }
    }

    async fn caught_up(&self) -> Result<(), ServiceError> {
        let state = self.ledger.state();
        self.custodian
            .post(Custody::CaughtUp {
                epoch: state.keys.epoch,
            })
            .await?;
        let initial = self.models.initial();
        self.models
            .stage(Round(0), initial.digest, initial.parameters.clone());
        let ready = Aggregation::ModelReady {
            digest: initial.digest,
            parameters: initial.parameters.clone(),
        };
        self.aggregator.post(ready).await?;
        self.adopt_roles();
        self.adopt_model();
        Ok(())
    }

    async fn leads(&self, leads: bool) -> Result<(), ServiceError> {
        tracing::info!(
            "{}",
            if leads {
                "this node leads"
            } else {
                "this node follows"
            }
        );
        self.custodian.post(Custody::Leader(leads)).await?;
        let input = if leads {
            let state = self.ledger.state();
            self.aggregator
                .post(Aggregation::Members(state.up().cloned().collect()))
                .await?;
            self.tell_spent(None).await?;
            let rounds = &state.rounds;
            Aggregation::Leading {
                next: rounds.last.next(),
                open: rounds.open.as_ref().map(|open| open.round),
                model: rounds.model,
            }
        } else {
            Aggregation::NotLeading
        };
        Ok(self.aggregator.post(input).await?)
    }

    /// What participants have spent on privacy, once the ledger has a place for it.
    async fn tell_spent(&self, round: Option<Round>) -> Result<(), ServiceError> {
        let state = self.ledger.state();
        if state.level < Level::LEARNING {
            return Ok(());
        }
        let spent = accounts::of(&state);
        Ok(self
            .aggregator
            .post(Aggregation::Spent { round, spent })
            .await?)
    }

    /// One leaf, to everyone whom it concerns.
    ///
    /// `replayed`: it was decided before this process followed the ledger.
    async fn tell(
        &self,
        committed: &Committed,
        roll: &Roll,
        lineage: &mut Lineage,
        replayed: bool,
    ) -> Result<(), ServiceError> {
        let record = &committed.record;
        match &committed.applied {
            Applied::Effective => {}
            Applied::Lost { .. } => {
                if let Act::GroupCommit {
                    epoch,
                    committer,
                    kind,
                    commit,
                } = &record.act
                {
                    let lost = Custody::Lost {
                        epoch: *epoch,
                        committer: committer.clone(),
                        kind: kind.clone(),
                        commit: commit.clone(),
                    };
                    self.custodian.post(lost).await?;
                }
                return Ok(());
            }
            Applied::Ignored { reason } => {
                tracing::info!("leaf {} has no effect: {reason}", committed.index);
                return Ok(());
            }
            Applied::Duplicate { .. } => return Ok(()),
        }
        match &record.act {
            // Who was evicted is asked no more: a round with a former member in it would not open.
            Act::NodeUp { .. } | Act::NodeDown { .. } | Act::Removed { .. } => {
                if let Act::Removed { .. } = &record.act {
                    lineage.disturbed();
                }
                let up = self.ledger.state().up().cloned().collect();
                self.aggregator.post(Aggregation::Members(up)).await?;
            }
            Act::RoleAssigned { .. } => self.adopt_roles(),
            Act::RoundOpened {
                round,
                model,
                cohort,
            } => {
                let (round, model, cohort) = (*round, *model, cohort.clone());
                let by = record.proposer.clone();
                let secure = self.rounds.secure.and_then(|terms| {
                    let round = roll.secure_round(committed, &cohort, replayed)?;
                    let RoundSettings {
                        privacy, tenant, ..
                    } = &self.rounds;
                    let objection = privacy.as_ref().and_then(|privacy| {
                        let state = roll.state();
                        accounts::objection(state, privacy, tenant.as_ref(), &self.me, &cohort)
                    });
                    Some(Arc::new(SecureRound {
                        terms,
                        objection,
                        ..round
                    }))
                });
                let codec = self.rounds.codec;
                let codec = codec.filter(|_| roll.state().level >= Level::LEARNING);
                let carried = self.rounds.carried(lineage, roll.state(), (round, model));
                self.participant
                    .post(ParticipantInput::Opened {
                        round,
                        model,
                        cohort: cohort.clone(),
                        secure: secure.clone(),
                        codec,
                        carried,
                    })
                    .await?;
                self.aggregator
                    .post(Aggregation::Opened {
                        round,
                        model,
                        cohort,
                        by,
                        secure,
                        carried,
                        ages: roll.state().level >= Level::VARIATES_AND_TENANTS,
                    })
                    .await?;
            }
            Act::PrivacySpent {
                round,
                epsilon,
                participants,
                noise_milli,
                bound,
                delta: _,
            } => {
                tracing::info!(
                    "round {round} brings what a participant or tenant has spent to ε = {epsilon:.3}"
                );
                let overdraws = self.rounds.privacy.as_ref().and_then(|privacy| {
                    accounts::overdraft(roll.state(), privacy, &self.me, participants)
                });
                self.participant
                    .post(ParticipantInput::Charged {
                        round: *round,
                        charge: Charge {
                            participants: participants.clone(),
                            noise_milli: *noise_milli,
                            bound: *bound,
                            overdraws,
                        },
                    })
                    .await?;
                self.tell_spent(Some(*round)).await?;
            }
            // From a level on private rounds can be accounted for; and a budget may bear more or less.
            Act::LevelRaised { .. } | Act::BudgetDeclared { .. } => self.tell_spent(None).await?,
            Act::RoundClosed {
                round,
                model,
                participants,
                ..
            }
            | Act::BufferedRoundClosed {
                round,
                model,
                participants,
                ..
            } => {
                let counted = participants.contains(&self.me);
                lineage.closed(*round, *model, counted);
                self.participant
                    .post(ParticipantInput::Ended {
                        round: *round,
                        counted,
                    })
                    .await?;
                self.aggregator
                    .post(Aggregation::Closed {
                        round: *round,
                        model: *model,
                        participants: participants.clone(),
                    })
                    .await?;
                self.custodian
                    .post(Custody::RoundClosed { round: *round })
                    .await?;
                self.adopt_model();
            }
            Act::RoundAbandoned { round, reason } => {
                tracing::info!("round {round} is abandoned: {reason}");
                lineage.abandoned(*round);
                self.participant
                    .post(ParticipantInput::Ended {
                        round: *round,
                        counted: false,
                    })
                    .await?;
                self.aggregator
                    .post(Aggregation::Abandoned { round: *round })
                    .await?;
            }
            Act::GroupCommit {
                epoch,
                committer,
                kind,
                commit,
            } => {
                let won = Custody::Committed {
                    epoch: *epoch,
                    committer: committer.clone(),
                    kind: kind.clone(),
                    commit: commit.clone(),
                };
                self.custodian.post(won).await?;
            }
            Act::ModelPinned { .. } | Act::ModelUnpinned { .. } => self.adopt_model(),
            Act::ModelRolledBack { model, reason } => {
                tracing::info!("learning is rolled back to model {model}: {reason}");
                lineage.rolled_back();
                self.participant.post(ParticipantInput::RolledBack).await?;
                self.aggregator
                    .post(Aggregation::RolledBack { model: *model })
                    .await?;
                self.adopt_model();
            }
            // The mean of the variates is over others from here on.
            Act::Admitted { .. } => lineage.disturbed(),
            Act::VariatesReset { round, reason } => {
                tracing::info!("round {round}: {reason}");
                lineage.disturbed();
            }
            // The postman follows alerts on his own; the others concern nobody here.
            Act::AlertRaised(_)
            | Act::AlertCleared { .. }
            | Act::Invited { .. }
            | Act::Introduced { .. }
            | Act::FunctionDeployed { .. }
            | Act::Genesis { .. }
            | Act::Ingested { .. }
            | Act::FeedAdvanced { .. }
            | Act::ReaderKeyGranted { .. } => {}
        }
        Ok(())
    }

    fn adopt_roles(&self) {
        let state = self.ledger.state();
        let roles: Vec<Role> = state.roles_of(&self.me).cloned().collect();
        let (mut rooms, mut feeds) = (BTreeSet::new(), BTreeSet::new());
        for role in &roles {
            match role {
                Role::Room(room) => drop(rooms.insert(room.clone())),
                Role::Feed(_) | Role::FeedShare(_) => drop(feeds.insert(role.clone())),
            }
        }
        self.board.set_roles(roles);
        replace(&self.rooms, rooms);
        replace(&self.feeds, feeds);
    }

    /// The ledger names a model: use it, fetching it from a peer if the leader's cast was lost.
    fn adopt_model(&self) {
        let rounds = &self.ledger.state().rounds;
        let Some(scoring) = rounds.scoring else {
            return;
        };
        if self.models.publish(scoring, rounds.is_chosen()) {
            return;
        }
        let (cluster, models, gateway) = (
            self.cluster.clone(),
            self.models.clone(),
            self.gateway.clone(),
        );
        tokio::spawn(async move {
            if let Some(parameters) = fetch_model(&cluster, scoring.model).await
                && models.stage(scoring.round, scoring.model, parameters)
            {
                gateway.publish_if_named();
                return;
            }
            tracing::debug!(
                "no peer had the model of round {} at hand; a newer one will come",
                scoring.round
            );
        });
    }
}

fn replace<T: PartialEq>(to: &watch::Sender<T>, new: T) {
    to.send_if_modified(|current| {
        let changed = *current != new;
        *current = new;
        changed
    });
}
