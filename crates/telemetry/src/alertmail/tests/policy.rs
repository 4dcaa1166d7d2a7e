//! What is mailed when.

use super::*;

#[test]
fn one_alert_goes_out_at_once_and_its_end_follows_it_up() {
    let mut office = Office::open();
    let ups = alert("ups-1", "on-battery", 1);
    office.leaf(raise(&ups));
    assert_eq!(office.ids(), ["raised.0"]);
    office.pass(seconds(30));
    office.leaf(clear(&ups));
    assert_eq!(office.ids(), ["raised.0", "cleared.1"]);
    let end = &office.taken[1];
    assert_eq!(end.in_reply_to.as_deref(), Some("raised.0@hall.glasshouse"));
    assert_eq!((office.kept.mark(), office.postman.waiting()), (2, 0));
}

#[test]
fn a_storm_is_one_digest_after_the_first_few() {
    const STORM: u64 = 4_328;
    let mut office = Office::open();
    for number in 0..STORM {
        let mut one = alert(&format!("ups-{number}"), "on-battery", number);
        one.room = format!("hall-{}", number % 12).as_str().into();
        if number == 4_000 {
            one.severity = Severity::Critical;
        }
        office.leaf(raise(&one));
        if number % 2 == 0 {
            office.leaf(clear(&one));
        }
    }
    assert_eq!(office.taken.len(), Settings::DIGEST_AFTER);
    office.pass(seconds(3_600));
    let [.., digest] = &office.taken[..] else {
        panic!("no mail")
    };
    assert_eq!(office.taken.len(), Settings::DIGEST_AFTER + 1);
    let told = |count: fn(&Letter) -> u64| office.taken.iter().map(count).sum::<u64>();
    assert_eq!(told(|letter| letter.raised), STORM);
    assert_eq!(told(|letter| letter.cleared), STORM / 2);
    // 0 with its end, 1, 2 with its end went alone.
    assert_eq!(
        digest.subject,
        "[CRITICAL] 4325 alerts in 12 rooms, 2162 over"
    );
    assert!(digest.body.contains("CRITICAL hall-4 ups-4000"));
    assert_eq!(office.kept.mark(), office.ledger.len() as u64);
}

#[test]
fn a_storm_that_goes_on_is_told_less_and_less_often() {
    let mut office = Office::open();
    for number in 0..3_600 {
        office.leaf(raise(&alert(&format!("ups-{number}"), "overload", number)));
        office.pass(seconds(1));
    }
    office.pass(seconds(3_600));
    let digests = office.taken.len() - Settings::DIGEST_AFTER;
    assert!((4..=9).contains(&digests), "{digests} in an hour");
    assert_eq!(
        office.taken.iter().map(|letter| letter.raised).sum::<u64>(),
        3_600
    );
    // Calm again: the next one is news at once.
    office.leaf(raise(&alert("pdu-1", "overload", 9)));
    assert_eq!(office.ids().last(), Some(&"raised.3600"));
}

#[test]
fn what_was_raised_and_cleared_within_the_window_is_one_line() {
    let mut office = Office::open();
    for number in 0..5 {
        office.leaf(raise(&alert(&format!("pdu-{number}"), "overload", number)));
    }
    let ups = alert("ups-1", "on-battery", 5);
    office.leaf(raise(&ups));
    office.leaf(clear(&ups));
    office.pass(seconds(60));
    let digest = office.taken.last().unwrap();
    let lines = digest.body.lines().filter(|line| line.starts_with("- "));
    assert_eq!(lines.count(), 1, "{}", digest.body);
    assert_eq!(digest.subject, "[WARNING] 1 alert in hall-a, 1 over");
}

#[test]
fn the_same_again_is_counted_in_the_next_digest() {
    let mut office = Office::open();
    for number in 0..4 {
        let ups = alert("ups-1", "on-battery", number);
        office.leaf(raise(&ups));
        office.pass(seconds(5));
        office.leaf(clear(&ups));
        office.pass(seconds(5));
    }
    assert_eq!(office.ids(), ["raised.0", "cleared.1"]);
    // Everything is over: no hurry.
    office.pass(Settings::REPEAT - seconds(60));
    assert_eq!(office.taken.len(), 2);
    assert_eq!(office.kept.mark(), 2);
    office.pass(seconds(60));
    assert_eq!(office.ids()[2..], ["digest.2-7"]);
    assert!(office.taken[2].body.contains("3 times"));
    assert_eq!(office.kept.mark(), 8);
}

#[test]
fn what_is_open_again_is_told_within_a_window() {
    let mut office = Office::open();
    let ups = alert("ups-1", "on-battery", 0);
    office.leaf(raise(&ups));
    office.leaf(clear(&ups));
    office.pass(seconds(10));
    office.leaf(raise(&alert("ups-1", "on-battery", 1)));
    // Another device's news do not wait for it.
    office.leaf(raise(&alert("pdu-1", "overload", 2)));
    assert_eq!(office.ids(), ["raised.0", "cleared.1", "raised.3"]);
    assert_eq!(office.kept.mark(), 2, "the repeated one is not mailed yet");
    office.pass(Settings::DIGEST_WINDOW);
    assert_eq!(office.ids()[3..], ["digest.2-2"]);
    assert_eq!(office.kept.mark(), 4);
}

#[test]
fn worse_than_before_is_news() {
    let mut office = Office::open();
    office.leaf(raise(&alert("ups-1", "on-battery", 0)));
    let mut worse = alert("ups-1", "on-battery", 1);
    worse.severity = Severity::Critical;
    office.leaf(raise(&worse));
    assert_eq!(office.ids(), ["raised.0", "raised.1"]);
    office.pass(Settings::REPEAT);
    office.leaf(raise(&alert("ups-1", "on-battery", 2)));
    assert_eq!(office.ids()[2..], ["raised.2"], "long ago is news, too");
}

#[test]
fn a_relay_that_is_down_for_an_hour_gets_a_handful_of_mails() {
    let mut office = Office::open();
    let up = Instant::from_millis(1_000) + seconds(3_600);
    office.relay = Box::new(move |_, now| {
        if now < up {
            Answer::NotNow
        } else {
            Answer::Taken
        }
    });
    for number in 0..3_600 {
        office.leaf(raise(&alert(&format!("ups-{number}"), "overload", number)));
        office.pass(seconds(1));
        let waiting = office.postman.waiting();
        assert!(waiting <= Settings::DIGEST_AFTER as u64 + 2, "{waiting}");
        assert_eq!(office.kept.mark(), 0);
    }
    // Every mail has its pauses, and so has the relay.
    assert!(office.tries < 120, "{} tries in an hour", office.tries);
    office.pass(seconds(1_800));
    assert!(office.taken.len() <= Settings::DIGEST_AFTER + 2);
    let told = office.taken.iter().map(|letter| letter.raised);
    assert_eq!(told.sum::<u64>(), 3_600);
    assert_eq!((office.kept.mark(), office.postman.waiting()), (3_600, 0));
}

#[test]
fn a_mail_that_the_relay_dislikes_holds_up_no_other() {
    for answer in [Answer::Refused, Answer::NotNow] {
        let mut office = Office::open();
        office.relay = Box::new(move |letter, _| {
            if letter.id.starts_with("raised.1@") {
                answer
            } else {
                Answer::Taken
            }
        });
        for number in 0..20 {
            office.leaf(raise(&alert(&format!("ups-{number}"), "overload", number)));
        }
        office.pass(seconds(120));
        assert_eq!(
            office.ids(),
            [
                "raised.0",
                "raised.2",
                "raised.3",
                "raised.4",
                "digest.5-19"
            ]
        );
        let stuck = answer == Answer::NotNow;
        let mark = if stuck { 1 } else { 20 };
        assert_eq!(office.kept.mark(), mark, "{answer:?}");
        assert_eq!(office.postman.waiting(), u64::from(stuck));
        office.relay = Box::new(|_, _| Answer::Taken);
        office.pass(seconds(120));
        assert_eq!(office.kept.mark(), 20);
        assert_eq!(office.taken.len(), if stuck { 6 } else { 5 });
    }
}

#[test]
fn others_alerts_are_known_and_not_mailed() {
    let mut office = Office::open();
    let ups = alert("ups-1", "on-battery", 0);
    office.give(Input::Leaf {
        index: 0,
        mine: false,
        event: Some(raise(&ups)),
    });
    office.ledger.push(raise(&ups));
    assert_eq!(office.ids(), [""; 0]);
    // The room has moved here since.
    office.leaf(clear(&ups));
    assert_eq!(office.ids(), ["cleared.1"]);
    let reply = office.taken[0].in_reply_to.as_deref();
    assert_eq!(reply, Some("raised.0@hall.glasshouse"));
}

#[test]
fn progress_is_read_as_written_and_damage_is_found() {
    let progress = Progress {
        digested: 7,
        until: 12,
        waiting: [3, 9].into(),
        apart: [9, 11].into(),
    };
    for progress in [progress, Progress::default(), Progress::from_mark(4_711)] {
        let text = progress.to_text();
        assert_eq!(Progress::from_text(&text), Ok(progress));
        for at in 0..text.len() {
            assert!(Progress::from_text(&text[..at]).is_err(), "cut at {at}");
            let mut turned = text.clone().into_bytes();
            turned[at] ^= 1;
            let turned = String::from_utf8(turned).unwrap();
            assert!(Progress::from_text(&turned).is_err(), "{turned}");
        }
    }
}
