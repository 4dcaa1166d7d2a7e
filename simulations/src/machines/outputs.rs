//! What the nodes' shells do with the machines' outputs, and the invariants on the way.

use super::Violation;
use super::invariants as rule;
use super::network::Event;
use super::node::{Node, Training, name, number};
use super::world::World;
use custody::{OpenError, Place};
use federation::{ParticipantInput, ParticipantOutput};
use machine::Machine;
use std::sync::Arc;
use wire::{Act, Digest, Frame, ProposalId, Record, SecureStep, UnixMillis};

type Checked = Result<(), Violation>;

impl World {
    pub(crate) fn feed_aggregator(&mut self, n: usize, input: federation::Input) -> Checked {
        let mut out = Vec::new();
        self.nodes[n].aggregator.handle(self.now, input, &mut out);
        self.perform_aggregator(n, out)
    }

    pub(crate) fn feed_participant(&mut self, n: usize, input: ParticipantInput) -> Checked {
        let mut out = Vec::new();
        self.nodes[n].participant.handle(self.now, input, &mut out);
        self.perform_participant(n, out)
    }

    pub(crate) fn feed_custodian(&mut self, n: usize, input: custody::Input) -> Checked {
        let mut out = Vec::new();
        self.nodes[n].custodian.handle(self.now, input, &mut out);
        self.perform_custodian(n, out)
    }

    pub(crate) fn tick(&mut self, n: usize) -> Checked {
        let now = self.now;
        let node = &mut self.nodes[n];
        let (mut aggregator, mut participant, mut custodian) = (Vec::new(), Vec::new(), Vec::new());
        if node.aggregator.deadline().is_some_and(|due| due <= now) {
            node.aggregator.tick(now, &mut aggregator);
        }
        if node.participant.deadline().is_some_and(|due| due <= now) {
            node.participant.tick(now, &mut participant);
        }
        if node.custodian.deadline().is_some_and(|due| due <= now) {
            node.custodian.tick(now, &mut custodian);
        }
        self.perform_aggregator(n, aggregator)?;
        self.perform_participant(n, participant)?;
        self.perform_custodian(n, custodian)
    }

    fn perform_aggregator(&mut self, n: usize, out: Vec<federation::Output>) -> Checked {
        use federation::Output;
        for output in out {
            match output {
                Output::Propose(act) => self.propose(n, act),
                Output::SendTrain {
                    to,
                    round,
                    model,
                    parameters,
                } => {
                    let rounds = &self.nodes[n].replica.rounds;
                    let open = rounds.open.as_ref().map(|open| open.round);
                    rule::OPEN_FIRST.check(open == Some(round), n, || {
                        format!("round {round} while {open:?} is open")
                    })?;
                    self.send(
                        n,
                        number(&to),
                        Frame::Train {
                            round,
                            model,
                            parameters,
                        },
                    );
                }
                Output::SendSecure { to, message } => {
                    self.send(n, number(&to), Frame::Secure(Box::new(message)));
                }
                Output::NeedModel(digest) => self.look_for_model(n, digest),
                Output::StageModel {
                    round,
                    digest,
                    parameters,
                } => {
                    self.nodes[n].models.insert(digest, Arc::clone(&parameters));
                    self.vectors.insert(digest, Arc::clone(&parameters));
                    self.spread_model(n, round, digest, &parameters);
                }
                Output::PublishModel {
                    round,
                    digest,
                    parameters,
                } => {
                    let closed = self.models.get(&round).copied();
                    rule::ONE_MODEL.check(closed == Some(digest), n, || {
                        format!("round {round} closed with {closed:?}, published {digest:?}")
                    })?;
                    self.spread_model(n, round, digest, &parameters);
                }
                Output::Note(note) => self.log(&format!("n{n} aggregator: {note}")),
            }
        }
        Ok(())
    }

    fn perform_participant(&mut self, n: usize, out: Vec<ParticipantOutput>) -> Checked {
        for output in out {
            match output {
                ParticipantOutput::StartTraining {
                    round,
                    model,
                    parameters,
                    correction,
                } => {
                    if let Some(correction) = &correction {
                        self.corrects(n, round, correction)?;
                    }
                    let fresh = self.nodes[n].trained.insert(round);
                    rule::TRAINED_ONCE.check(fresh, n, || format!("round {round}"))?;
                    let training = Training {
                        model,
                        parameters,
                        correction,
                    };
                    self.nodes[n].training.insert(round, training);
                    let (least, most) = self.settings.training_ms(n);
                    let when = self.dice.after(self.now, least, most);
                    let life = self.nodes[n].life;
                    self.queue.at(
                        when,
                        Event::Trained {
                            node: n,
                            life,
                            round,
                        },
                    );
                }
                ParticipantOutput::CancelTraining { round } => {
                    self.nodes[n].training.remove(&round);
                }
                ParticipantOutput::Keep(remembered) => self.keeps(n, remembered)?,
                ParticipantOutput::Propose(act @ Act::VariatesReset { .. }) => {
                    self.loses(n, act)?;
                }
                ParticipantOutput::Propose(act) => {
                    rule::HONEST.check(false, n, || format!("{act:?}"))?
                }
                ParticipantOutput::Send { to, frame } => {
                    match &frame {
                        Frame::Secure(message) if matches!(message.step, SecureStep::Reveal(_)) => {
                            self.reveals(n)?;
                        }
                        Frame::Packed { round, delta, .. } => {
                            self.nodes[n].packs(n, *round, delta)?;
                        }
                        _ => {}
                    }
                    self.send(n, number(&to), frame);
                }
                ParticipantOutput::Note(note) => self.log(&format!("n{n} participant: {note}")),
            }
        }
        Ok(())
    }

    fn perform_custodian(&mut self, n: usize, out: Vec<custody::Output>) -> Checked {
        use custody::Output;
        for output in out {
            match output {
                Output::Propose(act) => self.propose(n, act),
                Output::AskGroupInfo => self.ask_group_info(n),
                Output::Serve(info) => self.nodes[n].serves = info,
                Output::EpochStarted(secrets) => {
                    let epoch = secrets.epoch;
                    let node = &mut self.nodes[n];
                    let last = node.started.last().map(|secrets| secrets.epoch);
                    rule::EPOCHS_GROW.check(last.is_none_or(|last| last < epoch), n, || {
                        format!("{epoch} after {last:?}")
                    })?;
                    let ledger = node.replica.keys.epoch;
                    rule::LEDGER_FIRST.check(epoch == ledger, n, || {
                        format!("{epoch} started, its replica is at {ledger}")
                    })?;
                    node.started.push(secrets.clone());
                    node.keyring.start(self.now, secrets.clone());
                    let first = self.secrets.entry(epoch).or_insert_with(|| secrets.clone());
                    rule::SECRETS_AGREE
                        .check(*first == secrets, n, || format!("key epoch {epoch}"))?;
                    self.log(&format!("n{n} starts key epoch {epoch}"));
                    for (device, bytes) in self.nodes[n].parking.release(epoch) {
                        self.open(n, device, &bytes)?;
                    }
                }
                Output::EpochRetired(epoch) => self.log(&format!("n{n} retires key epoch {epoch}")),
                Output::Removed => self.log(&format!("n{n} is no member any more")),
                Output::Note(note) => self.log(&format!("n{n} custodian: {note}")),
            }
        }
        Ok(())
    }

    pub(crate) fn propose(&mut self, n: usize, act: Act) {
        let record = Arc::new(Record {
            id: ProposalId(self.dice.bytes()),
            proposer: name(n),
            time: UnixMillis(self.now.as_nanos() / 1_000_000),
            act,
        });
        let life = self.nodes[n].life;
        let copies = if self.dice.percent(5) { 2 } else { 1 };
        for _ in 0..copies {
            let when = self.dice.after(self.now, 1, 30);
            self.queue.at(
                when,
                Event::Propose {
                    from: n,
                    record: Arc::clone(&record),
                },
            );
        }
        let when = self.dice.after(self.now, 1_000, 2_500);
        self.queue.at(
            when,
            Event::Unknown {
                node: n,
                life,
                record,
            },
        );
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, frame: Frame) {
        let frame = Arc::new(frame);
        if !self
            .nodes
            .get(to)
            .is_some_and(|_| self.cuts.linked(from, to))
        {
            return;
        }
        if self.faulty() && self.dice.percent(6) {
            return;
        }
        let copies = if self.faulty() && self.dice.percent(6) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let slow = if self.faulty() && self.dice.percent(5) {
                6_000
            } else {
                40
            };
            let when = self.dice.after(self.now, 1, slow);
            self.queue.at(
                when,
                Event::Frame {
                    from,
                    to,
                    frame: Arc::clone(&frame),
                },
            );
        }
    }

    fn spread_model(
        &mut self,
        n: usize,
        round: wire::Round,
        model: Digest,
        parameters: &Arc<Vec<f32>>,
    ) {
        for to in (0..self.nodes.len()).filter(|to| *to != n) {
            self.send(
                n,
                to,
                Frame::Model {
                    round,
                    model,
                    parameters: Arc::clone(parameters),
                },
            );
        }
    }

    fn look_for_model(&mut self, n: usize, digest: Digest) {
        let reach = |peer: &usize| self.nodes[*peer].up && self.cuts.linked(n, *peer);
        let peers: Vec<_> = (0..self.nodes.len()).filter(reach).collect();
        let found = peers
            .iter()
            .find_map(|peer| self.nodes[*peer].models.get(&digest).cloned());
        let when = self.dice.after(self.now, 2, 100);
        let life = self.nodes[n].life;
        self.queue.at(
            when,
            Event::ModelAnswer {
                node: n,
                life,
                digest,
                found,
            },
        );
    }

    fn ask_group_info(&mut self, n: usize) {
        let life = self.nodes[n].life;
        for peer in (0..self.nodes.len()).filter(|peer| *peer != n) {
            let lost = self.faulty() && self.dice.percent(20);
            if !lost && self.nodes[peer].up && self.cuts.linked(n, peer) {
                // Read now, told later: by then it may be outdated.
                let answer = self.nodes[peer].serves.clone();
                let when = self.dice.after(self.now, 2, 120);
                self.queue.at(
                    when,
                    Event::GroupInfo {
                        from: peer,
                        node: n,
                        life,
                        answer,
                    },
                );
            }
        }
        let when = self.dice.after(self.now, 120, 140);
        self.queue.at(when, Event::AnswersDone { node: n, life });
    }

    /// A device reports at `n`: sealed, and on its way to everybody.
    pub(crate) fn reading(&mut self, n: usize) -> Checked {
        let device = self.dice.index(4);
        let plaintext: [u8; 24] = self.dice.bytes();
        let device_name = device_name(device);
        let Node {
            sealer, keyring, ..
        } = &mut self.nodes[n];
        let Ok(bytes) = sealer.seal(keyring.current(), &place(&device_name), &plaintext) else {
            return Ok(());
        };
        self.sealed.insert(Digest::of(&bytes), plaintext.to_vec());
        let bytes = Arc::new(bytes);
        for to in 0..self.nodes.len() {
            if !self.cuts.linked(n, to) {
                continue;
            }
            let copies = if self.dice.percent(10) { 2 } else { 1 };
            for _ in 0..copies {
                let when = self.dice.after(self.now, 1, 20);
                self.queue.at(
                    when,
                    Event::Payload {
                        to,
                        device,
                        bytes: Arc::clone(&bytes),
                    },
                );
            }
        }
        Ok(())
    }

    pub(crate) fn open(&mut self, n: usize, device: usize, bytes: &Arc<Vec<u8>>) -> Checked {
        let now = self.now;
        let node = &mut self.nodes[n];
        let device_name = device_name(device);
        self.counts.refused += node.parking.give_up(now).len() as u64;
        match node.keyring.open(now, &place(&device_name), bytes) {
            Ok(opened) => {
                let digest = Digest::of(bytes);
                let fresh = node.opened.insert(digest);
                let genuine = self.sealed.get(&digest) == Some(&opened.plaintext);
                self.counts.opened += 1;
                rule::OPENED_ONCE.check(fresh && genuine, n, || {
                    format!("payload {} of {}", opened.sequence, opened.writer)
                })
            }
            Err(OpenError::UnknownEpoch { epoch, newest }) if epoch > newest => {
                let displaced = node.parking.park(now, epoch, (device, Arc::clone(bytes)));
                self.counts.refused += u64::from(displaced.is_some());
                Ok(())
            }
            Err(
                OpenError::UnknownEpoch { .. }
                | OpenError::Retired { .. }
                | OpenError::Replayed { .. }
                | OpenError::Tampered { .. }
                | OpenError::Unsigned { .. }
                | OpenError::Forged { .. }
                | OpenError::Crowded { .. }
                | OpenError::Malformed { .. },
            ) => {
                self.counts.refused += 1;
                Ok(())
            }
        }
    }
}

fn device_name(device: usize) -> String {
    format!("ups-{device}")
}

fn place(device: &str) -> Place<'_> {
    Place {
        topic: "readings",
        partition: "room-1",
        key: device,
    }
}
