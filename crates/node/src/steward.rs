//! The steward: on the leader, keeps the ledger's view of members and roles true, and raises the
//! ledger's level once every member speaks the next one.

use cluster::Cluster;
use ledger::watch::{Input, Output, Sight, Watch, WatchConfig};
use ledger::{State, Wanted, assign};
use machine::Machine as _;
use replica::Ledger;
use runtime::clock;
use runtime::service::{ServiceError, StopSignal};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use wire::{Act, Call, Level, NodeId, Reply, Role};

/// How often the leader looks around: a tenth of the time in which a death must be noticed.
const LOOK: Duration = Duration::from_millis(100);
/// Opinions that wait to be heard; one per member and suspect.
const OPINIONS: usize = 256;

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Steward {
    /// This node.
    pub me: NodeId,
    /// Grows with each start of the process.
    pub incarnation: u64,
    /// What this node speaks.
    pub level: Level,
    /// The ledger.
    pub ledger: Ledger,
    /// The links.
    pub cluster: Cluster,
    /// Roles and their homes, by the configuration; of all levels.
    pub wanted: Vec<Wanted>,
    /// When a member is held for down.
    pub watch: WatchConfig,
}

impl Steward {
    /// Runs until stopped.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::new(self.watch);
        let (heard, mut opinions) = mpsc::channel(OPINIONS);
        // Levels seen on links; a member that was seen with one does not lose it by going down.
        let mut levels = BTreeMap::new();
        loop {
            let input = tokio::select! {
                () = stop.stopped() => return Ok(()),
                _ = look.tick() => self.look(&mut levels),
                Some(opinion) = opinions.recv() => opinion,
            };
            // Followers watch, too: the next leader then knows since when a peer is silent.
            let mut out = Vec::new();
            watch.handle(clock::now(), input, &mut out);
            let mut acts = Vec::new();
            for output in out {
                match output {
                    Output::Ask { about, whom } => self.ask(&about, whom, &heard),
                    Output::Propose(act) => acts.push(act),
                }
            }
            if self.ledger.leads() {
                acts.extend(self.follow_up(&levels));
            }
            for act in acts {
                tracing::info!("steward: {act:?}");
                if let Err(error) = self.ledger.propose(act).await {
                    // The next look decides anew.
                    tracing::debug!("steward: {error}");
                    break;
                }
            }
        }
    }

    fn look(&self, levels: &mut BTreeMap<NodeId, Level>) -> Input {
        let links = self.cluster.links();
        for (node, link) in &links {
            levels.insert(node.clone(), link.level);
        }
        let sights = links.into_iter().map(|(node, link)| {
            let suspicion = self.cluster.suspicion(&node);
            let sight = Sight {
                incarnation: Some(link.incarnation),
                suspected: suspicion.is_some_and(|suspicion| suspicion.suspected),
            };
            (node, sight)
        });
        Input::Look {
            state: self.ledger.state(),
            me: (self.me.clone(), self.incarnation),
            sights: sights.collect(),
            leads: self.ledger.leads(),
        }
    }

    /// What follows from the members: roles, and the level.
    fn follow_up(&self, levels: &BTreeMap<NodeId, Level>) -> Vec<Act> {
        let state = self.ledger.state();
        let up: BTreeSet<NodeId> = state.up().cloned().collect();
        let wanted: Vec<Wanted> = self
            .wanted
            .iter()
            .filter(|wanted| at_level(&wanted.role, state.level))
            .cloned()
            .collect();
        let mut acts = assign(&wanted, &up, &state.roles);
        acts.extend(self.raise(&state, levels));
        acts
    }

    /// The next level, once every member was seen to speak it.
    fn raise(&self, state: &State, levels: &BTreeMap<NodeId, Level>) -> Option<Act> {
        let next = Level(state.level.0 + 1);
        let speaks = |node: &NodeId| {
            let level = if *node == self.me {
                Some(&self.level)
            } else {
                levels.get(node)
            };
            level.is_some_and(|level| *level >= next)
        };
        let all = state.cluster.is_some() && state.members.keys().all(speaks);
        all.then_some(Act::LevelRaised { level: next })
    }

    /// Asks in the background; what does not come in time is no opinion.
    fn ask(&self, about: &NodeId, whom: BTreeSet<NodeId>, heard: &mpsc::Sender<Input>) {
        for from in whom {
            let (cluster, heard, about) = (self.cluster.clone(), heard.clone(), about.clone());
            let limit = self.watch.opinions;
            tokio::spawn(async move {
                let call = Call::Opinion(about.clone());
                if let Ok(Reply::Opinion { phi }) = cluster.call(&from, call, limit).await {
                    let hears = phi.is_some();
                    // A full queue or a steward that is being restarted does without it.
                    let _ = heard.try_send(Input::Opinion { about, from, hears });
                }
            });
        }
    }
}

/// A topic is one role until the ledger knows shares, then its shares are.
fn at_level(role: &Role, level: Level) -> bool {
    match role {
        Role::Room(_) => true,
        Role::Feed(_) => level < Level::FEEDS,
        Role::FeedShare(_) => level >= Level::FEEDS,
    }
}

/// What this node answers to `Call::Opinion`.
pub fn opinion(cluster: &Cluster, about: &NodeId) -> Reply {
    let heard = cluster
        .suspicion(about)
        .filter(|suspicion| suspicion.linked && !suspicion.suspected);
    Reply::Opinion {
        phi: heard.map(|suspicion| suspicion.phi),
    }
}
