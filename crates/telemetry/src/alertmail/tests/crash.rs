//! Crashes at every point between deciding, keeping, sending and hearing the answer.

use super::*;

/// A busy hour: news, repetitions, a storm, ends.
fn hour() -> Vec<(u64, Event)> {
    let mut hour = Vec::new();
    for number in 0..4 {
        let ups = alert("ups-1", "on-battery", number);
        hour.push((20, raise(&ups)));
        hour.push((15, clear(&ups)));
    }
    let pdus: Vec<Alert> = (0..12)
        .map(|number| alert(&format!("pdu-{number}"), "overload", 100 + number))
        .collect();
    hour.extend(pdus.iter().map(|pdu| (1, raise(pdu))));
    hour.extend(pdus.iter().map(|pdu| (20, clear(pdu))));
    hour.push((400, raise(&alert("fan-1", "slow", 500))));
    hour.push((10, raise(&alert("fan-1", "slow", 501))));
    hour
}

/// Where the process dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// Before the mail with this number is at the relay.
    BeforePost(u64),
    /// The relay has it, and nobody heard so.
    AfterPost(u64),
    /// It was heard, and not kept.
    BeforeKeep(u64),
}

/// Plays the hour, dies once, and starts again with what was kept. True: it died.
fn play(death: Option<Death>, office: &mut Office) -> bool {
    let mut dead = false;
    let (mut posts, mut keeps) = (0, 0);
    let mut at = 0;
    let mut events = hour().into_iter();
    let mut pending = events.next();
    let mut time = 0;
    while at < 4_000 {
        let mut out = Vec::new();
        if pending.as_ref().is_some_and(|(gap, _)| at >= time + gap) {
            let (gap, event) = pending.take().unwrap();
            time += gap;
            pending = events.next();
            office.ledger.push(event.clone());
            let leaf = Input::Leaf {
                index: office.ledger.len() as u64 - 1,
                mine: true,
                event: Some(event),
            };
            office.postman.handle(office.now, leaf, &mut out);
        } else {
            at += 1;
            office.now = office.now + seconds(1);
            office.postman.tick(office.now, &mut out);
        }
        let mut todo: std::collections::VecDeque<Output> = out.into();
        while let Some(output) = todo.pop_front() {
            let dies = match output {
                Output::Keep(progress) => {
                    keeps += 1;
                    let dies = matches!(death, Some(Death::BeforeKeep(at)) if at == keeps);
                    if dead || !dies {
                        office.kept = Progress::from_text(&progress.to_text()).unwrap();
                    }
                    dies
                }
                Output::Post(letter) => {
                    posts += 1;
                    let before = matches!(death, Some(Death::BeforePost(at)) if at == posts);
                    let after = matches!(death, Some(Death::AfterPost(at)) if at == posts);
                    if dead || !before {
                        office.taken.push(letter);
                    }
                    if dead || !(before || after) {
                        let mut more = Vec::new();
                        let answer = Input::Answered(Answer::Taken);
                        office.postman.handle(office.now, answer, &mut more);
                        todo.extend(more);
                    }
                    before || after
                }
            };
            if dies && !dead {
                dead = true;
                office.postman = Postman::new(settings(), office.kept.clone(), 8);
                todo.clear();
                for (index, event) in (0..).zip(office.ledger.clone()) {
                    let mut out = Vec::new();
                    let leaf = Input::Leaf {
                        index,
                        mine: true,
                        event: Some(event),
                    };
                    office.postman.handle(office.now, leaf, &mut out);
                    todo.extend(out);
                }
            }
        }
    }
    dead
}

#[test]
fn a_crash_loses_nothing_and_repeats_only_whole_mails() {
    let mut whole = Office::open();
    assert!(!play(None, &mut whole));
    let raised: u64 = whole.unique().values().map(|letter| letter.raised).sum();
    assert_eq!(raised, 18);
    assert!(whole.unique().len() < 18, "there is a digest among them");
    assert_eq!(whole.unique().len(), whole.taken.len(), "no mail twice");

    let kinds: [fn(u64) -> Death; 3] = [Death::BeforePost, Death::AfterPost, Death::BeforeKeep];
    for kind in kinds {
        let mut deaths = 0;
        for at in 1.. {
            let mut office = Office::open();
            if !play(Some(kind(at)), &mut office) {
                break;
            }
            deaths += 1;
            let unique = office.unique();
            let raised: u64 = unique.values().map(|letter| letter.raised).sum();
            let cleared: u64 = unique.values().map(|letter| letter.cleared).sum();
            assert_eq!((raised, cleared), (18, 16), "{:?}", kind(at));
            assert!(office.taken.len() <= unique.len() + 1, "{:?}", kind(at));
            assert_eq!(office.kept.mark(), office.ledger.len() as u64);
        }
        assert!(deaths > 10, "{deaths} deaths");
    }
}
