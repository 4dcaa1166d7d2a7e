use super::*;

const T: Instant = Instant::ZERO;

fn me() -> NodeId {
    NodeId::from("me")
}

fn model() -> (Digest, Arc<Vec<f32>>) {
    let parameters = vec![1.0, 2.0];
    (model_digest(&parameters), Arc::new(parameters))
}

fn opened(round: u64) -> ParticipantInput {
    ParticipantInput::Opened {
        round: Round(round),
        model: model().0,
        cohort: vec![me()],
        secure: None,
    }
}

fn train(round: u64) -> ParticipantInput {
    let (model, parameters) = model();
    ParticipantInput::Train {
        from: "lead".into(),
        round: Round(round),
        model,
        parameters,
    }
}

fn trained(round: u64) -> ParticipantInput {
    ParticipantInput::Trained {
        round: Round(round),
        delta: vec![0.5, 0.0],
        examples: 7,
        loss: 0.25,
    }
}

fn ended(round: u64) -> ParticipantInput {
    ParticipantInput::Ended {
        round: Round(round),
    }
}

/// A short name for each output.
fn feed(
    participant: &mut Participant,
    inputs: impl IntoIterator<Item = ParticipantInput>,
) -> Vec<String> {
    let mut out = Vec::new();
    for input in inputs {
        participant.handle(T, input, &mut out);
    }
    out.iter()
        .map(|output| match output {
            ParticipantOutput::StartTraining { round, .. } => format!("start {round}"),
            ParticipantOutput::CancelTraining { round } => format!("cancel {round}"),
            ParticipantOutput::Send {
                to,
                frame: Frame::Update { round, .. },
            } => {
                format!("update {round} to {to}")
            }
            ParticipantOutput::Send {
                to,
                frame: Frame::Decline { round, .. },
            } => {
                format!("decline {round} to {to}")
            }
            ParticipantOutput::Send { frame, .. } => panic!("not an answer: {frame:?}"),
            ParticipantOutput::Propose(act) => panic!("not in a plain round: {act:?}"),
            ParticipantOutput::Note(_) => "note".to_owned(),
        })
        .collect()
}

#[test]
fn courses_of_a_round() {
    type Case = (&'static str, Vec<ParticipantInput>, &'static [&'static str]);
    let failed = |round| ParticipantInput::TrainingFailed {
        round: Round(round),
        reason: "too few examples".to_owned(),
    };
    let outsider = ParticipantInput::Opened {
        round: Round(1),
        model: model().0,
        cohort: vec!["other".into()],
        secure: None,
    };
    let other_model = ParticipantInput::Opened {
        round: Round(1),
        model: model_digest(&[9.0]),
        cohort: vec![me()],
        secure: None,
    };
    let wrong_parameters = ParticipantInput::Train {
        from: "lead".into(),
        round: Round(1),
        model: model().0,
        parameters: Arc::new(vec![1.0, 2.5]),
    };
    let cases: [Case; 16] = [
        (
            "plain",
            vec![opened(1), train(1), trained(1)],
            &["start 1", "update 1 to lead"],
        ),
        (
            "asked before the ledger is heard",
            vec![train(1), opened(1)],
            &["start 1"],
        ),
        ("never opened", vec![train(1)], &[]),
        (
            "asked again after answering",
            vec![opened(1), train(1), trained(1), train(1)],
            &["start 1", "update 1 to lead", "update 1 to lead"],
        ),
        (
            "asked again meanwhile",
            vec![opened(1), train(1), train(1)],
            &["start 1"],
        ),
        (
            "trained twice",
            vec![opened(1), train(1), trained(1), trained(1)],
            &["start 1", "update 1 to lead"],
        ),
        (
            "training failed",
            vec![opened(1), train(1), failed(1)],
            &["start 1", "decline 1 to lead"],
        ),
        (
            "asked again after a failure",
            vec![opened(1), train(1), failed(1), train(1)],
            &["start 1", "decline 1 to lead", "decline 1 to lead"],
        ),
        (
            "not in the cohort",
            vec![outsider, train(1)],
            &["note", "decline 1 to lead"],
        ),
        (
            "another model by the ledger",
            vec![other_model, train(1)],
            &["note", "decline 1 to lead"],
        ),
        (
            "parameters that are not the model, then the right ones",
            vec![opened(1), wrong_parameters, train(1)],
            &["note", "decline 1 to lead", "start 1"],
        ),
        (
            "a newer round while training",
            vec![
                opened(1),
                train(1),
                ended(1),
                opened(2),
                train(2),
                trained(1),
                trained(2),
            ],
            &["start 1", "cancel 1", "start 2", "update 2 to lead"],
        ),
        (
            "a newer round, its predecessor's end unheard",
            vec![opened(1), train(1), opened(2)],
            &["start 1", "cancel 1"],
        ),
        (
            "rolled back while training",
            vec![
                opened(1),
                train(1),
                ParticipantInput::RolledBack,
                trained(1),
                train(1),
                opened(2),
                train(2),
            ],
            &["start 1", "cancel 1", "start 2"],
        ),
        (
            "a request for a round that ended",
            vec![opened(1), ended(1), train(1)],
            &[],
        ),
        (
            "an early request for a round that ended unseen",
            vec![train(1), ended(2), opened(3)],
            &[],
        ),
    ];
    for (case, inputs, expected) in cases {
        assert_eq!(
            feed(&mut Participant::new(me()), inputs),
            expected,
            "{case}"
        );
    }
}

#[test]
fn the_update_names_the_model_it_started_from() {
    let mut participant = Participant::new(me());
    let mut out = Vec::new();
    for input in [opened(4), train(4), trained(4)] {
        participant.handle(T, input, &mut out);
    }
    let frame = Frame::Update {
        round: Round(4),
        node: me(),
        base: model().0,
        delta: vec![0.5, 0.0],
        examples: 7,
        loss: 0.25,
    };
    assert_eq!(
        out.pop(),
        Some(ParticipantOutput::Send {
            to: "lead".into(),
            frame
        })
    );
    assert_eq!(participant.training(), None);
}
