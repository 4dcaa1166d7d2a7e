//! What a node hands over as a participant, and what of it the node keeps for later, worked out a second time.

use crate::lockstep::guest::see;
use crate::lockstep::invariants::{LEFT_OUT_ONCE, OWN_VARIATE, shadow};
use crate::lockstep::protocol::Seen;
use crate::lockstep::seen::Variate;
use config::Learning;
use federation::Remembered;
use federation::compression::decode;
use federation::memory::Memory;
use federation::scaffold;
use learn::Shape;
use ledger::{Applied, RoundOutcome};
use node::effects::{Contribution, Sent};
use node::probe::Probe;
use node::remembered::Shelf;
use replica::Subscription;
use std::collections::BTreeMap;
use wire::{Act, Digest, NodeId, Round};

/// Secure rounds whose number is remembered, by what their messages are known by: repeated ones come within a round's time.
const ROUNDS_KEPT: usize = 8;

/// What it takes to work that out.
pub(super) struct Shown {
    pub(super) learning: Learning,
    /// What this life found on its disk.
    pub(super) found: Vec<Remembered>,
    pub(super) disk: Shelf,
}

/// What this node tells about the rounds that it takes part in.
pub(super) async fn show(probe: Probe, shown: Shown) {
    let Shown {
        learning,
        found,
        disk,
    } = shown;
    let weights = Shape::default().parameter_count();
    let mut contributions = probe.contributions();
    let mut masked: BTreeMap<Round, Digest> = BTreeMap::new();
    let mut later = Later::new(&probe, learning, found);
    while let Ok(contribution) = contributions.recv().await {
        see(match contribution {
            Contribution::Update {
                round,
                examples,
                delta,
                sent,
            } => {
                let joined = scaffold::split(&delta).filter(|(head, _)| head.len() == weights);
                let variate = joined.and_then(|(_, moved)| variate(&disk, round, moved));
                let moves = match sent {
                    Sent::Whole => shadow(joined.map_or(&delta[..], |(head, _)| head)),
                    Sent::Masked(context) => {
                        masked.insert(round, context);
                        if masked.len() > ROUNDS_KEPT {
                            masked.pop_first();
                        }
                        shadow(&delta)
                    }
                    Sent::Packed(bytes) => match later.sent(round, &delta, &bytes).await {
                        Ok(decoded) => shadow(&decoded),
                        Err(detail) => {
                            see(Seen::Broken {
                                id: LEFT_OUT_ONCE.id.to_owned(),
                                detail,
                            });
                            None
                        }
                    },
                };
                Seen::Update {
                    round: round.0,
                    examples,
                    moves,
                    variate,
                }
            }
            Contribution::Shares { both, context } => {
                let of = masked.iter().find(|(_, known)| **known == context);
                let uncharged = of.map(|(round, _)| *round);
                let uncharged = uncharged.filter(|round| !paid(&probe, *round));
                let uncharged = uncharged.map(|round| round.0);
                Seen::Shares { both, uncharged }
            }
        });
    }
}

/// What an update does to the node's control variate: what it will be is on the disk before the update leaves.
fn variate(disk: &Shelf, round: Round, moved: &[f32]) -> Option<Variate> {
    let of = disk
        .load()
        .into_iter()
        .find_map(|remembered| match remembered {
            Remembered::Variate(memory) => memory.next.filter(|next| next.round == round),
            Remembered::LeftOut(_) => None,
        });
    let (next, moved) = match (of, shadow(moved)?) {
        (Some(next), moved) => (shadow(&next.numbers)?, moved),
        (None, 0) => return Some(Variate::Stays),
        (None, _) => {
            see(Seen::Broken {
                id: OWN_VARIATE.id.to_owned(),
                detail: format!(
                    "the update of round {round} leaves, and its variate is not on the disk"
                ),
            });
            return None;
        }
    };
    let own = next - moved;
    Some(Variate::Moves { own, next })
}

/// Whether this node's ledger has the cost of a round, or the round is not private.
fn paid(probe: &Probe, round: Round) -> bool {
    let state = probe.ledger().state();
    if state.rounds.declared.is_empty() {
        return true;
    }
    let ended = |ended: &&ledger::EndedRound| ended.round == round;
    match &state.rounds.open {
        Some(open) if open.round == round => open.charged.is_some(),
        // What came of it is known: this node was told of the charge before.
        Some(_) | None => match state.rounds.history.iter().rev().find(ended) {
            Some(ended) => match &ended.outcome {
                RoundOutcome::Closed { privacy, .. } => privacy.is_some(),
                RoundOutcome::Abandoned(_) => true,
            },
            None => false,
        },
    }
}

/// What smaller updates have left out so far, beginning with what this life found on its disk.
struct Later {
    me: NodeId,
    learning: Learning,
    log: Subscription,
    /// The last round that this has read of the ledger.
    opened: Round,
    left_out: Vec<f32>,
    /// The last update: of which round, how it left, and what it leaves out if it counts.
    last: Option<(Round, Vec<u8>, Vec<f32>)>,
}

impl Later {
    fn new(probe: &Probe, learning: Learning, shelf: Vec<Remembered>) -> Self {
        let found = shelf.into_iter().find_map(|remembered| match remembered {
            Remembered::LeftOut(memory) => Some(memory),
            Remembered::Variate(_) => None,
        });
        let Memory { kept, next } = found.unwrap_or_default();
        Self {
            me: probe.me().clone(),
            learning,
            log: probe.ledger().subscribe(0),
            opened: Round(0),
            left_out: kept.map(|kept| kept.numbers).unwrap_or_default(),
            // Its bytes are not known any more: a node that has answered a round declines it in its next life.
            last: next.map(|next| (next.round, Vec::new(), next.numbers)),
        }
    }

    /// An update leaves as it has to: with all that former ones have left out, and that no one since has brought. Gives what
    /// its bytes stand for.
    async fn sent(&mut self, round: Round, made: &[f32], bytes: &[u8]) -> Result<Vec<f32>, String> {
        self.read_until(round).await?;
        let decoded = decode(bytes, made.len())
            .map_err(|error| format!("the update of round {round} does not unpack: {error}"))?;
        if let Some((of, before, _)) = &self.last
            && *of == round
        {
            return match before == bytes {
                true => Ok(decoded),
                false => Err(format!("two different updates for round {round}")),
            };
        }
        if self.left_out.len() != made.len() {
            self.left_out = vec![0.0; made.len()];
        }
        let due: Vec<f32> = made
            .iter()
            .zip(&self.left_out)
            .map(|(made, left)| made + left)
            .collect();
        let codec = self.learning.codec(made.len());
        let codec = codec.ok_or("an update is packed, and no codec is configured")?;
        let expected = codec
            .encode(&due, round.0)
            .map_err(|error| error.to_string())?;
        if expected != bytes {
            return Err(format!(
                "the update of round {round} is another one than training and what is left out make"
            ));
        }
        let next = due.iter().zip(&decoded).map(|(due, sent)| due - sent);
        self.last = Some((round, bytes.to_vec(), next.collect()));
        Ok(decoded)
    }

    /// The ledger up to the opening of a round that this node knows to be open.
    async fn read_until(&mut self, round: Round) -> Result<(), String> {
        while self.opened < round {
            let committed = self.log.next().await.map_err(|error| error.to_string())?;
            if committed.applied != Applied::Effective {
                continue;
            }
            match &committed.record.act {
                Act::RoundOpened { round, .. } => self.opened = *round,
                Act::RoundClosed {
                    round,
                    participants,
                    ..
                }
                | Act::BufferedRoundClosed {
                    round,
                    participants,
                    ..
                } => {
                    if let Some((_, _, next)) = self.last.take_if(|(of, ..)| of == round)
                        && participants.contains(&self.me)
                    {
                        self.left_out = next;
                    }
                }
                // A roll-back ends the round that is open.
                Act::RoundAbandoned { .. } | Act::ModelRolledBack { .. } => {
                    self.last.take_if(|(of, ..)| *of == self.opened);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
