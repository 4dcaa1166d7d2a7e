//! What is looked at on the way: the invariants of [`super`] that go by content.

use super::*;

impl World {
    pub(super) fn look_at(&mut self, n: usize, frame: &Frame) {
        match frame {
            Frame::Update { round, .. } | Frame::Packed { round, .. } => {
                assert!(!self.mode.is_secure(), "FEDERATION-5: n{n}, round {round}");
            }
            Frame::Secure(message) => {
                let SecureStep::Reveal(shares) = &message.step else {
                    return;
                };
                let round = self.nodes[n].trained.last().copied().unwrap_or_default();
                assert!(
                    self.mode.noise().is_none() || self.charged.contains_key(&round),
                    "FEDERATION-8: n{n} reveals in round {round}"
                );
                for share in shares {
                    let key = (message.context, n, share.owner);
                    let before = self.revealed.insert(key, share.secret);
                    assert!(
                        before.is_none_or(|before| before == share.secret),
                        "FEDERATION-6: n{n} of member {}",
                        share.owner
                    );
                }
            }
            Frame::Train { .. }
            | Frame::Decline { .. }
            | Frame::Model { .. }
            | Frame::Checkpoint { .. } => {}
        }
    }

    /// Against `FEDERATION-5`: by FedAvg over what the participants' training made.
    pub(super) fn check_sum(&self, round: Round, model: Digest, participants: &[NodeId]) {
        // What is left out now comes later, and goes by no single round; variates and buffers are looked at by
        // themselves.
        if self.codec.is_some() || self.variates.is_some() || self.bases.is_some() {
            return;
        }
        let made = &self.models[&model];
        let base = &self.models[&self.starts[&round]];
        let parts: Vec<(&Vec<f32>, u64)> = participants
            .iter()
            .map(|node| (&self.deltas[&(round, number(node))], told(number(node))))
            .collect();
        let parts: Vec<_> = match self.mode {
            Mode::Plain | Mode::Secure => parts,
            Mode::Private | Mode::CentrallyPrivate => {
                parts.into_iter().map(|(delta, _)| (delta, 1)).collect()
            }
            // Between the means of groups that only their members know.
            Mode::Groups => return,
        };
        // z·C/n is 0.032 for four; with the parts of all five instead of three honest ones 0.042.
        let bound = if self.mode.noise().is_some() {
            0.3
        } else {
            1e-6
        };
        let total: u64 = parts.iter().map(|(_, weight)| weight).sum();
        for (at, found) in made.iter().enumerate() {
            let sum: f64 = parts
                .iter()
                .map(|(delta, weight)| f64::from(delta[at]) * *weight as f64)
                .sum();
            let expected = f64::from(base[at]) + sum / total as f64;
            assert!(
                // An f32 has seven digits.
                (f64::from(*found) - expected).abs() < bound * expected.abs().max(1.0),
                "FEDERATION-5: round {round}: {found} instead of {expected}"
            );
        }
    }

    /// Against `FEDERATION-13`: some choice of what may count yet, one of each participant and of the age that the ledger
    /// has, makes the model.
    pub(super) fn check_buffer(
        &mut self,
        (round, model): (Round, Digest),
        participants: &[NodeId],
        ages: &[u32],
    ) {
        let Some(bases) = &self.bases else {
            return;
        };
        let base = &self.models[&self.starts[&round]];
        let start: Vec<f64> = base.iter().map(|w| f64::from(*w)).collect();
        let share = (participants.len() as f64).recip();
        let mut made = vec![start];
        for (n, told) in participants.iter().map(number).zip(ages) {
            // None of them may count again.
            let mine = self.outstanding.remove(&n).unwrap_or_default();
            made = made
                .iter()
                .flat_map(|so_far| {
                    mine.iter().filter_map(|(base, delta)| {
                        let age = bases.age(*base).filter(|age| *age == *told as usize)?;
                        let weight = share * fedbuff::weight(age);
                        let pairs = so_far.iter().zip(delta);
                        Some(pairs.map(|(w, d)| w + weight * f64::from(*d)).collect())
                    })
                })
                .collect();
        }
        let found = &self.models[&model];
        let fits = |made: &Vec<f64>| {
            let mut pairs = made.iter().zip(&**found);
            pairs.all(|(made, found)| (made - f64::from(*found)).abs() < 1e-4)
        };
        assert!(made.iter().any(fits), "FEDERATION-13: round {round}");
    }

    pub(super) fn keep(&mut self, n: usize, remembered: Remembered) {
        let (Remembered::Variate(memory), Some(variates)) = (remembered, &mut self.variates) else {
            return;
        };
        if let Some(next) = &memory.next {
            let key = (next.round, n);
            let again = variates.next.insert(key, next.numbers.clone());
            assert_eq!(
                again, None,
                "FEDERATION-12: n{n} answers {} twice",
                next.round
            );
        }
        variates.disks.insert(n, memory);
    }
}

impl Variates {
    pub(in crate::aggregator::tests) fn new(nodes: usize) -> Self {
        Self {
            disks: BTreeMap::new(),
            lost: BTreeSet::new(),
            lineage: Lineage::default(),
            standing: vec![vec![0.0; WEIGHTS]; nodes],
            next: BTreeMap::new(),
            fresh: true,
            anew: Vec::new(),
        }
    }

    pub(super) fn opened(&mut self, round: Round, model: Digest) {
        self.fresh = self.lineage.opened(round, model).fresh;
        if self.fresh {
            self.anew.push(round);
        }
    }

    /// Against `FEDERATION-12`.
    pub(super) fn closed(
        &mut self,
        round: Round,
        (digest, model): (Digest, &[f32]),
        participants: &[NodeId],
    ) {
        self.lineage.closed(round, digest, true);
        if self.fresh {
            self.standing.iter_mut().for_each(|own| own.fill(0.0));
        }
        for n in participants.iter().map(number) {
            if let Some(next) = self.next.remove(&(round, n)) {
                self.standing[n] = next;
            }
        }
        let (_, server) = scaffold::split(model).expect("weights and variate");
        for (at, found) in server.iter().enumerate() {
            let sum: f64 = self.standing.iter().map(|own| f64::from(own[at])).sum();
            let expected = sum / self.standing.len() as f64;
            assert!(
                !self.lost.is_empty() || (f64::from(*found) - expected).abs() < 1e-4,
                "FEDERATION-12: round {round}: {found} instead of {expected}"
            );
        }
    }
}
