//! What the machines put out, what the ledger makes of it, and what arrives.

use super::*;

impl World {
    pub(super) fn perform(&mut self, n: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Propose(mut act) => {
                    if let Some(lie) = &self.lie {
                        (lie.proposing)(&mut act);
                    }
                    self.proposals.push((n, act));
                }
                Output::SendTrain {
                    to,
                    round,
                    model,
                    parameters,
                } => {
                    assert!(round <= self.last.next(), "FEDERATION-4");
                    assert!(
                        round <= self.last || self.open == Some(round),
                        "FEDERATION-4: round {round}"
                    );
                    self.mail.push(Mail(
                        n,
                        number(&to),
                        Frame::Train {
                            round,
                            model,
                            parameters,
                        },
                    ));
                }
                Output::SendSecure { to, message } => {
                    let frame = Frame::Secure(Box::new(message));
                    self.mail.push(Mail(n, number(&to), frame));
                }
                Output::NeedModel(digest) => {
                    let found = self
                        .nodes
                        .iter()
                        .find_map(|node| node.models.get(&digest).cloned());
                    self.feed(
                        n,
                        match found {
                            Some(parameters) => Input::ModelReady { digest, parameters },
                            None => Input::ModelUnavailable { digest },
                        },
                    );
                }
                Output::StageModel {
                    round,
                    digest,
                    parameters,
                } => {
                    self.nodes[n].models.insert(digest, Arc::clone(&parameters));
                    self.models.insert(digest, Arc::clone(&parameters));
                    for to in (0..self.nodes.len()).filter(|to| *to != n) {
                        let parameters = Arc::clone(&parameters);
                        self.mail.push(Mail(
                            n,
                            to,
                            Frame::Model {
                                round,
                                model: digest,
                                parameters,
                            },
                        ));
                    }
                }
                Output::PublishModel { round, digest, .. } => {
                    assert_eq!(self.published.get(&round), Some(&digest), "FEDERATION-1");
                }
                Output::Note(_) => {}
            }
        }
    }

    /// The ledger's fold, in short.
    pub(super) fn commit(&mut self, i: usize) {
        if i >= self.proposals.len() {
            return;
        }
        let (by, act) = self.proposals.remove(i);
        match &act {
            Act::RoundOpened { round, model, .. }
                if self.open.is_none() && *round == self.last.next() =>
            {
                self.starts.insert(*round, *model);
                if let Some(bases) = &mut self.bases {
                    bases.opened(*model);
                }
                if let Some(variates) = &mut self.variates {
                    variates.opened(*round, *model);
                }
                self.open = Some(*round);
            }
            Act::RoundClosed {
                round,
                model,
                participants,
                examples: sum,
                ..
            }
            | Act::BufferedRoundClosed {
                round,
                model,
                participants,
                examples: sum,
                ..
            } if self.open == Some(*round) => {
                let distinct: BTreeSet<_> = participants.iter().collect();
                assert_eq!(distinct.len(), participants.len(), "FEDERATION-2");
                let weight = |node: &&NodeId| match self.mode.noise() {
                    Some(_) => 1,
                    None if self.mode.is_secure() && self.variates.is_some() => 1,
                    None => told(number(node)),
                };
                let expected: u64 = distinct.iter().map(weight).sum();
                assert_eq!(*sum, expected, "FEDERATION-2");
                if self.mode.noise().is_some() {
                    let charged = self.charged.get(round).into_iter().flatten();
                    assert!(charged.eq(distinct), "FEDERATION-8: round {round}");
                }
                let least = match self.mode {
                    Mode::Plain => 2,
                    Mode::Secure | Mode::Private | Mode::CentrallyPrivate => {
                        self.nodes.len() * 2 / 3 + 1
                    }
                    // The median of one liar among three means.
                    Mode::Groups => GROUPED_NODES,
                };
                assert!(participants.len() >= least, "the minimum cohort");
                self.check_sum(*round, *model, participants);
                let ages = match &act {
                    Act::BufferedRoundClosed { ages, .. } => Some(ages.as_slice()),
                    _ => None,
                };
                assert_eq!(ages.is_some(), self.bases.is_some(), "FEDERATION-13");
                self.check_buffer((*round, *model), participants, ages.unwrap_or_default());
                if let Some(variates) = &mut self.variates {
                    variates.closed(*round, (*model, &self.models[model]), participants);
                }
                assert_eq!(self.published.insert(*round, *model), None, "FEDERATION-1");
                (self.open, self.last, self.model) = (None, *round, Some(*model));
                self.closed += 1;
            }
            Act::RoundAbandoned { round, .. } if self.open == Some(*round) => {
                (self.open, self.last) = (None, *round);
                if let Some(variates) = &mut self.variates {
                    variates.lineage.abandoned(*round);
                }
            }
            Act::VariatesReset { .. } => {
                if let Some(variates) = &mut self.variates {
                    variates.lineage.disturbed();
                }
            }
            Act::PrivacySpent {
                round,
                participants,
                noise_milli,
                ..
            } if self.open == Some(*round) && !self.charged.contains_key(round) => {
                self.spent.charge(participants, *noise_milli);
                let charged = participants.iter().cloned().collect();
                self.charged.insert(*round, charged);
            }
            _ => return,
        }
        self.ledger.push((by, act));
    }

    pub(super) fn deliver(&mut self, n: usize) -> bool {
        let Some((by, act)) = self.ledger.get(self.nodes[n].cursor).cloned() else {
            return false;
        };
        let terms = self.mode.terms();
        let entry = Digest::of(&self.nodes[n].cursor.to_le_bytes());
        let members = self.nodes.len();
        self.nodes[n].cursor += 1;
        match act {
            Act::RoundOpened {
                round,
                model,
                cohort,
            } => {
                let member = |node: &NodeId| Member {
                    node: node.clone(),
                    identity: identity(number(node)).verifying_key().to_bytes(),
                };
                let secure = self.mode.is_secure().then(|| {
                    Arc::new(SecureRound {
                        cluster: "test".to_owned(),
                        aggregator: name(by),
                        entry,
                        members: cohort.iter().map(member).collect(),
                        missed: self.nodes[n].catching_up,
                        terms,
                        objection: self.objection.clone(),
                    })
                });
                let carried = match &self.variates {
                    None => Carried::AsTheModel,
                    Some(_) => Carried::Joined(Standing {
                        weights: WEIGHTS,
                        members,
                        begin: self.nodes[n].lineage.opened(round, model),
                    }),
                };
                let opened = ParticipantInput::Opened {
                    round,
                    model,
                    cohort: cohort.clone(),
                    secure: secure.clone(),
                    codec: self.codec,
                    carried,
                };
                self.feed_participant(n, opened);
                self.feed(
                    n,
                    Input::Opened {
                        round,
                        model,
                        cohort,
                        by: name(by),
                        secure,
                        carried,
                        ages: true,
                    },
                );
            }
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
                let counted = participants.contains(&name(n));
                self.nodes[n].lineage.closed(round, model, counted);
                self.feed_participant(n, ParticipantInput::Ended { round, counted });
                self.feed(
                    n,
                    Input::Closed {
                        round,
                        model,
                        participants,
                    },
                );
            }
            Act::RoundAbandoned { round, .. } => {
                let counted = false;
                self.nodes[n].lineage.abandoned(round);
                self.feed_participant(n, ParticipantInput::Ended { round, counted });
                self.feed(n, Input::Abandoned { round });
            }
            Act::PrivacySpent {
                round,
                participants,
                noise_milli,
                bound,
                ..
            } => {
                let charge = Charge {
                    participants,
                    noise_milli,
                    bound,
                    overdraws: None,
                };
                self.feed_participant(n, ParticipantInput::Charged { round, charge });
                let (round, spent) = (Some(round), self.spent.clone());
                self.feed(n, Input::Spent { round, spent });
            }
            Act::VariatesReset { .. } => self.nodes[n].lineage.disturbed(),
            other => panic!("not an act of a round: {other:?}"),
        }
        true
    }

    /// One piece of mail arrives; `keep` makes it arrive again later.
    pub(super) fn arrive(&mut self, i: usize, keep: bool) {
        if i >= self.mail.len() {
            return;
        }
        let Mail(from, to, mut frame) = if keep {
            self.mail[i].clone()
        } else {
            self.mail.swap_remove(i)
        };
        if let Some(lie) = self.lie.as_mut().filter(|_| from == self.leader) {
            let mut more = Vec::new();
            (lie.telling)(to, &mut frame, &mut more);
            self.receive(from, to, frame);
            more.into_iter()
                .for_each(|frame| self.receive(from, to, frame));
            return;
        }
        self.receive(from, to, frame);
    }

    pub(super) fn receive(&mut self, from: usize, to: usize, frame: Frame) {
        match frame {
            Frame::Train {
                round,
                model,
                parameters,
            } => {
                let from = name(from);
                self.feed_participant(
                    to,
                    ParticipantInput::Train {
                        from,
                        round,
                        model,
                        parameters,
                    },
                );
            }
            frame @ (Frame::Update { .. } | Frame::Packed { .. } | Frame::Decline { .. }) => {
                self.feed_from(from, to, frame);
            }
            Frame::Checkpoint { .. } => unreachable!("no round sends one"),
            Frame::Secure(message) if message.step.is_participants() => {
                self.feed_from(from, to, Frame::Secure(message));
            }
            Frame::Secure(message) => {
                let (from, message) = (name(from), *message);
                self.feed_participant(to, ParticipantInput::Secure { from, message });
            }
            Frame::Model {
                model, parameters, ..
            } => {
                self.nodes[to].models.insert(model, parameters);
            }
        }
    }

    pub(super) fn feed_from(&mut self, from: usize, to: usize, frame: Frame) {
        let input = Input::from_frame(&name(from), frame).expect("each speaks for itself");
        self.feed(to, input);
    }

    /// The toy learner pulls each parameter half-way towards the node's own number.
    pub(super) fn train(&mut self, n: usize, works: bool) {
        if self.nodes[n].training.is_empty() || self.slow.contains(&n) {
            return;
        }
        let Training {
            round,
            model,
            parameters,
            correction,
        } = self.nodes[n].training.remove(0);
        let goal = n as f32;
        let delta: Vec<f32> = match (self.liars.contains(&n), &correction) {
            (true, _) => vec![60.0; parameters.len()],
            (false, None) => parameters.iter().map(|p| (goal - p) / 2.0).collect(),
            // The same as one step of gradient descent, of size 1.
            (false, Some(correction)) => {
                let pairs = parameters.iter().zip(&**correction);
                pairs.map(|(p, c)| (goal - p) / 2.0 - c).collect()
            }
        };
        let taken = correction.map(|_| 1.0);
        self.deltas.insert((round, n), delta.clone());
        if works && self.bases.is_some() {
            let made = self.outstanding.entry(n).or_default();
            made.push((model, delta.clone()));
        }
        let loss = parameters.iter().map(|p| f64::from(goal - p).powi(2)).sum();
        self.feed_participant(
            n,
            if works {
                ParticipantInput::Trained {
                    round,
                    delta,
                    examples: examples(n),
                    loss,
                    taken,
                }
            } else {
                ParticipantInput::TrainingFailed {
                    round,
                    reason: "out of memory".to_owned(),
                }
            },
        );
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        for n in 0..self.nodes.len() {
            while self.nodes[n]
                .aggregator
                .deadline()
                .is_some_and(|due| due <= self.now)
            {
                let mut out = Vec::new();
                self.nodes[n].aggregator.tick(self.now, &mut out);
                self.perform(n, out);
            }
        }
    }
}
