//! A cohort, its aggregator and no network: each step is driven by the test.

use crate::fedavg::Mean;
use crate::secagg::{Client, Context, Member, Refusal, Server, SumError, Value};
use ed25519_dalek::SigningKey;
use std::sync::Arc;
use wire::secure::{SecureMessage, SecureStep};
use wire::{Digest, NodeId, Round};
use zeroize::Zeroizing;

pub(super) fn name(n: usize) -> NodeId {
    NodeId::new(format!("n{n:04}"))
}

pub(super) fn identity(n: usize) -> Arc<SigningKey> {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(n as u64).to_le_bytes());
    Arc::new(SigningKey::from_bytes(&seed))
}

pub(super) fn members(n: usize) -> Vec<Member> {
    (0..n)
        .map(|n| Member {
            node: name(n),
            identity: identity(n).verifying_key().to_bytes(),
        })
        .collect()
}

pub(super) fn context_of(round: u64, model: &[u8], n: usize, parameters: usize) -> Arc<Context> {
    let entry = Digest::of(&round.to_le_bytes());
    let model = Digest::of(model);
    Arc::new(Context::new("test", Round(round), entry, model, parameters, members(n)).unwrap())
}

/// Randomness of a participant in a round.
pub(super) fn seed(n: usize, round: Round) -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([3; 32]);
    seed[..8].copy_from_slice(&(n as u64).to_le_bytes());
    seed[8..16].copy_from_slice(&round.0.to_le_bytes());
    seed
}

pub(super) fn join(context: &Arc<Context>, n: usize) -> Client {
    let seed = seed(n, context.round());
    Client::join(Arc::clone(context), &name(n), identity(n), Round(0), &seed).unwrap()
}

pub(super) struct Update {
    pub(super) delta: Vec<f32>,
    pub(super) examples: u64,
    pub(super) loss: f64,
}

impl Update {
    pub(super) fn of(n: usize, parameters: usize) -> Self {
        Self {
            delta: (0..parameters)
                .map(|p| ((n * 31 + p * 7) % 97) as f32 / 48.5 - 1.0)
                .collect(),
            examples: 1 + (n as u64 * 37) % 500,
            loss: (n % 13) as f64 / 3.0,
        }
    }

    pub(super) fn value(&self) -> Value<'_> {
        Value {
            delta: &self.delta,
            examples: self.examples,
            loss: self.loss,
        }
    }
}

/// Where a participant falls silent; it does all before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Last {
    Nothing,
    Keys,
    Shares,
    Update,
    Consent,
    Everything,
}

pub(super) struct Cohort {
    pub(super) context: Arc<Context>,
    pub(super) server: Server,
    pub(super) clients: Vec<Client>,
    pub(super) updates: Vec<Update>,
}

impl Cohort {
    pub(super) fn new(n: usize, parameters: usize) -> Self {
        Self::in_context(context_of(1, b"model", n, parameters), n, parameters)
    }

    pub(super) fn in_context(context: Arc<Context>, n: usize, parameters: usize) -> Self {
        Self {
            server: Server::new(Arc::clone(&context)),
            clients: (0..n).map(|n| join(&context, n)).collect(),
            updates: (0..n).map(|n| Update::of(n, parameters)).collect(),
            context,
        }
    }

    /// The messages of `who` go to the server.
    pub(super) fn advertise(&mut self, who: impl Fn(usize) -> bool) {
        for n in (0..self.clients.len()).filter(|n| who(*n)) {
            let message = self.clients[n].advertise().unwrap();
            self.server.hear(&name(n), message).unwrap();
        }
    }

    /// What the server sends, each to be taken by `who`, whose answers go back. Participants work on
    /// two threads, as those of a real cohort work on machines of their own.
    pub(super) fn exchange(&mut self, who: impl Fn(usize) -> bool + Sync) {
        let mut inboxes: Vec<Option<SecureMessage>> = vec![None; self.clients.len()];
        for (to, message) in self.server.advance().unwrap() {
            let n = self.number(&to);
            inboxes[n] = Some(message).filter(|_| who(n));
        }
        let half = self.clients.len() / 2;
        let (few, others) = self.clients.split_at_mut(half);
        let (few_inboxes, other_inboxes) = inboxes.split_at_mut(half);
        let hear = |clients: &mut [Client], inboxes: &mut [Option<SecureMessage>]| {
            let pairs = clients.iter_mut().zip(inboxes);
            pairs
                .map(|(client, inbox)| client.hear(inbox.take()?).unwrap())
                .collect::<Vec<_>>()
        };
        let answers = std::thread::scope(|scope| {
            let first = scope.spawn(|| hear(few, few_inboxes));
            let second = hear(others, other_inboxes);
            first.join().unwrap().into_iter().chain(second)
        });
        for (n, answer) in answers.enumerate() {
            if let Some(answer) = answer {
                self.server.hear(&name(n), answer).unwrap();
            }
        }
    }

    pub(super) fn mask(&mut self, who: impl Fn(usize) -> bool) {
        for n in (0..self.clients.len()).filter(|n| who(*n)) {
            let message = self.clients[n].mask(&self.updates[n].value()).unwrap();
            self.server.hear(&name(n), message).unwrap();
        }
    }

    /// The same with updates that are made where they are masked, one on each of two threads: a hundred large ones are
    /// never there together. Their masked forms are, since a client keeps its own for an aggregator that asks again.
    fn mask_made(&mut self, who: impl Fn(usize) -> bool, parameters: usize) {
        let clients = self.clients.iter_mut().enumerate();
        let mut clients: Vec<_> = clients.filter(|(n, _)| who(*n)).collect();
        for pair in clients.chunks_mut(2) {
            let masked: Vec<_> = std::thread::scope(|scope| {
                let mask = |(n, client): &mut (usize, &mut Client)| {
                    let update = Update::of(*n, parameters);
                    (*n, client.mask(&update.value()).unwrap())
                };
                let masking: Vec<_> = pair
                    .iter_mut()
                    .map(|client| scope.spawn(move || mask(client)))
                    .collect();
                masking.into_iter().map(|one| one.join().unwrap()).collect()
            });
            for (n, message) in masked {
                self.server.hear(&name(n), message).unwrap();
            }
        }
    }

    /// A round of participants whose updates are [`made`](Self::mask_made) when they are wanted; the cohort has none.
    pub(super) fn run_made(&mut self, last: &[Last], parameters: usize) -> Result<Mean, SumError> {
        self.run_with(last, |cohort, who| cohort.mask_made(who, parameters))
    }

    pub(super) fn number(&self, node: &NodeId) -> usize {
        usize::from(self.context.place(node).unwrap())
    }

    /// Up to the step before `Survivors` goes out.
    pub(super) fn until_masked(&mut self) {
        self.advertise(|_| true);
        self.exchange(|_| true);
        self.exchange(|_| true);
        self.mask(|_| true);
    }

    pub(super) fn run(&mut self, last: &[Last]) -> Result<Mean, SumError> {
        self.run_with(last, |cohort, who| cohort.mask(who))
    }

    fn run_with(
        &mut self,
        last: &[Last],
        mask: impl FnOnce(&mut Self, &dyn Fn(usize) -> bool),
    ) -> Result<Mean, SumError> {
        let beyond = |n: usize, step: &[Last]| !step.contains(&last[n]);
        self.advertise(|n| beyond(n, &[Last::Nothing]));
        let keys = [Last::Nothing, Last::Keys];
        self.exchange(|n| beyond(n, &keys));
        let shares = [Last::Nothing, Last::Keys, Last::Shares];
        self.exchange(|n| beyond(n, &shares));
        mask(self, &|n| beyond(n, &shares));
        let update = [Last::Nothing, Last::Keys, Last::Shares, Last::Update];
        self.exchange(|n| beyond(n, &update));
        self.exchange(|n| last[n] == Last::Everything);
        self.server.sum(None)
    }

    /// A cohort whose updates are made when they are wanted.
    pub(super) fn without_updates(n: usize, parameters: usize) -> Self {
        let context = context_of(1, b"model", n, parameters);
        Self {
            updates: Vec::new(),
            ..Self::in_context(context, n, 0)
        }
    }

    /// What the plain sum says of those whose update counts.
    pub(super) fn check(&self, sum: &Mean, counts: impl Fn(usize) -> bool) {
        let in_it: Vec<&Update> = (0..self.clients.len())
            .filter(|n| counts(*n))
            .map(|n| &self.updates[n])
            .collect();
        let examples: u64 = in_it.iter().map(|update| update.examples).sum();
        assert_eq!(sum.examples, examples);
        let mean = |of: &dyn Fn(&Update) -> f64| {
            let total: f64 = in_it.iter().map(|u| of(u) * u.examples as f64).sum();
            total / examples as f64
        };
        // 2⁻²⁷ by the fixed point, and what f64 loses in the reference.
        let bound = 2.0_f64.powi(-27) + 1e-12;
        for (at, found) in sum.delta.iter().enumerate() {
            let expected = mean(&|update| f64::from(update.delta[at]));
            assert!(
                (found - expected).abs() <= bound,
                "{at}: {found} {expected}"
            );
        }
        assert!((sum.loss - mean(&|update| update.loss)).abs() <= 1e-6);
    }
}

/// The messages that the server sends at the end of a step, by receiver.
pub(super) fn letters(cohort: &mut Cohort) -> Vec<(usize, SecureMessage)> {
    let letters = cohort.server.advance().unwrap();
    letters
        .into_iter()
        .map(|(to, message)| (cohort.number(&to), message))
        .collect()
}

/// What the client says to a message of a dishonest server.
pub(super) fn refusal(client: &mut Client, message: SecureMessage) -> Refusal {
    client.hear(message).expect_err("it should refuse")
}

pub(super) fn message(context: &Context, step: SecureStep) -> SecureMessage {
    SecureMessage {
        context: context.digest(),
        step,
    }
}
