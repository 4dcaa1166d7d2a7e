use super::*;
use crate::memory::{Dated, Memory};
use crate::model_digest;
use crate::participant::ParticipantInput;
use crate::scaffold::{Begin, Standing};
use machine::{Instant, Machine as _};
use wire::NodeId;

const T: Instant = Instant::ZERO;

fn begin(fresh: bool, kept: Option<u64>) -> Begin {
    let kept = kept.map(Round);
    Begin { fresh, kept }
}

/// Round `round` of SCAFFOLD from this model of one weight, and the request to train for it.
fn asked(round: u64, model: &[f32], begin: Begin) -> [ParticipantInput; 2] {
    let digest = model_digest(model);
    let (round, me) = (Round(round), NodeId::from("me"));
    [
        ParticipantInput::Opened {
            round,
            model: digest,
            cohort: vec![me],
            secure: None,
            codec: None,
            carried: Carried::Joined(Standing {
                weights: 1,
                members: 3,
                begin,
            }),
        },
        ParticipantInput::Train {
            from: "lead".into(),
            round,
            model: digest,
            parameters: Arc::new(model.to_vec()),
        },
    ]
}

fn trained(round: u64, delta: f32, taken: Option<f64>) -> ParticipantInput {
    ParticipantInput::Trained {
        round: Round(round),
        delta: vec![delta],
        examples: 7,
        loss: 0.25,
        taken,
    }
}

fn ended(round: u64, counted: bool) -> ParticipantInput {
    let round = Round(round);
    ParticipantInput::Ended { round, counted }
}

fn feed(
    participant: &mut Participant,
    inputs: impl IntoIterator<Item = ParticipantInput>,
) -> Vec<ParticipantOutput> {
    let mut out = Vec::new();
    for input in inputs {
        participant.handle(T, input, &mut out);
    }
    out
}

/// What the learner is told: weights and correction.
fn started(out: &[ParticipantOutput]) -> Option<(Vec<f32>, Option<Vec<f32>>)> {
    out.iter().find_map(|output| match output {
        ParticipantOutput::StartTraining {
            parameters,
            correction,
            ..
        } => Some((parameters.to_vec(), correction.as_ref().map(|c| c.to_vec()))),
        _ => None,
    })
}

/// The update, and what was on the disk before it went.
fn update(out: &[ParticipantOutput]) -> Option<(Vec<f32>, Option<Memory>)> {
    let mut kept = None;
    out.iter().find_map(|output| match output {
        ParticipantOutput::Keep(Remembered::Variate(memory)) => {
            kept = Some(memory.clone());
            None
        }
        ParticipantOutput::Send {
            frame: Frame::Update { delta, .. },
            ..
        } => Some((delta.to_vec(), kept.take())),
        _ => None,
    })
}

fn declined(out: &[ParticipantOutput]) -> Option<&str> {
    out.iter().find_map(|output| match output {
        ParticipantOutput::Send {
            frame: Frame::Decline { reason, .. },
            ..
        } => Some(reason.as_str()),
        _ => None,
    })
}

fn dated(round: u64, number: f32) -> Option<Dated> {
    Some(Dated {
        round: Round(round),
        numbers: vec![number],
    })
}

#[test]
fn rounds_by_hand() {
    let mut me = Participant::new("me".into());
    // A model of weights: all variates are zero.
    let out = feed(&mut me, asked(1, &[1.0], begin(true, None)));
    assert_eq!(started(&out), Some((vec![1.0], Some(vec![0.0]))));
    // Two steps of 0.25 led from 1 to 3: c₁⁺ = −2/0.5 = −4.
    let out = feed(&mut me, [trained(1, 2.0, Some(0.5))]);
    let next = Memory {
        kept: None,
        next: dated(1, -4.0),
    };
    assert_eq!(update(&out), Some((vec![2.0, -4.0], Some(next))));
    feed(&mut me, [ended(1, true)]);

    // c = 0.5, and the correction is 0.5 − (−4). c₁⁺ = −4 − 0.5 − 1/0.5 = −6.5. It does not count.
    let model = [3.0, 0.5];
    let out = feed(&mut me, asked(2, &model, begin(false, Some(1))));
    assert_eq!(started(&out), Some((vec![3.0], Some(vec![4.5]))));
    let out = feed(&mut me, [trained(2, 1.0, Some(0.5)), ended(2, false)]);
    let next = Memory {
        kept: dated(1, -4.0),
        next: dated(2, -6.5),
    };
    assert_eq!(update(&out), Some((vec![1.0, -2.5], Some(next))));
    let out = feed(&mut me, asked(3, &model, begin(false, Some(1))));
    assert_eq!(started(&out), Some((vec![3.0], Some(vec![4.5]))));
    feed(&mut me, [ended(3, false)]);

    // All start anew, whatever is kept, and whatever the model brings.
    let out = feed(&mut me, asked(4, &model, begin(true, None)));
    assert_eq!(started(&out), Some((vec![3.0], Some(vec![0.0]))));
}

/// The disk has both, and the ledger says which of them counts.
#[test]
fn a_process_that_starts_again_goes_on_with_what_counted() {
    let memory = Memory {
        kept: dated(1, -4.0),
        next: dated(2, -6.5),
    };
    for (counted, kept, correction) in [(true, 2, 7.0), (false, 1, 4.5)] {
        let me = Participant::new("me".into());
        let mut me = me.with(Remembered::Variate(memory.clone()));
        // It hears the ledger from its start.
        feed(&mut me, [ended(1, true), ended(2, counted)]);
        let out = feed(&mut me, asked(3, &[3.0, 0.5], begin(false, Some(kept))));
        assert_eq!(started(&out), Some((vec![3.0], Some(vec![correction]))));
    }
    // While that round goes on, its answer may be in it.
    let me = Participant::new("me".into());
    let mut me = me.with(Remembered::Variate(memory));
    let out = feed(&mut me, asked(2, &[3.0, 0.5], begin(false, Some(1))));
    assert_eq!(started(&out), None);
    assert_eq!(
        declined(&out),
        Some("me has started again since it answered this round")
    );
}

#[test]
fn one_that_has_lost_its_variate_says_so_and_moves_none() {
    let mut me = Participant::new("me".into());
    let out = feed(&mut me, asked(6, &[3.0, 0.5], begin(false, Some(5))));
    let reason = "me has lost its control variate of round 5, so those of all members start anew";
    let told = ParticipantOutput::Propose(Act::VariatesReset {
        round: Round(6),
        reason: reason.to_owned(),
    });
    assert!(out.contains(&told), "{out:?}");
    assert_eq!(started(&out), Some((vec![3.0], Some(vec![0.0]))));
    let out = feed(&mut me, [trained(6, 2.0, Some(0.5))]);
    assert_eq!(update(&out), Some((vec![2.0, 0.0], None)));
}

#[test]
fn steps_that_are_no_gradients_make_no_variate() {
    let mut me = Participant::new("me".into());
    feed(&mut me, asked(1, &[1.0], begin(true, None)));
    let out = feed(&mut me, [trained(1, 2.0, None)]);
    let why = declined(&out).unwrap();
    assert!(why.contains("takes plain gradient descent"), "{why}");
}
