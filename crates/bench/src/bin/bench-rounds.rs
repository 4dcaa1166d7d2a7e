//! What a secure round costs in computation: eight participants and their aggregator in this process,
//! with every message encoded and decoded as on a link, and no network.

use bench::Failure;
use bench::report::{self, Better, Case, Contender, Report, Section};
use bench::scaffold;
use clap::Subcommand;
use ed25519_dalek::SigningKey;
use federation::secagg::{Client, Context, Member, Server, Value};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use wire::{Digest, Frame, NodeId, Round, SecureMessage};

#[derive(Subcommand)]
enum Part {}

#[derive(clap::Args)]
struct Plan {
    /// Participants
    #[arg(long, default_value_t = 8)]
    participants: usize,
    /// Numbers of parameters
    #[arg(long, value_delimiter = ',', default_value = "7000,1000000")]
    parameters: Vec<usize>,
    /// Numbers of participants that drop out after they have dealt their shares
    #[arg(long, value_delimiter = ',', default_value = "0,2")]
    dropped: Vec<usize>,
    /// Repetitions
    #[arg(long, default_value_t = 9)]
    repetitions: usize,
}

/// Threads that the participants share: as many as the goals count processors.
const THREADS: usize = 2;

fn main() -> Result<(), Failure> {
    scaffold::run(|part: Part| match part {}, measure)
}

/// One round.
#[derive(Default, Clone, Copy)]
struct Cost {
    wall_ms: f64,
    client_ms: f64,
    server_ms: f64,
    up_kb: f64,
    down_kb: f64,
}

async fn measure(plan: &Plan) -> Result<(), Failure> {
    let machine = report::machine();
    let mut cases = Vec::new();
    let mut round = Round(0);
    for parameters in &plan.parameters {
        for dropped in &plan.dropped {
            let mut costs = Vec::new();
            // The first time warms up and is not counted.
            for repetition in 0..=plan.repetitions {
                round = round.next();
                let cost = House::new(round, plan.participants, *parameters)?.run(*dropped)?;
                if repetition > 0 {
                    costs.push(cost);
                }
            }
            eprintln!("{parameters} parameters, {dropped} dropped: done");
            cases.push((format!("{parameters} parameters, {dropped} dropped"), costs));
        }
    }
    report(plan, machine, &cases).publish()
}

fn report(plan: &Plan, machine: String, cases: &[(String, Vec<Cost>)]) -> Report {
    let section = |title: &str, figure: fn(&Cost) -> f64| Section {
        title: title.to_owned(),
        better: Better::Lower,
        cases: cases
            .iter()
            .map(|(label, costs)| Case {
                label: label.clone(),
                ours: Contender::new("ours", costs.iter().map(figure).collect()),
                peers: Vec::new(),
            })
            .collect(),
    };
    Report {
        name: "rounds",
        notes: vec![
            machine,
            format!(
                "{} participants on {THREADS} threads; medians of {} rounds (least–most)",
                plan.participants, plan.repetitions
            ),
            "computation only: messages are encoded and decoded, and handed over in memory"
                .to_owned(),
        ],
        sections: vec![
            section("a whole round (ms)", |cost| cost.wall_ms),
            section("processor time of a participant (ms)", |cost| {
                cost.client_ms
            }),
            section("processor time of the aggregator (ms)", |cost| {
                cost.server_ms
            }),
            section("sent by a participant (kB)", |cost| cost.up_kb),
            section("sent to a participant (kB)", |cost| cost.down_kb),
        ],
    }
}

/// Participants, their aggregator and a count of what goes to and fro.
struct House {
    server: Server,
    clients: Vec<Client>,
    delta: Vec<f32>,
    cost: Cost,
}

/// Time that this thread has had of a processor, in ms (`/proc/thread-self/schedstat`, proc(5)).
fn processor_ms() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split(' ').next().unwrap_or_default();
    Ok(first.parse::<f64>()? / 1e6)
}

type Answers = Vec<(NodeId, Vec<u8>)>;

impl House {
    fn new(round: Round, participants: usize, parameters: usize) -> Result<Self, Failure> {
        let name = |n| NodeId::new(format!("n{n:04}"));
        let identity = |n: usize| {
            let mut seed = [5; 32];
            seed[..8].copy_from_slice(&(n as u64).to_le_bytes());
            Arc::new(SigningKey::from_bytes(&seed))
        };
        let members = (0..participants).map(|n| Member {
            node: name(n),
            identity: identity(n).verifying_key().to_bytes(),
        });
        let entry = Digest::of(&round.0.to_le_bytes());
        let model = Digest::of(b"model");
        let context = Context::new("bench", round, entry, model, parameters, members.collect())?;
        let context = Arc::new(context);
        let join = |n| {
            let mut seed = [6; 32];
            seed[..8].copy_from_slice(&(n as u64).to_le_bytes());
            seed[8..16].copy_from_slice(&round.0.to_le_bytes());
            Client::join(
                Arc::clone(&context),
                &name(n),
                identity(n),
                Round(0),
                &seed.into(),
            )
        };
        Ok(Self {
            clients: (0..participants).map(join).collect::<Result<_, _>>()?,
            server: Server::new(context),
            delta: (0..parameters).map(|p| (p % 97) as f32 / 9700.0).collect(),
            cost: Cost::default(),
        })
    }

    fn run(mut self, dropped: usize) -> Result<Cost, Failure> {
        let begin = Instant::now();
        let nothing = Answers::new;
        let stay = self.clients.len() - dropped;
        let keys = self.all(nothing(), usize::MAX, |client, _, _| {
            client.advertise().map(Some)
        })?;
        let lists = self.serve(keys)?;
        let shares = self.all(lists, usize::MAX, answer)?;
        let inboxes = self.serve(shares)?;
        let updates = self.all(inboxes, stay, |client, message, delta| {
            answer(client, message, delta)?;
            let value = Value {
                delta,
                examples: 200,
                loss: 0.5,
            };
            client.mask(&value).map(Some)
        })?;
        let survivors = self.serve(updates)?;
        let consents = self.all(survivors, stay, answer)?;
        let requests = self.serve(consents)?;
        let shares = self.all(requests, stay, answer)?;
        let before = processor_ms()?;
        for (from, message) in shares {
            self.server.hear(&from, decoded(&message)?)?;
        }
        let sum = self.server.sum(None)?;
        self.cost.server_ms += processor_ms()? - before;
        self.cost.wall_ms = begin.elapsed().as_secs_f64() * 1e3;
        if sum.examples != 200 * stay as u64 {
            return Err(format!("{} examples in the sum", sum.examples).into());
        }
        let count = self.clients.len() as f64;
        for figure in [
            &mut self.cost.client_ms,
            &mut self.cost.up_kb,
            &mut self.cost.down_kb,
        ] {
            *figure /= count;
        }
        Ok(self.cost)
    }

    /// The first `stay` participants do something with what they were sent.
    fn all(
        &mut self,
        letters: Answers,
        stay: usize,
        work: impl Fn(
            &mut Client,
            Option<SecureMessage>,
            &[f32],
        ) -> Result<Option<SecureMessage>, federation::secagg::Refusal>
        + Sync,
    ) -> Result<Answers, Failure> {
        let sent: usize = letters.iter().map(|(_, bytes)| bytes.len()).sum();
        self.cost.down_kb += sent as f64 / 1e3;
        let letters: std::collections::BTreeMap<_, _> = letters.into_iter().collect();
        let spent = Mutex::new(0.0);
        let delta = &self.delta;
        let share = self.clients.len().div_ceil(THREADS);
        let step = |clients: &mut [Client], first: usize| -> Result<Answers, String> {
            let before = processor_ms().map_err(|error| error.to_string())?;
            let mut answers = Answers::new();
            for (at, client) in clients.iter_mut().enumerate() {
                let place = first + at;
                if place >= stay {
                    continue;
                }
                let place = u16::try_from(place).map_err(|error| error.to_string())?;
                let me = client.context().name(place);
                let letter = letters.get(&me).map(|bytes| decoded(bytes)).transpose();
                let letter = letter.map_err(|error| error.to_string())?;
                let said = work(client, letter, delta).map_err(|error| error.to_string())?;
                answers.extend(said.map(|message| (me, encoded(message))));
            }
            let after = processor_ms().map_err(|error| error.to_string())?;
            *spent.lock().map_err(|error| error.to_string())? += after - before;
            Ok(answers)
        };
        let parts: Vec<Result<Answers, String>> = std::thread::scope(|scope| {
            let chunks = self.clients.chunks_mut(share).enumerate();
            let running: Vec<_> = chunks
                .map(|(part, clients)| scope.spawn(move || step(clients, part * share)))
                .collect();
            running
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Err("a participant panicked".into()))
                })
                .collect()
        });
        let mut answers = Answers::new();
        for part in parts {
            answers.extend(part?);
        }
        let sent: usize = answers.iter().map(|(_, bytes)| bytes.len()).sum();
        self.cost.up_kb += sent as f64 / 1e3;
        self.cost.client_ms += spent.into_inner().map_err(|error| error.to_string())?;
        Ok(answers)
    }

    /// The aggregator takes the answers and says what comes next.
    fn serve(&mut self, answers: Answers) -> Result<Answers, Failure> {
        let before = processor_ms()?;
        for (from, message) in answers {
            self.server.hear(&from, decoded(&message)?)?;
        }
        let letters = self.server.advance()?.into_iter();
        let letters = letters
            .map(|(to, message)| (to, encoded(message)))
            .collect();
        self.cost.server_ms += processor_ms()? - before;
        Ok(letters)
    }
}

fn answer(
    client: &mut Client,
    message: Option<SecureMessage>,
    _: &[f32],
) -> Result<Option<SecureMessage>, federation::secagg::Refusal> {
    match message {
        Some(message) => client.hear(message),
        None => Ok(None),
    }
}

fn encoded(message: SecureMessage) -> Vec<u8> {
    wire::encode(&Frame::Secure(Box::new(message)))
}

fn decoded(bytes: &[u8]) -> Result<SecureMessage, Failure> {
    match wire::decode(bytes)? {
        Frame::Secure(message) => Ok(*message),
        Frame::Train { .. }
        | Frame::Update { .. }
        | Frame::Packed { .. }
        | Frame::Decline { .. }
        | Frame::Model { .. }
        | Frame::Checkpoint { .. } => Err("another frame than a secure round's".into()),
    }
}
