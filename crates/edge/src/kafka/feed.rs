//! A feed's positions, and what moves them: the frame of both adapters.

use super::counters::{Counters, Snapshot, count};
use super::session::{Part, Session};
use super::topic_id::TopicId;
use super::{Feed, FeedConfig, FeedError, OffsetCommit, OutOfRange, PartitionRecords, StartAt};
use crate::backoff::Backoff;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// First pause after a fault, doubled each time up to the longest. Short enough for a leader election
/// (a few seconds) not to grow into a minute, long enough not to hammer a broker that starts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Before a partition is asked for again whose records are damaged or cannot be read: they may have been on the way, and
/// if it is the broker's disk, somebody has to come.
const BROKEN_PAUSE: Duration = Duration::from_secs(1);

/// A [`Feed`] from a Kafka cluster over sessions of one kind. Connects at the first call.
pub struct FeedOn<S> {
    config: FeedConfig,
    counters: Arc<Counters>,
    session: Option<S>,
    /// The topic that the positions are of, once a broker has told its id.
    topic_id: Option<TopicId>,
    /// Next offset to read, per partition.
    positions: BTreeMap<i32, i64>,
    /// Partitions that the out-of-range policy has moved, until that is told.
    moved: BTreeSet<i32>,
    /// Partitions that are not asked for before a moment.
    held: BTreeMap<i32, Instant>,
    backoff: Backoff,
}

impl<S: Session> FeedOn<S> {
    /// Nothing is connected yet.
    pub fn new(config: FeedConfig) -> Self {
        Self {
            config,
            counters: Arc::default(),
            session: None,
            topic_id: None,
            positions: BTreeMap::new(),
            moved: BTreeSet::new(),
            held: BTreeMap::new(),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        }
    }

    /// The counters, to be read while the feed is at work.
    pub fn shared_counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// The id of the topic that is read; `None` before the first call, and where brokers do not tell it.
    pub fn topic_id(&self) -> Option<TopicId> {
        self.topic_id
    }

    /// The positions that are sought next are of the topic with this id, whatever topic has the name by now.
    pub fn of_topic(&mut self, id: TopicId) {
        self.topic_id = Some(id);
    }

    /// Takes the session for one call. It comes back only when the call went well: one that fails or is cancelled may
    /// leave an answer on the way, or records taken that nobody got.
    async fn take_session(&mut self) -> Result<S, FeedError> {
        if let Some(session) = self.session.take()
            && let Some(current) = session.current().await?
        {
            return Ok(current);
        }
        self.backoff.wait().await;
        S::open(&self.config, &self.counters).await
    }

    fn ended<T>(&mut self, result: Result<(S, T), FeedError>) -> Result<T, FeedError> {
        match result {
            Ok((session, value)) => {
                self.session = Some(session);
                self.backoff.over();
                Ok(value)
            }
            Err(error) => {
                count(&self.counters.faults, 1);
                self.backoff.longer();
                Err(error)
            }
        }
    }

    /// Gives a position to each partition that has none: the committed offset, or where to start.
    async fn place(&mut self, session: &mut S) -> Result<(), FeedError> {
        let mut missing = session.partitions();
        missing.retain(|partition| !self.positions.contains_key(partition));
        if missing.is_empty() {
            return Ok(());
        }
        for commit in session.committed(&missing).await? {
            self.positions.insert(commit.partition, commit.offset);
        }
        for partition in missing {
            if let Entry::Vacant(position) = self.positions.entry(partition) {
                position.insert(session.offset(partition, self.config.start).await?);
            }
        }
        Ok(())
    }

    /// Where the policy goes on; `None`: nowhere.
    const fn policy(&self) -> Option<StartAt> {
        match self.config.out_of_range {
            OutOfRange::Earliest => Some(StartAt::Earliest),
            OutOfRange::Latest => Some(StartAt::Latest),
            OutOfRange::Fail => None,
        }
    }

    /// A topic that was deleted and made anew has other records at the same offsets: no position holds, even where
    /// the broker has something there.
    async fn same_topic(&mut self, session: &mut S) -> Result<(), FeedError> {
        let (Some(now), before) = (session.topic_id(), self.topic_id) else {
            return Ok(());
        };
        if let Some(before) = before.filter(|before| *before != now) {
            let topic = self.config.topic.clone();
            let Some(at) = self.policy() else {
                return Err(FeedError::MadeAnew { topic, before, now });
            };
            let mut positions = BTreeMap::new();
            for partition in session.partitions() {
                if self.positions.contains_key(&partition) {
                    positions.insert(partition, session.offset(partition, at).await?);
                }
            }
            tracing::warn!(
                "topic {topic} was deleted and made anew ({before} is {now} now), the policy moves on to {positions:?}"
            );
            count(&self.counters.resets, positions.len() as u64);
            self.moved.extend(positions.keys());
            self.held.clear();
            self.positions = positions;
        }
        self.topic_id = Some(now);
        Ok(())
    }

    async fn poll_once(&mut self, session: &mut S) -> Result<Vec<PartitionRecords>, FeedError> {
        self.same_topic(session).await?;
        self.place(session).await?;
        let now = Instant::now();
        self.held.retain(|_, until| *until > now);
        let longest = now + self.config.max_wait;
        let until = self.held.values().min().copied().unwrap_or(longest);
        let until = until.min(longest);
        let wanted: BTreeMap<i32, i64> = session
            .partitions()
            .into_iter()
            .filter(|partition| !self.held.contains_key(partition))
            .filter_map(|partition| Some((partition, *self.positions.get(&partition)?)))
            .collect();
        if wanted.is_empty() {
            // Nobody to wait at; the next session may know of more partitions, or the first of those that are held is let go.
            tokio::time::sleep_until(until).await;
            return Ok(Vec::new());
        }
        let (mut taken, mut broken) = (Vec::new(), Vec::new());
        for part in session.fetch(&wanted, until.duration_since(now)).await? {
            match part {
                Part::Here {
                    partition,
                    records,
                    next_offset,
                    high_watermark,
                } => {
                    let moved = self.moved.contains(&partition);
                    let further = wanted.get(&partition) != Some(&next_offset);
                    // That the reader moved is told even where nothing follows yet: the place before is gone.
                    if moved || further {
                        taken.push(PartitionRecords {
                            partition,
                            records,
                            next_offset,
                            high_watermark,
                            moved,
                        });
                    }
                }
                Part::Broken { partition, error } => broken.push((partition, error)),
                Part::OutOfRange {
                    partition,
                    high_watermark,
                } => {
                    self.go_elsewhere(session, partition, high_watermark)
                        .await?;
                }
            }
        }
        // Others are read on meanwhile.
        for (partition, error) in broken {
            tracing::warn!("{error}; it is read again in {BROKEN_PAUSE:?}");
            count(&self.counters.faults, 1);
            session.forget(partition);
            self.held.insert(partition, Instant::now() + BROKEN_PAUSE);
        }
        // Positions move last: an error above hands out nothing, so nothing is lost.
        for part in &taken {
            self.positions.insert(part.partition, part.next_offset);
            self.moved.remove(&part.partition);
            count(&self.counters.records, part.records.len() as u64);
        }
        Ok(taken)
    }

    /// The broker has not what a partition's position asks for.
    async fn go_elsewhere(
        &mut self,
        session: &mut S,
        partition: i32,
        high_watermark: i64,
    ) -> Result<(), FeedError> {
        let topic = self.config.topic.clone();
        let offset = self.positions.get(&partition).copied().unwrap_or_default();
        let Some(at) = self.policy() else {
            return Err(FeedError::OutOfRange {
                topic,
                partition,
                offset,
                high_watermark,
            });
        };
        let to = session.offset(partition, at).await?;
        tracing::warn!(
            topic,
            partition,
            offset,
            to,
            "offset is out of range, the policy moves on"
        );
        count(&self.counters.resets, 1);
        self.positions.insert(partition, to);
        self.moved.insert(partition);
        session.forget(partition);
        Ok(())
    }
}

impl<S: Session> Feed for FeedOn<S> {
    async fn poll(&mut self) -> Result<Vec<PartitionRecords>, FeedError> {
        let result = match self.take_session().await {
            Ok(mut session) => {
                let polled = self.poll_once(&mut session).await;
                polled.map(|records| (session, records))
            }
            Err(error) => Err(error),
        };
        self.ended(result)
    }

    async fn commit(&mut self, offsets: &[OffsetCommit]) -> Result<(), FeedError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let result = match self.take_session().await {
            Ok(mut session) => session.commit(offsets).await.map(|()| (session, ())),
            Err(error) => Err(error),
        };
        self.ended(result)
    }

    async fn committed(&mut self) -> Result<Vec<OffsetCommit>, FeedError> {
        let result = match self.take_session().await {
            Ok(mut session) => {
                let partitions = session.partitions();
                let committed = session.committed(&partitions).await;
                committed.map(|committed| (session, committed))
            }
            Err(error) => Err(error),
        };
        self.ended(result)
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        if let Some(session) = &mut self.session {
            session.forget(partition);
        }
        self.positions.insert(partition, offset);
        self.moved.remove(&partition);
        self.held.remove(&partition);
    }

    fn hold(&mut self, partition: i32, offset: i64, pause: Duration) {
        self.seek(partition, offset);
        self.held.insert(partition, Instant::now() + pause);
    }

    fn counters(&self) -> Snapshot {
        self.counters.snapshot()
    }
}
