//! What crosses a node's border in learning: parameters, counts and losses, and no reading.
//!
//! A window is filled with readings that nothing else in the world equals, real libtorch trains on
//! them, the real participant and aggregator make their frames, and every byte that would be handed
//! to a link (before encryption) is searched for every reading in every encoding that the house uses.

use federation::{
    Aggregator, Config, Input, Output, Participant, ParticipantInput, ParticipantOutput, Update,
};
use learn::{Model, Row, SLOTS, Shape, TrainConfig};
use machine::{Instant, Machine};
use std::collections::BTreeSet;
use std::sync::Arc;
use telemetry::features::{Departure, Example};
use telemetry::windows::{Purpose, Windows};
use wire::{Act, Frame, NodeId, Round, UnixMillis};

const ROWS: usize = 200;

/// Distinct, odd-looking values; no parameter or loss is one of them by chance.
fn reading(row: usize, slot: usize) -> f32 {
    1.000_123 + row as f32 * 0.013_7 + slot as f32 * 0.000_917
}

/// The rows that a node trains on.
fn rows() -> Vec<Row> {
    let mut windows = Windows::new(ROWS, 1);
    for row in 0..ROWS {
        let values = std::array::from_fn(|slot| reading(row, slot));
        let arrival = UnixMillis(1_795_339_447_000 + row as u64);
        let example = Example {
            device: "secret-device-name".into(),
            arrival,
            values,
            mask: [true; SLOTS],
            departure: Departure::NONE,
        };
        windows.keep(example, true);
    }
    let devices = windows.series(Purpose::Train).into_iter();
    let examples = devices.flat_map(|(_, rows)| rows);
    examples.map(|(example, _)| example.into()).collect()
}

fn opened(me: &NodeId, round: Round, model: wire::Digest) -> (ParticipantInput, Input) {
    let cohort = vec![me.clone(), "other".into()];
    (
        ParticipantInput::Opened {
            round,
            model,
            cohort: cohort.clone(),
            secure: None,
            codec: None,
            carried: Default::default(),
        },
        Input::Opened {
            round,
            model,
            cohort,
            by: me.clone(),
            secure: None,
            carried: Default::default(),
            ages: true,
        },
    )
}

/// All bytes that a round hands to links and ledger.
fn what_crosses(rows: &[Row]) -> Vec<(String, Vec<u8>)> {
    let me = NodeId::new("me");
    let base = Model::initial(Shape::default(), 1).expect("the default shape is valid");
    let parameters = Arc::new(base.parameters());
    let model = federation::model_digest(&parameters);
    let mut crossed = Vec::new();

    let mut participant = Participant::new(me.clone());
    let (told, opening) = opened(&me, Round(1), model);
    let mut out = Vec::new();
    participant.handle(Instant::ZERO, told, &mut out);
    let train = ParticipantInput::Train {
        from: "other".into(),
        round: Round(1),
        model,
        parameters: parameters.clone(),
    };
    participant.handle(Instant::ZERO, train, &mut out);
    assert!(
        out.iter()
            .any(|output| matches!(output, ParticipantOutput::StartTraining { .. })),
        "{out:?}"
    );
    let config = TrainConfig {
        masking: TrainConfig::default().masking,
        epochs: 2,
        batch: 64,
        optimizer: learn::Optimizer::Adam,
        learning_rate: 1e-3,
        seed: 1,
        proximal: None,
    };
    let trained = base
        .train(&[rows.to_vec().into()], config)
        .expect("finite rows train");
    let done = ParticipantInput::Trained {
        round: Round(1),
        delta: trained.delta,
        examples: trained.examples,
        loss: trained.loss_before,
        taken: None,
    };
    out.clear();
    participant.handle(Instant::ZERO, done, &mut out);
    let mut update = None;
    for output in out {
        if let ParticipantOutput::Send { frame, .. } = output {
            crossed.push(("update".to_owned(), wire::encode(&frame)));
            if let Frame::Update {
                round,
                node,
                base,
                delta,
                examples,
                loss,
            } = frame
            {
                update = Some(Update {
                    round,
                    node,
                    base,
                    delta: Arc::unwrap_or_clone(delta),
                    examples,
                    loss,
                });
            }
        }
    }
    let update = update.expect("training ends in an update");

    let config = Config {
        min_cohort: 2,
        ..Config::default()
    };
    let mut aggregator = Aggregator::new(me.clone(), config);
    let members = BTreeSet::from([me.clone(), NodeId::new("other")]);
    let mut out = Vec::new();
    let other = Update {
        node: "other".into(),
        ..update.clone()
    };
    for input in [
        Input::Members(members),
        Input::ModelReady {
            digest: model,
            parameters,
        },
        Input::Leading {
            next: Round(1),
            open: None,
            model: Some(model),
        },
        opening,
        Input::Update(update),
        Input::Update(other),
    ] {
        aggregator.handle(Instant::from_millis(10_000), input, &mut out);
    }
    for output in out {
        match output {
            Output::Propose(act) => {
                assert!(
                    matches!(act, Act::RoundOpened { .. } | Act::RoundClosed { .. }),
                    "{act:?}"
                );
                crossed.push(("act".to_owned(), wire::encode(&act)));
            }
            Output::SendTrain {
                round,
                model,
                parameters,
                ..
            } => {
                let frame = Frame::Train {
                    round,
                    model,
                    parameters,
                };
                crossed.push(("train".to_owned(), wire::encode(&frame)));
            }
            Output::StageModel {
                round,
                digest,
                parameters,
            }
            | Output::PublishModel {
                round,
                digest,
                parameters,
            } => {
                let frame = Frame::Model {
                    round,
                    model: digest,
                    parameters,
                };
                crossed.push(("model".to_owned(), wire::encode(&frame)));
            }
            Output::SendSecure { .. } => panic!("the round is a plain one"),
            Output::NeedModel(_) | Output::Note(_) => {}
        }
    }
    crossed
}

/// Every run of bytes of some lengths in a message, to look thousands of needles up in.
struct Haystack<'a>(std::collections::HashMap<usize, std::collections::HashSet<&'a [u8]>>);

impl<'a> Haystack<'a> {
    fn new(bytes: &'a [u8], lengths: impl IntoIterator<Item = usize>) -> Self {
        Self(
            lengths
                .into_iter()
                .map(|length| (length, bytes.windows(length).collect()))
                .collect(),
        )
    }

    fn contains(&self, needle: &[u8]) -> bool {
        self.0[&needle.len()].contains(needle)
    }
}

/// A reading in the ways it could be written down. Two neighbouring f32 make one needle: four bytes
/// alone turn up by chance among a model's parameters.
fn needles(values: &[f32]) -> Vec<Vec<u8>> {
    let pairs = values.windows(2).flat_map(|pair| {
        [
            [pair[0].to_le_bytes(), pair[1].to_le_bytes()].concat(),
            [pair[0].to_be_bytes(), pair[1].to_be_bytes()].concat(),
        ]
    });
    let singles = values.iter().flat_map(|value| {
        let text = format!("{value:.7}").into_bytes()[..8].to_vec();
        [
            f64::from(*value).to_le_bytes().to_vec(),
            f64::from(*value).to_be_bytes().to_vec(),
            text,
        ]
    });
    pairs.chain(singles).collect()
}

const NEEDLE: usize = 8;
const NAME: &[u8] = b"secret-device-name";

#[test]
fn no_reading_is_in_any_byte_that_learning_hands_to_a_link() {
    let rows = rows();
    let crossed = what_crosses(&rows);
    let kinds: BTreeSet<&str> = crossed.iter().map(|(kind, _)| kind.as_str()).collect();
    assert!(
        kinds.is_superset(&BTreeSet::from(["update", "train", "model", "act"])),
        "the round did not run: {kinds:?}"
    );
    for (kind, bytes) in &crossed {
        let haystack = Haystack::new(bytes, [NEEDLE, NAME.len()]);
        assert!(!haystack.contains(NAME), "{kind} names the device");
        for row in &rows {
            for needle in needles(&row.values) {
                assert!(
                    !haystack.contains(&needle),
                    "{kind} carries a reading of {:?}",
                    row.values
                );
            }
        }
    }
}

#[test]
fn the_search_would_find_a_reading_if_there_were_one() {
    let rows = rows();
    let leak = Frame::Update {
        round: Round(1),
        node: "me".into(),
        base: wire::Digest::default(),
        delta: Arc::new(rows[3].values.to_vec()),
        examples: 1,
        loss: 0.0,
    };
    let bytes = wire::encode(&leak);
    let haystack = Haystack::new(&bytes, [NEEDLE]);
    let found = needles(&rows[3].values)
        .iter()
        .filter(|needle| haystack.contains(needle))
        .count();
    assert!(
        found >= SLOTS - 1,
        "{found} of the leaked readings were recognised"
    );
}
