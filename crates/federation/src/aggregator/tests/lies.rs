//! Each lie of an aggregator that has turned bad, told among machines that are the ones that ship: it is found by those
//! it is told to, the round ends with the reason on the ledger, and no model comes of it. Meanwhile all invariants of
//! [`together`](super::together) hold: nobody reveals both shares of a member, nor a share of what is not paid for.
//!
//! The liar's node runs an honest aggregator; what it sends, and proposes, is changed on its way.

use super::super::*;
use super::together::{Lie, Mode, SECURE_NODES, World, name};
use wire::secure::{Places, Signature};
use wire::{Frame, SecureStep};

/// Nothing is changed but what `on` makes of a message to somebody.
fn steps(on: impl Fn(usize, &mut SecureStep) + 'static) -> Lie {
    Lie::telling(move |to, frame| {
        if let Frame::Secure(message) = frame {
            on(to, &mut message.step);
        }
    })
}

fn everybody_but(gone: u16) -> Places {
    (0..SECURE_NODES as u16).filter(|n| *n != gone).collect()
}

/// The reason of the first round that was abandoned, which is the only end that a round of a liar has.
fn ends_with(mode: Mode, lie: Lie) -> String {
    let mut world = World::new(SECURE_NODES, mode);
    world.lie = Some(lie);
    assert!(!world.heal_within(1, 60), "{:?}", world.ledger);
    let reason = world.ledger.iter().find_map(|(_, act)| match act {
        Act::RoundAbandoned { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    // Whoever leads next, or this one without its lies, goes on.
    world.lie = None;
    assert!(world.heal(1));
    reason.expect("an end")
}

#[test]
fn every_lie_ends_the_round_with_its_reason_on_the_ledger() {
    type Told = fn(usize, &mut SecureStep);
    let lies: [(&str, Told, &str); 9] = [
        (
            "other keys in a member's name",
            |to, step| {
                if let SecureStep::Keys(list) = step
                    && to == 0
                {
                    list.keys[2].1.masking[0] ^= 1;
                }
            },
            "n0 found: the keys of n2 are not signed by its identity for this round",
        ),
        (
            "the receiver did not advertise",
            |to, step| {
                if let SecureStep::Keys(list) = step
                    && to == 3
                {
                    list.advertised = everybody_but(3);
                    list.keys.retain(|(place, _)| *place != 3);
                }
            },
            "n3 found: the list of keys has left this node out",
        ),
        (
            "a share was another one",
            |to, step| {
                if let SecureStep::Inbox(inbox) = step
                    && to == 1
                {
                    inbox.shares[0].sealed[3] ^= 1;
                }
            },
            "n1 found: the shares of n0 do not open",
        ),
        (
            "somebody dropped out, to one",
            |to, step| match step {
                SecureStep::Survivors(survivors) if to == 0 => *survivors = everybody_but(4),
                SecureStep::Unmask(request) if to == 0 => {
                    request.seeds = everybody_but(4);
                    request.keys.insert(4);
                }
                _ => {}
            },
            "n0 found: 0 consents match this node's set of survivors, 4 are needed",
        ),
        (
            "the receiver dropped out",
            |to, step| {
                if let SecureStep::Survivors(survivors) = step
                    && to == 2
                {
                    *survivors = everybody_but(2);
                }
            },
            "n2 found: the set of survivors has left this node out",
        ),
        (
            "most dropped out",
            |to, step| {
                if let SecureStep::Survivors(survivors) = step
                    && to == 2
                {
                    *survivors = [1, 2, 3].into_iter().collect();
                }
            },
            "n2 found: 3 took part in the set of survivors, 4 are needed",
        ),
        (
            "both shares of a member",
            |to, step| {
                if let SecureStep::Unmask(request) = step
                    && to == 1
                {
                    request.keys.insert(2);
                }
            },
            "n1 found: both shares of n2 are asked for",
        ),
        (
            "the key of one who is in the sum",
            |to, step| {
                if let SecureStep::Unmask(request) = step
                    && to == 1
                {
                    request.seeds = everybody_but(2);
                    request.keys.insert(2);
                }
            },
            "n1 found: the shares asked for are not those of the survivors",
        ),
        (
            "consents that nobody gave",
            |to, step| {
                if let SecureStep::Unmask(request) = step
                    && to == 4
                {
                    for (_, Signature(bytes)) in &mut request.consents {
                        bytes[7] ^= 1;
                    }
                }
            },
            "n4 found: 0 consents match this node's set of survivors, 4 are needed",
        ),
    ];
    for (lie, told, expected) in lies {
        for mode in [Mode::Secure, Mode::Private] {
            let reason = ends_with(mode, steps(told));
            println!("{lie}: {reason}");
            // Who was told of fewer survivors finds first that more are charged.
            let more = "n0 found: the ledger charges 5 members";
            let charged = mode == Mode::Private && reason.starts_with(more);
            assert!(
                reason.starts_with(expected) || charged,
                "{lie}, {mode:?}: {reason}"
            );
        }
    }
}

/// One story about the survivors, and another one after it was signed for.
#[test]
fn a_second_set_of_survivors_is_found() {
    let again = Lie::telling_more(|to, frame, more| {
        if let Frame::Secure(message) = frame
            && let SecureStep::Survivors(_) = message.step
            && to == 0
        {
            let mut second = message.clone();
            second.step = SecureStep::Survivors(everybody_but(4));
            more.push(Frame::Secure(second));
        }
    });
    let reason = ends_with(Mode::Secure, again);
    let expected = "n0 found: a second set of survivors: 5 and 4 of them";
    assert!(reason.starts_with(expected), "{reason}");
}

/// Each participant compares with the ledger what it is to train from. Two of five are told another model: too few are left.
#[test]
fn different_models_for_different_participants_end_the_round() {
    let other = Arc::new(vec![9.0_f32, 9.0]);
    let digest = crate::model_digest(&other);
    for (named, expected) in [(true, "asked to train from model"), (false, "have digest")] {
        let other = other.clone();
        let reason = ends_with(
            Mode::Secure,
            Lie::telling(move |to, frame| {
                if let Frame::Train {
                    model, parameters, ..
                } = frame
                    && to < 2
                {
                    parameters.clone_from(&other);
                    if named {
                        *model = digest;
                    }
                }
            }),
        );
        for node in ["n0", "n1"] {
            assert!(reason.contains(&format!("{node} declined: ")), "{reason}");
        }
        assert!(reason.contains(expected), "{reason}");
    }
}

/// A round of the past: its messages in the place of this one's. Frames are late, too, so that is no accusation; nobody
/// answers, and the round ends with the names of those who could not.
#[test]
fn a_round_that_is_played_again_goes_unanswered() {
    type Kind = fn(&SecureStep) -> bool;
    let kinds: [Kind; 4] = [
        |step| matches!(step, SecureStep::Keys(_)),
        |step| matches!(step, SecureStep::Inbox(_)),
        |step| matches!(step, SecureStep::Survivors(_)),
        |step| matches!(step, SecureStep::Unmask(_)),
    ];
    for kind in kinds {
        let mut world = World::new(SECURE_NODES, Mode::Secure);
        let mut first: Vec<(usize, Frame)> = Vec::new();
        let mut rounds = BTreeSet::new();
        world.lie = Some(Lie::telling(move |to, frame| {
            let Frame::Secure(message) = &*frame else {
                return;
            };
            if !kind(&message.step) {
                return;
            }
            rounds.insert(message.context);
            match rounds.len() {
                1 => first.push((to, frame.clone())),
                _ => {
                    let old = first.iter().find(|(of, _)| *of == to);
                    *frame = old.expect("all were in the first round").1.clone();
                }
            }
        }));
        assert!(world.heal(1), "the first round is an honest one");
        let before = world.ledger.len();
        assert!(!world.heal_within(1, 60));
        let reason = world.ledger[before..]
            .iter()
            .find_map(|(_, act)| match act {
                Act::RoundAbandoned { reason, .. } => Some(reason.clone()),
                _ => None,
            });
        let reason = reason.expect("an end");
        assert!(reason.contains("not heard of: "), "{reason}");
        assert!(!reason.contains("found: "), "{reason}");
        let notes: Vec<_> = world
            .notes
            .iter()
            .filter(|note| note.contains("another model, cohort or round"))
            .collect();
        assert!(!notes.is_empty(), "{:?}", world.notes);
    }
}

/// A private round is charged to others than those in the sum, or for more noise than there is.
#[test]
fn a_charge_that_is_a_lie_ends_the_round() {
    let charging = |change: fn(&mut Act)| ends_with(Mode::Private, Lie::proposing(change));
    let others = charging(|act| {
        if let Act::PrivacySpent { participants, .. } = act {
            participants.retain(|node| *node != name(3));
        }
    });
    let expected = "found: the ledger charges 4 members for the privacy of the round's sum";
    assert!(others.contains(expected), "{others}");
    let less = charging(|act| {
        if let Act::PrivacySpent { noise_milli, .. } = act {
            *noise_milli *= 10;
        }
    });
    let expected = "found: the ledger charges for noise of 20/1000";
    assert!(less.contains(expected), "{less}");
}

/// The budget is spent, by the ledger, and the aggregator asks all the same.
#[test]
fn who_is_asked_beyond_its_budget_declines() {
    let mut world = World::new(SECURE_NODES, Mode::Private);
    world.objection = Some("one more round would take tenant x over its privacy budget".to_owned());
    assert!(!world.heal_within(1, 60));
    let reason = world.ledger.iter().find_map(|(_, act)| match act {
        Act::RoundAbandoned { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let reason = reason.expect("an end");
    assert!(
        reason.contains("declined: one more round would take tenant x over"),
        "{reason}"
    );
    let told = |act: &Act| matches!(act, Act::PrivacySpent { .. });
    assert!(!world.ledger.iter().any(|(_, act)| told(act)));
}
