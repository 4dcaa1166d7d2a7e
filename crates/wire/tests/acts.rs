//! Bytes of acts: leaves that are on ledgers, and what has been added since.

use wire::{Act, Digest, Level, Round};

/// The digest, the participants, the examples and the loss of both.
const PARTS: [&str; 3] = [
    "0707070707070707070707070707070707070707070707070707070707070707",
    "0201610162",
    "5a000000000000e03f",
];

fn check(act: &Act, level: Level, expected: &str) {
    let bytes = wire::encode(act);
    assert_eq!(hex::encode(&bytes), expected);
    assert_eq!(wire::decode::<Act>(&bytes).as_ref(), Ok(act));
    assert_eq!((act.level(), act.round()), (level, Some(Round(3))));
}

/// Members of older releases read the former, which a buffered round is closed by until they are gone.
#[test]
fn a_closed_round_is_what_it_was_and_a_buffered_one_says_ages_besides() {
    let [model, participants, rest] = PARTS;
    let closed = Act::RoundClosed {
        round: Round(3),
        model: Digest([7; 32]),
        participants: vec!["a".into(), "b".into()],
        examples: 90,
        loss: 0.5,
    };
    let expected = format!("010503{model}{participants}{rest}");
    check(&closed, Level::FIRST, &expected);
    let buffered = Act::BufferedRoundClosed {
        round: Round(3),
        model: Digest([7; 32]),
        participants: vec!["a".into(), "b".into()],
        ages: vec![0, 3],
        examples: 90,
        loss: 0.5,
    };
    let expected = format!("011903{model}{participants}020003{rest}");
    check(&buffered, Level::VARIATES_AND_TENANTS, &expected);
}
