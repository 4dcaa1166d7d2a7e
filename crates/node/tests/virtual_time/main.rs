//! Whole nodes on one thread in virtual time: everything in the supervision tree is real, the
//! surroundings are in memory. Minutes of a cluster's life pass in seconds.
//!
//! One test, for the process has one time line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kafka;
mod tenants;
mod world;

use kafka::Consumer;
use ledger::RoundOutcome;
use node::probe::Probe;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wire::control::{Answer, Ask, ModelJob};
use wire::{KeyEpoch, Round};
use world::{LIMIT, NAMES, Node, World, until};

/// Mails of each device: enough to warm it up and to have something to train on.
const MAILS: usize = 60;
/// Of one device, until it is judged: at most so many more, some at a time.
const MOST_MORE: usize = 1_000;
const AT_A_TIME: usize = 50;
/// Judgements that others are to hear of.
const JUDGED: u64 = 10;

/// With so much that may be told of its data.
fn tables(index: usize, epsilon: f64) -> String {
    let tenant = match index < tenants::TENANTS_NODES {
        true => format!(r#", tenant = "{}""#, tenants::TENANT),
        false => String::new(),
    };
    format!(
        r#"
[learning]
min_cohort = 3
# So little noise hides nothing; what is tried is how such rounds go.
privacy = {{ noise_multiplier = 0.002, clip = 2.0, epsilon = {epsilon:?}, noise = "distributed"{tenant} }}
min_examples = 8
pause_ms = 2000
round_timeout_ms = 5000
[export]
brokers = ["{}"]
alerts = "alerts"
rounds = "rounds"
scores = "scores"
"#,
        kafka::ADDRESS
    )
}

async fn start(world: &World, dir: &Path, index: usize) -> Node {
    start_with(world, dir, index, 1e12).await
}

async fn start_with(world: &World, dir: &Path, index: usize, epsilon: f64) -> Node {
    let tables = tables(index, epsilon);
    world.start(dir, index, &tables, Duration::ZERO).await
}

fn mail(name: &str, number: usize) -> String {
    let charge = 90.0 + (number as f64 * 0.7).sin();
    let load = 40.0 + (number as f64 * 0.3).cos();
    format!(
        "From: ups-{name}@hall.example\r\nTo: telemetry@glasshouse.example\r\nMessage-ID: <{number}@{name}>\r\nSubject: report\r\nMIME-Version: 1.0\r\nContent-Type: application/senml+json\r\n\r\n[{{\"bn\":\"ups-{name}:\",\"n\":\"battery.charge\",\"u\":\"%\",\"v\":{charge}}},{{\"n\":\"load\",\"u\":\"%\",\"v\":{load}}}]"
    )
}

/// One device reports until it is judged; by how many mails, and how often that was.
async fn score_reports(world: &World, probes: &[Probe]) -> (usize, usize) {
    let name = NAMES[0];
    let scored = || -> u64 {
        let each = probes.iter().map(|probe| probe.status().learning.scored);
        each.sum()
    };
    let mut more = 0;
    while scored() < JUDGED {
        assert!(
            more < MOST_MORE,
            "{} of {more} reports were judged",
            scored()
        );
        for number in more..more + AT_A_TIME {
            let from = format!("ups-{name}@hall.example");
            // Behind the mail that comes after the return of a node.
            let report = mail(name, MAILS + 1 + number);
            world.deliver(NAMES[1], &from, &report).await.unwrap();
        }
        more += AT_A_TIME;
        until("the reports are read", || {
            probes.iter().all(|probe| probe.status().mail.pending == 0)
        })
        .await;
        sleep(Duration::from_secs(1)).await;
    }
    (more, usize::try_from(scored()).unwrap())
}

/// Whatever happened while the broker was away reaches it: every act that others are to hear of, every score.
async fn others_hear_of_everything(world: &World, dir: &Path, probes: &[Probe], scored: usize) {
    let leaves = probes[0].ledger().size_and_root().0;
    let expected = kafka::told_by(&dir.join(probes[0].me().as_str()).join("ledger"), leaves);
    let mut consumer = Consumer::new(&world.kafka);
    let begin = Instant::now();
    let missing = |consumer: &Consumer| -> Vec<String> {
        let ids = expected.keys();
        ids.filter(|id| !consumer.events.contains_key(*id))
            .cloned()
            .collect()
    };
    while !missing(&consumer).is_empty() || consumer.scores() < scored {
        let (missing, scores) = (missing(&consumer), consumer.scores());
        assert!(
            begin.elapsed() < LIMIT,
            "missing: {missing:?}, {scores} of {scored} scores"
        );
        consumer.read().await;
    }
    for (id, event) in &expected {
        assert_eq!(consumer.events[id], *event);
    }
    let kinds: BTreeSet<&str> = expected
        .values()
        .filter_map(|event| event["type"].as_str())
        .collect();
    let all = [
        "alert.raised",
        "alert.cleared",
        "round.closed",
        "model.pinned",
        "model.unpinned",
        "model.rolled-back",
    ];
    for kind in all {
        assert!(
            kinds.contains(&*format!("glasshouse.{kind}.v1")),
            "{kind}: {kinds:?}"
        );
    }
    assert!(probes.iter().all(|probe| probe.status().export.shed == 0));
    println!(
        "others heard of {} acts and {} scores by {} records, {:?} after the broker was back",
        expected.len(),
        consumer.scores(),
        consumer.records,
        begin.elapsed()
    );
}

/// An alert and its end become a thread in the operator's letterbox; what comes back is counted.
async fn alert_mail(world: &World, probe: &Probe, name: &str) {
    let from = format!("ups-{name}@hall.example");
    let find = |subject: String| {
        let letters = world.letters.lock().unwrap();
        letters
            .iter()
            .find(|letter| letter.subject == subject)
            .cloned()
    };
    let mut letters = Vec::new();
    for (word, text) in [
        (
            "WARNING",
            "UPS: On battery power in response to rapid change.",
        ),
        ("CLEARED", "UPS: No longer on battery power."),
    ] {
        let body =
            format!("From: {from}\r\nSubject: UPS\r\nMessage-ID: <{word}@{name}>\r\n\r\n{text}");
        world.deliver(name, &from, &body).await.unwrap();
        let subject = format!("[{word}] hall-{name} ups-{name}: on-battery");
        let arrived = || find(subject.clone()).is_some();
        until("the operator has an alert mail", arrived).await;
        letters.extend(find(subject));
    }
    assert_eq!(letters[1].in_reply_to.as_ref(), Some(&letters[0].id));

    // The same node's mailbox, which is not said to be the one whose alert it was.
    let door = NAMES[probe_index(probe)];
    let quarantined = probe.status().mail.quarantined;
    let bounce = format!(
        "From: MAILER-DAEMON@mx.example\r\nMessage-ID: <bounce@mx.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; gone@ops.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{}>\r\n\r\n--b--",
        letters[0].id
    );
    world.deliver(door, "", &bounce).await.unwrap();
    until("the bounce is counted", || {
        probe.status().alerts.bounced == 1
    })
    .await;
    let status = probe.status();
    assert_eq!(status.alerts.bounces[0].recipient, "gone@ops.example");
    assert_eq!(
        status.alerts.bounces[0].diagnostic,
        "550 5.1.1 no such user"
    );
    assert_eq!(status.mail.quarantined, quarantined);
}

fn probe_index(probe: &Probe) -> usize {
    let node = probe.status().node;
    NAMES.iter().position(|name| *name == node).unwrap()
}

#[tokio::test(start_paused = true)]
async fn three_nodes_read_mail_learn_and_turn_their_keys_on_one_thread() {
    let wall = std::time::Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    world.kafka.start();
    let mut nodes = Vec::new();
    for index in 0..NAMES.len() {
        nodes.push(start(&world, dir.path(), index).await);
    }
    let probes: Vec<Probe> = nodes.iter().map(|node| node.probe.clone()).collect();
    let all = |holds: &dyn Fn(&Probe) -> bool| probes.iter().all(holds);

    until("one leader, three members up, all linked", || {
        let leaders: Vec<_> = probes
            .iter()
            .map(|probe| probe.ledger().leader().borrow().leader.clone())
            .collect();
        leaders[0].is_some()
            && leaders.iter().all(|leader| *leader == leaders[0])
            && all(&|probe| probe.ledger().state().up().count() == 3)
            && all(&|probe| probe.cluster().links().len() == 2)
    })
    .await;
    until("everybody holds a key", || {
        all(&|probe| probe.data_epoch() > KeyEpoch(0))
    })
    .await;

    // Mail comes in at one node and belongs to the room of another.
    for number in 0..MAILS {
        for (index, name) in NAMES.iter().enumerate() {
            let door = NAMES[(index + 1) % NAMES.len()];
            world
                .deliver(
                    door,
                    &format!("ups-{name}@hall.example"),
                    &mail(name, number),
                )
                .await
                .unwrap();
        }
    }
    until("every mail is read, and its digest on the ledger", || {
        all(&|probe| probe.status().dds.received_remote >= MAILS as u64)
            && all(&|probe| probe.status().ledger.mails == 3 * MAILS as u64)
            && all(&|probe| probe.status().mail.pending == 0)
    })
    .await;

    until("rounds close", || {
        all(&|probe| probe.ledger().state().rounds.closed >= 5)
    })
    .await;
    until(
        "all have the same model, data and links one key epoch per round",
        || {
            let state = probes[0].ledger().state();
            let epoch = state.keys.epoch;
            epoch > KeyEpoch(5)
                && all(&|probe| probe.data_epoch() == epoch && probe.link_epoch() == epoch)
                && all(&|probe| {
                    probe
                        .link_epochs()
                        .values()
                        .all(|each| *each == (epoch, epoch))
                })
                && all(&|probe| probe.model().map(|(_, digest)| digest) == state.rounds.model)
        },
    )
    .await;

    // All of it in secure rounds with noise by the participants: each is paid for, and its model says so.
    let state = probes[0].ledger().state();
    let rounds = &state.rounds;
    let closed = rounds
        .history
        .iter()
        .filter_map(|ended| match &ended.outcome {
            RoundOutcome::Closed {
                privacy,
                participants,
                examples,
                ..
            } => Some((*privacy, *participants, *examples)),
            RoundOutcome::Abandoned(_) => None,
        });
    let mut before = 0.0;
    for (cost, participants, examples) in closed {
        let cost = cost.expect("a private round");
        assert_eq!((participants, examples, cost.noise_milli), (3, 3, 2));
        assert!(cost.epsilon > before, "{cost:?} after {before}");
        before = cost.epsilon;
    }
    for name in NAMES {
        assert!(rounds.spent[&name.into()][&2] >= rounds.closed);
    }
    tenants::pays_for_both(&probes);

    until("others hear of rounds", || {
        probes
            .iter()
            .any(|probe| probe.status().export.acknowledged > 0)
    })
    .await;
    // From here on the broker is away, until everything has happened.
    world.kafka.kill();
    let acknowledged = |probes: &[Probe]| -> u64 {
        let each = probes
            .iter()
            .map(|probe| probe.status().export.acknowledged);
        each.sum()
    };
    let heard = acknowledged(&probes);
    let (more, scored) = score_reports(&world, &probes).await;
    choose_models(&probes).await;

    // A leader that stops is replaced, and comes back with everything.
    let leader = probes[0].ledger().leader().borrow().leader.clone().unwrap();
    let index = NAMES
        .iter()
        .position(|name| *name == leader.as_str())
        .unwrap();
    let gone = nodes.remove(index);
    gone.stop().await;
    let left: Vec<Probe> = nodes.iter().map(|node| node.probe.clone()).collect();
    until("another one leads", || {
        left.iter().all(|probe| {
            let now = probe.ledger().leader().borrow().leader.clone();
            now.is_some_and(|now| now != leader)
        })
    })
    .await;
    let size = left[0].ledger().size_and_root().0;
    let back = start(&world, dir.path(), index).await;
    let probe = back.probe.clone();
    until("the former leader is back and reads mail", || {
        probe.ledger().size_and_root().0 > size
            && probe.data_epoch() > KeyEpoch(0)
            && probe.data_epoch() == probe.ledger().state().keys.epoch
    })
    .await;
    let name = NAMES[index];
    world
        .deliver(
            name,
            &format!("ups-{name}@hall.example"),
            &mail(name, MAILS),
        )
        .await
        .unwrap();
    until("the mail after the return is on the ledger", || {
        probe.status().ledger.mails == (3 * MAILS + more) as u64 + 1
    })
    .await;

    alert_mail(&world, &left[0], NAMES[(index + 1) % NAMES.len()]).await;

    let now = [&left[..], &[probe]].concat();
    assert!(acknowledged(&now) <= heard, "the broker is away");
    world.kafka.start();
    others_hear_of_everything(&world, dir.path(), &now, scored).await;

    nodes.push(back);
    let mut nodes = tenants::budget_ends(&world, dir.path(), nodes).await;

    // The probe acts as an operator does.
    let evicted = nodes.remove(2);
    let left: Vec<Probe> = nodes.iter().map(|node| node.probe.clone()).collect();
    let ask = Ask::Evict {
        node: evicted.probe.me().clone(),
        reason: "a test of the exit".to_owned(),
    };
    let answer = left[0].ask(ask).await;
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    let end = evicted.run.await.unwrap();
    assert!(end.is_err(), "an evicted node ends with the reason");
    let closed = left[0].ledger().state().rounds.last_closed;
    println!(
        "round {closed}, key epoch {}: {:?} of virtual time in {:?}",
        left[0].data_epoch(),
        runtime::clock::now().since(machine::Instant::ZERO),
        wall.elapsed()
    );
    assert!(closed > Round(5));
    for node in nodes {
        node.stop().await;
    }
}

/// An operator pins a model, lets it go, and drops what was learned after another one.
async fn choose_models(probes: &[Probe]) {
    let all = |does: &dyn Fn(&Probe) -> bool| probes.iter().all(does);
    let rounds = || probes[0].ledger().state().rounds.clone();
    let choose = async |job: ModelJob| {
        let reason = "a test of choices".to_owned();
        let answer = probes[0].ask(Ask::Model { job, reason }).await;
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    };
    let digest_of = |round: u64| {
        let rounds = rounds();
        let ended = rounds
            .history
            .iter()
            .find(|ended| ended.round == Round(round));
        match ended.map(|ended| ended.outcome.clone()) {
            Some(RoundOutcome::Closed { model, .. }) => model,
            other => panic!("round {round} made no model: {other:?}"),
        }
    };
    let made: Vec<u64> = rounds().losses().map(|(round, _)| round.0).collect();
    let (early, later) = (made[1], made[3]);

    choose(ModelJob::Pin {
        model: digest_of(early).to_string()[..10].to_owned(),
    })
    .await;
    let closed = rounds().closed;
    until("rounds go on under a pinned model", || {
        rounds().closed > closed + 1
            && all(&|probe| probe.model() == Some((Round(early), digest_of(early))))
    })
    .await;
    choose(ModelJob::Unpin).await;
    until("the newest model scores again", || {
        all(&|probe| {
            probe
                .model()
                .is_some_and(|(round, _)| round > Round(closed))
        })
    })
    .await;

    let before = rounds().last;
    choose(ModelJob::RollBack {
        model: later.to_string(),
    })
    .await;
    until(
        "the next round starts from the model rolled back to",
        || {
            let rounds = rounds();
            let next = rounds.history.iter().find(|ended| {
                ended.round > before && matches!(ended.outcome, RoundOutcome::Closed { .. })
            });
            next.is_some_and(|next| next.base == digest_of(later))
        },
    )
    .await;
    until("all score by what it made", || {
        all(&|probe| probe.model().map(|(_, digest)| digest) == rounds().model)
    })
    .await;
    let wrong = ModelJob::RollBack {
        model: "deadbeef".to_owned(),
    };
    let reason = "a test of refusals".to_owned();
    let answer = probes[0].ask(Ask::Model { job: wrong, reason }).await;
    assert!(
        matches!(&answer, Answer::Refused { text } if text.contains("models list")),
        "{answer:?}"
    );
}
