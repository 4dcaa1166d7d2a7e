//! Dishonest aggregators, found by participants, and dishonest participants, found by the aggregator.

use super::cohort::{Cohort, context_of, identity, join, letters, message, name, refusal, seed};
use crate::secagg::{Client, Fault, Refusal, Shortfall, SumError};
use ed25519_dalek::Signer as _;
use std::sync::Arc;
use wire::Round;
use wire::secure::{
    Inbox, KeyList, Places, RevealedShare, Secret, SecureMessage, SecureStep, Signature,
    UnmaskRequest,
};

fn key_list(message: &SecureMessage) -> KeyList {
    match &message.step {
        SecureStep::Keys(list) => list.clone(),
        other => panic!("{other:?}"),
    }
}

fn inbox(message: &SecureMessage) -> Inbox {
    match &message.step {
        SecureStep::Inbox(inbox) => inbox.clone(),
        other => panic!("{other:?}"),
    }
}

fn request(message: &SecureMessage) -> UnmaskRequest {
    match &message.step {
        SecureStep::Unmask(request) => request.clone(),
        other => panic!("{other:?}"),
    }
}

/// Ready for the list of keys: what an honest server would send to member 0.
fn before_keys(n: usize) -> (Cohort, KeyList) {
    let mut cohort = Cohort::new(n, 3);
    cohort.advertise(|_| true);
    let letters = letters(&mut cohort);
    let list = key_list(&letters[0].1);
    (cohort, list)
}

/// Ready for the inbox of member 0.
fn before_inbox(n: usize) -> (Cohort, Inbox) {
    let mut cohort = Cohort::new(n, 3);
    cohort.advertise(|_| true);
    cohort.exchange(|_| true);
    let letters = letters(&mut cohort);
    let inbox = inbox(&letters[0].1);
    (cohort, inbox)
}

/// Consented, and ready for the request to unmask; `gone` sent no update.
fn before_unmask(n: usize, gone: &[usize]) -> (Cohort, UnmaskRequest) {
    let mut cohort = Cohort::new(n, 3);
    cohort.advertise(|_| true);
    cohort.exchange(|_| true);
    cohort.exchange(|_| true);
    cohort.mask(|n| !gone.contains(&n));
    cohort.exchange(|_| true);
    let letters = letters(&mut cohort);
    let request = request(&letters[0].1);
    (cohort, request)
}

fn everybody(n: u16) -> Places {
    (0..n).collect()
}

/// An accusation, and nothing more is to be had from the participant: its secrets are gone.
fn accuses(client: &mut Client, step: SecureStep, expected: &Refusal) {
    let message = message(client.context(), step);
    let found = refusal(client, message.clone());
    assert_eq!(found, *expected);
    assert!(found.is_accusation(), "{found}");
    let after = refusal(client, message);
    let reason = expected.to_string();
    assert_eq!(after, Refusal::Left { reason });
    assert!(!client.ready() && client.advertise().is_err());
}

#[test]
fn a_list_of_keys_that_was_tampered_with() {
    type Change = fn(&mut KeyList);
    let cases: [(Change, Refusal); 9] = [
        (
            // The server's own key in another's name: the man in the middle.
            |list| list.keys[2].1.masking = [9; 32],
            Refusal::ForgedKeys { node: name(2) },
        ),
        (
            |list| list.keys[2].1.sealing = [9; 32],
            Refusal::ForgedKeys { node: name(2) },
        ),
        (
            |list| list.keys[3].1.signature.0[5] ^= 1,
            Refusal::ForgedKeys { node: name(3) },
        ),
        (
            |list| {
                let (left, right) = list.keys.split_at_mut(3);
                std::mem::swap(&mut left[1].1, &mut right[0].1);
            },
            Refusal::ForgedKeys { node: name(1) },
        ),
        (
            |list| list.keys[0].1.masking = [9; 32],
            Refusal::LeftOut {
                step: "the list of keys",
            },
        ),
        (
            // As if two of eight had not come: 5 are fewer than the threshold.
            |list| {
                list.keys.truncate(5);
                list.advertised = everybody(5);
            },
            Refusal::TooFew {
                step: "the list of keys",
                found: 5,
                needed: 6,
            },
        ),
        (
            |list| drop(list.keys.remove(4)),
            Refusal::Listed {
                step: "the list of keys",
                node: name(4),
            },
        ),
        (
            |list| list.keys.push(list.keys[4].clone()),
            Refusal::Unsound {
                step: "the list of keys",
            },
        ),
        (
            |list| list.advertised.insert(8),
            Refusal::Unsound {
                step: "the list of keys",
            },
        ),
    ];
    for (change, expected) in cases {
        let (mut cohort, mut list) = before_keys(8);
        change(&mut list);
        accuses(&mut cohort.clients[0], SecureStep::Keys(list), &expected);
    }
}

#[test]
fn members_with_one_key_or_with_none_worth_it() {
    let context = context_of(1, b"model", 4, 3);
    let sign = |n: usize, keys: &mut wire::secure::AdvertisedKeys| {
        let mut bytes = b"glasshouse secagg keys v1\0".to_vec();
        bytes.extend(context.digest().0);
        bytes.extend(keys.sealing);
        bytes.extend(keys.masking);
        keys.signature = Signature(identity(n).sign(&bytes).to_bytes().to_vec());
    };
    let (mut cohort, mut list) = before_keys(4);
    list.keys[1].1.masking = list.keys[2].1.masking;
    let mut stolen = list.keys[1].1.clone();
    sign(1, &mut stolen);
    list.keys[1].1 = stolen;
    let (a, b) = (name(1), name(2));
    let expected = Refusal::SameKey { a, b };
    accuses(&mut cohort.clients[0], SecureStep::Keys(list), &expected);

    // A point of small order: whoever knows it knows every secret agreed on with it.
    let (mut cohort, mut list) = before_keys(4);
    list.keys[3].1.sealing = [0; 32];
    let mut weak = list.keys[3].1.clone();
    sign(3, &mut weak);
    list.keys[3].1 = weak;
    let expected = Refusal::WeakKey { node: name(3) };
    accuses(&mut cohort.clients[0], SecureStep::Keys(list), &expected);
}

#[test]
fn shares_that_were_changed_left_out_or_are_of_another_cohort() {
    type Change = fn(&mut Inbox);
    let unopened = |n| Refusal::Unopened { node: name(n) };
    let cases: [(Change, Refusal); 7] = [
        (|inbox| inbox.shares[1].sealed[3] ^= 1, unopened(2)),
        (|inbox| inbox.shares[1].seed.0[0] ^= 1, unopened(2)),
        (|inbox| inbox.shares[0].key.0[0] ^= 1, unopened(1)),
        (
            |inbox| {
                let (left, right) = inbox.shares.split_at_mut(1);
                std::mem::swap(&mut left[0].sealed, &mut right[0].sealed);
            },
            unopened(1),
        ),
        (
            |inbox| drop(inbox.shares.remove(3)),
            Refusal::Listed {
                step: "the inbox of shares",
                node: name(4),
            },
        ),
        (
            |inbox| inbox.dealt = (0..5).collect(),
            Refusal::TooFew {
                step: "the inbox of shares",
                found: 5,
                needed: 6,
            },
        ),
        (
            |inbox| inbox.dealt = (1..8).collect(),
            Refusal::LeftOut {
                step: "the inbox of shares",
            },
        ),
    ];
    for (change, expected) in cases {
        let (mut cohort, mut inbox) = before_inbox(8);
        change(&mut inbox);
        accuses(&mut cohort.clients[0], SecureStep::Inbox(inbox), &expected);
    }
}

/// Different members are shown to different participants: their shares do not open.
#[test]
fn different_cohorts_for_different_participants() {
    let mut cohort = Cohort::new(8, 3);
    cohort.advertise(|_| true);
    let mut letters = letters(&mut cohort);
    let mut list = key_list(&letters[5].1);
    list.advertised = everybody(7);
    list.keys.pop();
    letters[5].1 = message(&cohort.context, SecureStep::Keys(list));
    let mut deals = Vec::new();
    for (n, letter) in letters {
        let answer = cohort.clients[n].hear(letter).unwrap().unwrap();
        let SecureStep::Shares(deal) = answer.step else {
            panic!("{answer:?}")
        };
        deals.push(deal);
    }
    let shares = (1..7).map(|dealer: u16| wire::secure::DealtShare {
        place: dealer,
        ..deals[usize::from(dealer)].shares[0].clone()
    });
    let inbox = Inbox {
        dealt: everybody(7),
        shares: shares.collect(),
    };
    let expected = Refusal::Unopened { node: name(5) };
    accuses(&mut cohort.clients[0], SecureStep::Inbox(inbox), &expected);
}

#[test]
fn different_models_for_different_participants() {
    let right = context_of(1, b"model", 4, 3);
    let wrong = context_of(1, b"another model, to be told apart by", 4, 3);
    let mut cohort = Cohort::in_context(Arc::clone(&right), 4, 3);
    cohort.clients[2] = join(&wrong, 2);
    let advertised = cohort.clients[2].advertise().unwrap();
    let fault = cohort
        .server
        .hear(&name(2), advertised.clone())
        .unwrap_err();
    let (expected, found) = (right.digest(), wrong.digest());
    assert_eq!(
        fault,
        Fault::OtherContext {
            node: name(2),
            expected,
            found
        }
    );
    // A server that passes it on as its own round's is found by the others.
    let SecureStep::Advertise(keys) = advertised.step else {
        panic!("{advertised:?}")
    };
    let (mut cohort, mut list) = before_keys(4);
    list.keys[2].1 = keys;
    let expected = Refusal::ForgedKeys { node: name(2) };
    accuses(&mut cohort.clients[0], SecureStep::Keys(list), &expected);
}

#[test]
fn a_round_of_the_past() {
    let mut old = Cohort::in_context(context_of(4, b"model", 3, 2), 3, 2);
    old.advertise(|_| true);
    let keys = letters(&mut old).remove(0).1;
    // Its messages mean nothing in a later round.
    let later = context_of(5, b"model", 3, 2);
    let mut client = join(&later, 0);
    let refused = refusal(&mut client, keys);
    let (expected, found) = (later.digest(), old.context.digest());
    assert_eq!(refused, Refusal::OtherContext { expected, found });
    assert!(!refused.is_accusation(), "frames are late, too");
    // And nobody takes part in it twice.
    for last in [4, 5] {
        let refused = Client::join(
            Arc::clone(&old.context),
            &name(0),
            identity(0),
            Round(last),
            &seed(0, Round(4)),
        )
        .unwrap_err();
        let (round, last) = (Round(4), Round(last));
        assert_eq!(refused, Refusal::Replayed { round, last });
    }
    let outsider = Client::join(
        Arc::clone(&old.context),
        &name(7),
        identity(7),
        Round(0),
        &seed(7, Round(4)),
    )
    .unwrap_err();
    let (node, round) = (name(7), Round(4));
    assert_eq!(outsider, Refusal::NotInCohort { node, round });
}

#[test]
fn lies_about_who_dropped_out() {
    // To one participant two different stories.
    let (mut cohort, _) = before_unmask(8, &[]);
    let story: Places = (0..7).collect();
    let expected = Refusal::SecondSurvivors {
        first: 8,
        second: 7,
    };
    let step = SecureStep::Survivors(story);
    accuses(&mut cohort.clients[0], step, &expected);

    // To different participants different stories: six were told that all survived, two that
    // member 7 did not. The two get six consents to another set than theirs.
    let mut cohort = Cohort::new(8, 3);
    cohort.until_masked();
    let mut consents = Vec::new();
    for (n, mut letter) in letters(&mut cohort) {
        if n < 2 {
            letter.step = SecureStep::Survivors((0..7).collect());
        }
        let answer = cohort.clients[n].hear(letter).unwrap().unwrap();
        let SecureStep::Consent(signature) = answer.step else {
            panic!("{answer:?}")
        };
        consents.push((n as u16, signature));
    }
    let lie = SecureStep::Unmask(UnmaskRequest {
        seeds: (0..7).collect(),
        keys: [7].into_iter().collect(),
        consents: consents.clone(),
    });
    let expected = Refusal::NoAgreement {
        matching: 2,
        needed: 6,
        other: name(2),
    };
    accuses(&mut cohort.clients[0], lie, &expected);
    // The others have enough. With five of them it would not be enough.
    let truth = |consents| {
        SecureStep::Unmask(UnmaskRequest {
            seeds: everybody(8),
            keys: Places::default(),
            consents,
        })
    };
    let all = message(&cohort.context, truth(consents.clone()));
    assert!(cohort.clients[3].hear(all).unwrap().is_some());
    consents.retain(|(by, _)| *by != 5);
    let expected = Refusal::NoAgreement {
        matching: 5,
        needed: 6,
        other: name(0),
    };
    accuses(&mut cohort.clients[4], truth(consents), &expected);
}

#[test]
fn consents_that_are_forged_repeated_or_of_strangers() {
    let forge = |change: fn(&mut Vec<(u16, Signature)>), matching, other| {
        let (mut cohort, mut request) = before_unmask(8, &[]);
        change(&mut request.consents);
        let expected = Refusal::NoAgreement {
            matching,
            needed: 6,
            other,
        };
        accuses(
            &mut cohort.clients[0],
            SecureStep::Unmask(request),
            &expected,
        );
    };
    forge(|consents| consents[2].1.0[40] ^= 1, 5, name(2));
    forge(|consents| consents[2].1.0.clear(), 5, name(2));
    forge(|consents| consents[3] = consents[1].clone(), 5, name(0));
    forge(|consents| consents[5].0 = 700, 5, "place 700".into());
    forge(|consents| consents.clear(), 0, name(0));
}

#[test]
fn survivors_whom_nobody_has_seen_before_or_too_few() {
    let cases = [
        (
            (0..5).collect::<Places>(),
            Refusal::TooFew {
                step: "the set of survivors",
                found: 5,
                needed: 6,
            },
        ),
        (
            (1..8).collect(),
            Refusal::LeftOut {
                step: "the set of survivors",
            },
        ),
        (
            (0..9).collect(),
            Refusal::Unsound {
                step: "the set of survivors",
            },
        ),
    ];
    for (survivors, expected) in cases {
        let mut cohort = Cohort::new(8, 3);
        cohort.until_masked();
        let step = SecureStep::Survivors(survivors);
        accuses(&mut cohort.clients[0], step, &expected);
    }
    let mut cohort = Cohort::new(8, 3);
    cohort.advertise(|n| n != 7);
    cohort.exchange(|_| true);
    cohort.exchange(|_| true);
    cohort.mask(|n| n != 7);
    let step = SecureStep::Survivors(everybody(8));
    let expected = Refusal::NotBefore {
        step: "the set of survivors",
        node: name(7),
    };
    accuses(&mut cohort.clients[0], step, &expected);
}

#[test]
fn both_shares_of_one_participant() {
    // At once.
    let (mut cohort, mut wanted) = before_unmask(8, &[7]);
    wanted.keys.insert(2);
    let expected = Refusal::BothShares { node: name(2) };
    accuses(
        &mut cohort.clients[0],
        SecureStep::Unmask(wanted),
        &expected,
    );

    // The other one instead.
    let (mut cohort, wanted) = before_unmask(8, &[7]);
    let swapped = UnmaskRequest {
        seeds: wanted.keys.clone(),
        keys: wanted.seeds.clone(),
        consents: wanted.consents.clone(),
    };
    let step = SecureStep::Unmask(swapped.clone());
    accuses(&mut cohort.clients[0], step, &Refusal::OtherShares);

    // One after the other.
    let (mut cohort, wanted) = before_unmask(8, &[7]);
    let first = message(&cohort.context, SecureStep::Unmask(wanted));
    let answer = cohort.clients[0].hear(first.clone()).unwrap().unwrap();
    let SecureStep::Reveal(shares) = &answer.step else {
        panic!("{answer:?}")
    };
    let kinds = |owner| {
        let of = shares.iter().filter(|share| share.owner == owner);
        of.map(|share| share.secret).collect::<Vec<_>>()
    };
    assert_eq!(kinds(7), [Secret::Key]);
    (0..7).for_each(|owner| assert_eq!(kinds(owner), [Secret::Seed]));
    assert_eq!(cohort.clients[0].hear(first).unwrap(), Some(answer));
    let step = SecureStep::Unmask(swapped);
    accuses(&mut cohort.clients[0], step, &Refusal::OtherShares);
}

#[test]
fn shares_are_not_revealed_before_the_survivors_are_known() {
    let mut cohort = Cohort::new(8, 3);
    cohort.until_masked();
    let early = SecureStep::Unmask(UnmaskRequest {
        seeds: everybody(8),
        keys: Places::default(),
        consents: Vec::new(),
    });
    let early = message(&cohort.context, early);
    let refused = refusal(&mut cohort.clients[0], early);
    assert!(matches!(refused, Refusal::OutOfTurn { .. }), "{refused}");
    // Nothing has happened: the round goes on.
    cohort.exchange(|_| true);
    cohort.exchange(|_| true);
    let sum = cohort.server.sum(None).unwrap();
    cohort.check(&sum, |_| true);
}

// --- participants

#[test]
fn a_dealer_whose_share_does_not_match_its_commitment() {
    // It commits to something else and seals that with it, so the seal opens.
    let mut cohort = Cohort::new(4, 3);
    cohort.advertise(|_| true);
    let letters = letters(&mut cohort);
    for (n, letter) in letters {
        let answer = cohort.clients[n].hear(letter).unwrap().unwrap();
        cohort.server.hear(&name(n), answer).unwrap();
    }
    let mut letters = super::cohort::letters(&mut cohort);
    let liar = super::liar::resealed(&cohort, 3, 0);
    let mut inbox = inbox(&letters[0].1);
    let at = inbox.shares.iter().position(|share| share.place == 3);
    inbox.shares[at.unwrap()] = liar;
    letters[0].1.step = SecureStep::Inbox(inbox.clone());
    let expected = Refusal::WrongShare { node: name(3) };
    accuses(&mut cohort.clients[0], SecureStep::Inbox(inbox), &expected);
}

#[test]
fn a_wrong_share_is_its_revealers_and_does_not_count() {
    type Change = fn(&mut Vec<RevealedShare>);
    let (node, owner) = (name(1), name(2));
    let wrong = Fault::WrongShare {
        node: node.clone(),
        owner: owner.clone(),
    };
    let cases: [(Change, Fault); 5] = [
        (|shares| shares[2].share[0] ^= 1, wrong.clone()),
        (|shares| shares[2].share = shares[3].share, wrong.clone()),
        (|shares| shares.truncate(2), wrong),
        (
            |shares| shares[2].secret = Secret::Key,
            Fault::Unasked {
                node: node.clone(),
                owner: owner.clone(),
            },
        ),
        (
            |shares| shares.push(shares[2].clone()),
            Fault::Unasked { node, owner },
        ),
    ];
    for (change, expected) in cases {
        let mut cohort = Cohort::new(8, 3);
        cohort.until_masked();
        cohort.exchange(|_| true);
        let mut faults = Vec::new();
        for (n, letter) in letters(&mut cohort) {
            let mut answer = cohort.clients[n].hear(letter).unwrap().unwrap();
            if let (1, SecureStep::Reveal(shares)) = (n, &mut answer.step) {
                change(shares);
            }
            faults.extend(cohort.server.hear(&name(n), answer).err());
        }
        assert_eq!(faults, [expected]);
        // The right shares are enough.
        let sum = cohort.server.sum(None).unwrap();
        cohort.check(&sum, |_| true);
    }
}

#[test]
fn a_dealer_of_shares_of_nothing_is_named() {
    // Of a survivor the seed is recovered, of a drop-out the masking key.
    for place in [2, 7] {
        let mut cohort = Cohort::new(8, 3);
        cohort.advertise(|_| true);
        super::liar::deals_shares_of_nothing(&mut cohort, place);
        cohort.exchange(|_| true);
        cohort.mask(|n| n != 7);
        cohort.exchange(|n| n != 7);
        cohort.exchange(|n| n != 7 && n != place);
        let owner = name(place);
        assert_eq!(
            cohort.server.sum(None).unwrap_err(),
            SumError::WrongDeal { owner }
        );
    }
}

#[test]
fn participants_out_of_turn_or_in_anothers_name() {
    let mut cohort = Cohort::new(4, 3);
    let keys = cohort.clients[1].advertise().unwrap();
    let hear = |cohort: &mut Cohort, n, message: &SecureMessage| {
        cohort.server.hear(&name(n), message.clone()).unwrap_err()
    };
    assert_eq!(
        hear(&mut cohort, 2, &keys),
        Fault::ForgedKeys { node: name(2) }
    );
    let (node, round) = (name(9), Round(1));
    assert_eq!(
        hear(&mut cohort, 9, &keys),
        Fault::NotInCohort { node, round }
    );
    cohort.advertise(|n| n < 3);
    let late = cohort.clients[3].advertise().unwrap();
    let lists = letters(&mut cohort);
    assert!(matches!(
        hear(&mut cohort, 3, &late),
        Fault::OutOfTurn { .. }
    ));
    let mut deal = cohort.clients[0].hear(lists[0].1.clone()).unwrap().unwrap();
    if let SecureStep::Shares(deal) = &mut deal.step {
        deal.shares.pop();
    }
    assert_eq!(
        hear(&mut cohort, 0, &deal),
        Fault::Holders { node: name(0) }
    );
    let masked = message(&cohort.context, SecureStep::Masked(Arc::new(vec![0; 40])));
    assert!(matches!(
        hear(&mut cohort, 0, &masked),
        Fault::OutOfTurn { .. }
    ));
    let other = SecureStep::Survivors(everybody(4));
    let other = message(&cohort.context, other);
    assert!(matches!(
        hear(&mut cohort, 0, &other),
        Fault::OutOfTurn { .. }
    ));
    let refused = refusal(&mut cohort.clients[0], masked);
    assert!(matches!(refused, Refusal::OutOfTurn { .. }), "{refused}");
}

#[test]
fn updates_and_consents_that_are_none() {
    let mut cohort = Cohort::new(4, 3);
    cohort.advertise(|_| true);
    cohort.exchange(|_| true);
    cohort.exchange(|_| true);
    let short = message(&cohort.context, SecureStep::Masked(Arc::new(vec![0; 39])));
    let fault = cohort.server.hear(&name(0), short).unwrap_err();
    let (expected, found) = (40, 39);
    assert_eq!(
        fault,
        Fault::Length {
            node: name(0),
            expected,
            found
        }
    );
    cohort.mask(|_| true);
    let letters = letters(&mut cohort);
    let consent = cohort.clients[1].hear(letters[1].1.clone()).unwrap();
    let fault = cohort.server.hear(&name(2), consent.unwrap()).unwrap_err();
    assert_eq!(fault, Fault::Consent { node: name(2) });
    let shortfall = Shortfall::TooFew {
        step: "consenting to the survivors",
        found: 0,
        needed: 3,
    };
    assert_eq!(cohort.server.advance().unwrap_err(), shortfall);
}

#[test]
fn an_update_that_is_garbage_is_no_model() {
    let mut cohort = Cohort::new(4, 3);
    cohort.advertise(|_| true);
    cohort.exchange(|_| true);
    cohort.exchange(|_| true);
    cohort.mask(|n| n > 0);
    let noise = message(
        &cohort.context,
        SecureStep::Masked(Arc::new(vec![0xa5; 40])),
    );
    cohort.server.hear(&name(0), noise).unwrap();
    cohort.exchange(|n| n > 0);
    cohort.exchange(|n| n > 0);
    let participants = 4;
    assert_eq!(
        cohort.server.sum(None).unwrap_err(),
        SumError::Garbage { participants }
    );
}
