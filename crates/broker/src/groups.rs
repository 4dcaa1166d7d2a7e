//! Consumer groups with the classic protocol: join, sync, heartbeat, leave. Time comes in as an
//! argument; waiting members hold the other end of a channel.

use crate::codec::Code;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Members of one group at most.
const MAX_MEMBERS: usize = 256;
/// Longest session and rebalance time that a member may ask for (Kafka's default maximum).
const MAX_SESSION_MS: i32 = 1_800_000;

/// Where a group stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No members.
    Empty,
    /// Members (re)join.
    Joining,
    /// All joined, the leader's assignment is awaited.
    Syncing,
    /// At work.
    Stable,
}

/// What a member offers when it joins.
pub(crate) struct Join {
    pub(crate) session_ms: i32,
    pub(crate) rebalance_ms: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// The answer to a join.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member: String,
    /// For the leader: all members with their metadata.
    pub(crate) members: Vec<(String, Bytes)>,
}

/// The answer to a sync.
pub(crate) type Synced = Result<Bytes, Code>;

struct Member {
    session: Duration,
    rebalance: Duration,
    protocols: Vec<(String, Bytes)>,
    seen: Instant,
    joining: Option<oneshot::Sender<Joined>>,
    syncing: Option<oneshot::Sender<Synced>>,
    assignment: Bytes,
}

pub(crate) struct Group {
    phase: Phase,
    generation: i32,
    protocol_type: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// End of the join phase.
    deadline: Instant,
}

impl Group {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            deadline: now,
        }
    }

    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// A member comes, or comes back. `id` is a fresh name for one that has none.
    pub(crate) fn join(
        &mut self,
        now: Instant,
        id: String,
        known: bool,
        join: Join,
        first_delay: Duration,
    ) -> Result<oneshot::Receiver<Joined>, Code> {
        let session = duration(join.session_ms).ok_or(Code::InvalidSessionTimeout)?;
        let rebalance = duration(join.rebalance_ms).ok_or(Code::InvalidSessionTimeout)?;
        if known && !self.members.contains_key(&id) {
            return Err(Code::UnknownMember);
        }
        let others = self.members.iter().filter(|(other, _)| **other != id);
        let shared = |name: &str| {
            others
                .clone()
                .all(|(_, member)| member.protocols.iter().any(|(theirs, _)| theirs == name))
        };
        let fits = join.protocols.iter().any(|(name, _)| shared(name))
            && (self.protocol_type == join.protocol_type || others.clone().next().is_none());
        if !fits || self.members.len() >= MAX_MEMBERS {
            return Err(Code::InconsistentGroupProtocol);
        }
        if self.phase != Phase::Joining {
            self.begin_join(now, first_delay);
        }
        self.protocol_type = join.protocol_type;
        let (answer, wait) = oneshot::channel();
        let member = Member {
            session,
            rebalance,
            protocols: join.protocols,
            seen: now,
            joining: Some(answer),
            syncing: None,
            assignment: Bytes::new(),
        };
        self.members.insert(id, member);
        self.try_complete(now);
        Ok(wait)
    }

    /// The leader brings the assignment, the others wait for it.
    pub(crate) fn sync(
        &mut self,
        now: Instant,
        id: &str,
        generation: i32,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<oneshot::Receiver<Synced>, Code> {
        self.check(id, generation)?;
        let (answer, wait) = oneshot::channel();
        match self.phase {
            Phase::Empty | Phase::Joining => return Err(Code::RebalanceInProgress),
            Phase::Syncing if id == self.leader => {
                for (member, assignment) in assignments {
                    if let Some(member) = self.members.get_mut(&member) {
                        member.assignment = assignment;
                    }
                }
                self.phase = Phase::Stable;
                for member in self.members.values_mut() {
                    member.seen = now;
                    if let Some(waiting) = member.syncing.take() {
                        // A member that hung up meanwhile is noticed by its session.
                        let _hung_up = waiting.send(Ok(member.assignment.clone()));
                    }
                }
            }
            Phase::Syncing | Phase::Stable => {}
        }
        let member = self.members.get_mut(id).ok_or(Code::UnknownMember)?;
        member.seen = now;
        if self.phase == Phase::Stable {
            let _receiver_is_here = answer.send(Ok(member.assignment.clone()));
        } else {
            member.syncing = Some(answer);
        }
        Ok(wait)
    }

    pub(crate) fn heartbeat(
        &mut self,
        now: Instant,
        id: &str,
        generation: i32,
    ) -> Result<(), Code> {
        self.check(id, generation)?;
        if let Some(member) = self.members.get_mut(id) {
            member.seen = now;
        }
        if self.phase == Phase::Joining {
            Err(Code::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    pub(crate) fn leave(&mut self, now: Instant, id: &str) -> Result<(), Code> {
        self.members.remove(id).ok_or(Code::UnknownMember)?;
        self.after_loss(now);
        Ok(())
    }

    /// May this committer write offsets? Without members anybody may, by generation −1.
    pub(crate) fn may_commit(
        &mut self,
        now: Instant,
        id: &str,
        generation: i32,
    ) -> Result<(), Code> {
        if generation < 0 && id.is_empty() {
            return if self.has_members() {
                Err(Code::UnknownMember)
            } else {
                Ok(())
            };
        }
        self.check(id, generation)?;
        if let Some(member) = self.members.get_mut(id) {
            member.seen = now;
        }
        if self.phase == Phase::Syncing {
            Err(Code::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    /// Drops members whose session ran out and ends a join phase at its deadline.
    pub(crate) fn expire(&mut self, now: Instant) {
        let before = self.members.len();
        self.members.retain(|_, member| {
            let waits = member
                .joining
                .as_ref()
                .is_some_and(|answer| !answer.is_closed())
                || member.syncing.is_some();
            waits || now.duration_since(member.seen) < member.session
        });
        if self.members.len() < before {
            self.after_loss(now);
        }
        self.try_complete(now);
    }

    fn check(&self, id: &str, generation: i32) -> Result<(), Code> {
        if !self.members.contains_key(id) {
            Err(Code::UnknownMember)
        } else if generation != self.generation {
            Err(Code::IllegalGeneration)
        } else {
            Ok(())
        }
    }

    fn after_loss(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            self.generation += 1;
        } else {
            if self.phase != Phase::Joining {
                self.begin_join(now, Duration::ZERO);
            }
            self.try_complete(now);
        }
    }

    fn begin_join(&mut self, now: Instant, first_delay: Duration) {
        for member in self.members.values_mut() {
            if let Some(waiting) = member.syncing.take() {
                let _hung_up = waiting.send(Err(Code::RebalanceInProgress));
            }
        }
        let wait = match self.phase {
            Phase::Empty => first_delay,
            Phase::Joining | Phase::Syncing | Phase::Stable => self
                .members
                .values()
                .map(|member| member.rebalance)
                .max()
                .unwrap_or(first_delay),
        };
        self.phase = Phase::Joining;
        self.deadline = now + wait;
    }

    /// Ends the join phase when all known members are back, or at the deadline without the others.
    /// The very first generation always waits for the deadline: more members may be starting.
    fn try_complete(&mut self, now: Instant) {
        let all_back = self.members.values().all(|member| member.joining.is_some());
        if self.phase != Phase::Joining
            || !(now >= self.deadline || (all_back && self.generation > 0))
        {
            return;
        }
        self.members.retain(|_, member| member.joining.is_some());
        self.generation += 1;
        let Some(first) = self.members.keys().next().cloned() else {
            self.phase = Phase::Empty;
            return;
        };
        if !self.members.contains_key(&self.leader) {
            self.leader = first;
        }
        self.phase = Phase::Syncing;
        let protocol = self.common_protocol();
        let metadata = |member: &Member| {
            member
                .protocols
                .iter()
                .find(|(name, _)| *name == protocol)
                .map(|(_, data)| data.clone())
                .unwrap_or_default()
        };
        let roster: Vec<_> = self
            .members
            .iter()
            .map(|(id, member)| (id.clone(), metadata(member)))
            .collect();
        for (id, member) in &mut self.members {
            member.seen = now;
            member.assignment = Bytes::new();
            if let Some(waiting) = member.joining.take() {
                let members = if *id == self.leader {
                    roster.clone()
                } else {
                    Vec::new()
                };
                let joined = Joined {
                    generation: self.generation,
                    protocol: protocol.clone(),
                    leader: self.leader.clone(),
                    member: id.clone(),
                    members,
                };
                let _hung_up = waiting.send(joined);
            }
        }
    }

    /// The leader's first choice that all members know; `join` made sure that there is one.
    fn common_protocol(&self) -> String {
        let knows =
            |member: &Member, name: &str| member.protocols.iter().any(|(theirs, _)| theirs == name);
        let choices = self
            .members
            .get(&self.leader)
            .map(|leader| &leader.protocols[..])
            .unwrap_or_default();
        let common = choices
            .iter()
            .find(|(name, _)| self.members.values().all(|member| knows(member, name)));
        common.map(|(name, _)| name.clone()).unwrap_or_default()
    }
}

fn duration(ms: i32) -> Option<Duration> {
    (1..=MAX_SESSION_MS)
        .contains(&ms)
        .then(|| Duration::from_millis(u64::from(ms.unsigned_abs())))
}
