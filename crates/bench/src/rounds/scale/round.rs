//! One round, step by step.

use super::Case;
use crate::Failure;
use crate::memory::processor_of_thread;
use crate::rounds::follow::EXAMPLES;
use crate::rounds::{identity, participant};
use federation::secagg::{Client, Context, Member, Parameters, Refusal, Server, Value};
use std::sync::Arc;
use std::time::Duration;
use wire::secure::SecureMessage;
use wire::{Digest, Frame, NodeId, Round};
use zeroize::Zeroizing;

/// What the paper divides a round into.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// A client makes and signs its keys; the aggregator checks the signatures and lists them.
    Keys,
    /// A client checks its neighbours' keys, agrees with each on a key, deals and seals its shares; the aggregator sorts them.
    Shares,
    /// A client opens and checks what was dealt to it, agrees on masks and masks; the aggregator adds up.
    Masking,
    /// A client signs who is in the sum, checks the others' signatures and reveals shares; the aggregator checks both,
    /// recovers secrets and takes the masks off.
    Unmasking,
}

/// By step.
pub(super) type Times = [Duration; 4];

/// What a round took.
pub(super) struct Measured {
    pub(super) protocol: Parameters,
    /// Of a client on average: of all for keys and shares, of those who stay for what follows.
    pub(super) client: Times,
    pub(super) server: Times,
    /// Bytes that a client that stays sends and receives on average: encoded messages, without links.
    pub(super) sent: f64,
    pub(super) received: f64,
    /// Why there was no sum: more dropped out than its neighbourhoods have room for.
    pub(super) ended: Option<String>,
}

struct Participant {
    client: Client,
    node: NodeId,
    drops: bool,
    took: Times,
    sent: usize,
    received: usize,
}

/// A client and what was sent to it.
type Post<'a> = (&'a mut Participant, SecureMessage);

/// The error says what is wrong with the benchmark or the protocol; that too many drop out is none.
pub(super) fn run(case: Case) -> Result<Measured, Failure> {
    let context = Arc::new(context(case)?);
    let update: Vec<f32> = (0..case.entries)
        .map(|at| (at % 97) as f32 / 9700.0)
        .collect();
    let mut aggregator = Aggregator {
        server: Server::new(Arc::clone(&context)),
        took: Times::default(),
    };
    let mut participants = join(case, &context)?;
    let advertised = on_all_processors(participants.iter_mut().collect(), |participant| {
        let message = participant.client.advertise()?;
        Ok(Some(participant.says(message)))
    })?;
    aggregator.hear(Step::Keys, advertised)?;
    let mut ended = None;
    for (step, then) in [
        (Step::Keys, Step::Shares),
        (Step::Shares, Step::Masking),
        (Step::Masking, Step::Unmasking),
        (Step::Unmasking, Step::Unmasking),
    ] {
        let letters = match aggregator.advance(step) {
            Ok(letters) => letters,
            Err(shortfall) => {
                ended = Some(shortfall);
                break;
            }
        };
        let masks = matches!(then, Step::Masking);
        let answers = on_all_processors(post(&mut participants, letters), |(to, message)| {
            if masks && to.drops {
                return Ok(None);
            }
            to.received += size(&message);
            let begin = processor_of_thread();
            let mut answer = to.client.hear(message)?;
            if masks {
                let value = Value {
                    delta: &update,
                    examples: EXAMPLES,
                    loss: 0.5,
                };
                answer = Some(to.client.mask(&value)?);
            }
            to.took[then as usize] += processor_of_thread() - begin;
            Ok(answer.map(|answer| to.says(answer)))
        })?;
        aggregator.hear(then, answers)?;
    }
    let stayed: Vec<_> = participants.iter().filter(|one| !one.drops).collect();
    if ended.is_none() {
        aggregator.sum(&update, stayed.len())?;
    }
    let mean = |of: &[&Participant], step: Step| {
        let total: Duration = of.iter().map(|one| one.took[step as usize]).sum();
        total.div_f64(of.len() as f64)
    };
    let all: Vec<_> = participants.iter().collect();
    let bytes = |of: fn(&Participant) -> usize| {
        let total: usize = stayed.iter().map(|one| of(one)).sum();
        total as f64 / stayed.len() as f64
    };
    Ok(Measured {
        protocol: context.parameters(),
        client: [
            mean(&all, Step::Keys),
            mean(&all, Step::Shares),
            mean(&stayed, Step::Masking),
            mean(&stayed, Step::Unmasking),
        ],
        server: aggregator.took,
        sent: bytes(|one| one.sent),
        received: bytes(|one| one.received),
        ended,
    })
}

fn context(case: Case) -> Result<Context, Failure> {
    let member = |number| {
        let node = participant(number);
        Member {
            identity: identity(&node).verifying_key().to_bytes(),
            node,
        }
    };
    Ok(Context::new(
        "bench",
        Round(1),
        Digest::of(b"the entry that opens the round"),
        Digest::of(b"the model"),
        case.entries,
        (1..=case.clients).map(member).collect(),
    )?)
}

fn join(case: Case, context: &Arc<Context>) -> Result<Vec<Participant>, Failure> {
    let mut participants = Vec::with_capacity(case.clients);
    for number in 1..=case.clients {
        let node = participant(number);
        let identity = Arc::new(identity(&node));
        let seed = Zeroizing::new(Digest::of(node.as_str().as_bytes()).0);
        let begin = processor_of_thread();
        let client = Client::join(Arc::clone(context), &node, identity, Round(0), &seed)?;
        let mut took = Times::default();
        took[Step::Keys as usize] = processor_of_thread() - begin;
        participants.push(Participant {
            client,
            node,
            // Evenly among them.
            drops: number * case.dropped() / case.clients
                > (number - 1) * case.dropped() / case.clients,
            took,
            sent: 0,
            received: 0,
        });
    }
    // The aggregator's letters come in the order of places.
    participants.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(participants)
}

/// Each letter with its receiver.
fn post(participants: &mut [Participant], letters: Vec<(NodeId, SecureMessage)>) -> Vec<Post<'_>> {
    let mut letters = letters.into_iter().peekable();
    let to = participants.iter_mut();
    to.filter_map(|to| {
        let (_, message) = letters.next_if(|(node, _)| *node == to.node)?;
        Some((to, message))
    })
    .collect()
}

/// Does the work of all, and gives their answers in their order.
fn on_all_processors<W: Send>(
    work: Vec<W>,
    answer: impl Fn(W) -> Result<Option<(NodeId, SecureMessage)>, Refusal> + Sync,
) -> Result<Vec<(NodeId, SecureMessage)>, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = work.len().div_ceil(threads).max(1);
    let mut work = work.into_iter();
    let answers: Vec<Result<Vec<_>, Refusal>> = std::thread::scope(|scope| {
        let answer = &answer;
        let mut working = Vec::new();
        loop {
            let share: Vec<W> = work.by_ref().take(share).collect();
            if share.is_empty() {
                break;
            }
            working.push(scope.spawn(move || {
                let answers = share.into_iter().filter_map(|one| answer(one).transpose());
                answers.collect()
            }));
        }
        let joined = working.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined
            .map(|answers| answers.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut all = Vec::new();
    for answers in answers {
        all.extend(answers?);
    }
    Ok(all)
}

/// As a frame.
fn size(message: &SecureMessage) -> usize {
    wire::encode(&Frame::Secure(Box::new(message.clone()))).len()
}

impl Participant {
    fn says(&mut self, message: SecureMessage) -> (NodeId, SecureMessage) {
        self.sent += size(&message);
        (self.node.clone(), message)
    }
}

struct Aggregator {
    server: Server,
    took: Times,
}

impl Aggregator {
    fn hear(&mut self, step: Step, said: Vec<(NodeId, SecureMessage)>) -> Result<(), Failure> {
        let begin = processor_of_thread();
        for (from, message) in said {
            self.server.hear(&from, message)?;
        }
        self.took[step as usize] += processor_of_thread() - begin;
        Ok(())
    }

    fn advance(&mut self, step: Step) -> Result<Vec<(NodeId, SecureMessage)>, String> {
        let begin = processor_of_thread();
        let letters = self.server.advance();
        self.took[step as usize] += processor_of_thread() - begin;
        letters.map_err(|shortfall| shortfall.to_string())
    }

    /// Everybody had the same update, so the mean is that.
    fn sum(&mut self, update: &[f32], stayed: usize) -> Result<(), Failure> {
        let begin = processor_of_thread();
        let mean = self.server.sum(None)?;
        self.took[Step::Unmasking as usize] += processor_of_thread() - begin;
        // Half of the last bit of the fixed point.
        let bound = 2.0_f64.powi(-27);
        let close = |(found, sent): (&f64, &f32)| (found - f64::from(*sent)).abs() <= bound;
        let right = mean.examples == EXAMPLES * stayed as u64
            && mean.delta.len() == update.len()
            && mean.delta.iter().zip(update).all(close);
        match right {
            true => Ok(()),
            false => Err(format!("the sum of {stayed} updates is not theirs").into()),
        }
    }
}
