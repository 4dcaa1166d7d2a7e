//! The data space from outside: a program with a reader key, a stranger, and what the status says of them.

use crate::house::House;
use dds::{CycloneSpace, DataSpace, Delivery, Sample, Topic};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wire::status::Status;

const MAIL: &[u8] = b"From: ups-1@hall.example\r\nTo: telemetry@glasshouse.example\r\nMessage-ID: <1@hall>\r\nSubject: report\r\nMIME-Version: 1.0\r\nContent-Type: application/senml+json\r\n\r\n[{\"bn\":\"ups-1:\",\"n\":\"battery.charge\",\"u\":\"%\",\"v\":98.5}]\r\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An outside program on the house's domain.
fn outside(house: &House, script: &str, arguments: &[&str]) -> Child {
    let python = root().join(".tools/dds-venv/bin/python");
    assert!(
        python.exists(),
        "the DDS peer {} is missing: run `cargo xtask setup`",
        python.display()
    );
    let config = config::load(&house.config).expect("the house has a configuration");
    Command::new(python)
        .arg(root().join("deploy/dds").join(script))
        .args(["--domain", &config.dds.domain.to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs")
}

fn refused(status: &Status, topic: &str, reason: &str) -> u64 {
    let topic = status.dds.topics.get(topic);
    let count = topic.and_then(|topic| topic.refused.get(reason));
    count.copied().unwrap_or(0)
}

#[test]
fn a_reader_key_opens_its_room_and_a_stranger_is_counted() {
    // The device is missed after some seconds, which is an alert.
    let mut house = House::build("heartbeat_s = 2\n");
    house.start();
    house.until("all members read the IDL's types", |status| {
        status.ledger.level >= wire::Level::TYPED.0
    });
    let (config, key) = (house.config.display().to_string(), house.path("reader.key"));
    let file = key.display().to_string();
    let ask = |more: &[&str]| {
        let mut arguments = vec!["dds", "key", "--config", &config, "--reader", "test"];
        arguments.extend(more);
        house.glasshouse(&arguments)
    };

    let size = house.status().unwrap().ledger.size;
    let given = ask(&["--room", "hall", "--for", "1h", "--out", &file]);
    assert!(given.status.success(), "{given:?}");
    house.until("the ledger has it", |status| status.ledger.size > size);
    let refusal = ask(&["--room", "hall", "--for", "8d"]);
    assert!(!refusal.status.success());
    let sentence = String::from_utf8_lossy(&refusal.stderr).into_owned();
    assert!(sentence.contains("1 second to 7 days"), "{sentence}");

    let mut reader = outside(
        &house,
        "open_samples.py",
        &["--key", &file, "--count", "1", "--seconds", "50"],
    );
    house.mail("ups-1@hall.example", MAIL).unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(reader.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    assert!(reader.wait().unwrap().success());
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(said["writer"], "solo", "{line}");
    assert_eq!(said["opened"]["device"], "ups-1", "{line}");
    let reading = &said["opened"]["reports"][0]["readings"][0];
    assert_eq!(
        (&reading["name"], &reading["value"]),
        (&"battery.charge".into(), &98.5.into())
    );

    // The key of the room is none of another topic.
    let text = std::fs::read_to_string(&key).unwrap();
    std::fs::write(
        &key,
        text.replace("glasshouse_readings", "glasshouse_status")
            .replace("\"hall\"", "\"house\""),
    )
    .unwrap();
    let other = outside(
        &house,
        "open_samples.py",
        &["--key", &file, "--count", "1", "--seconds", "50"],
    );
    let output = other.wait_with_output().unwrap();
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(line.contains("not authentic"), "{line}");

    let mut stranger = outside(
        &house,
        "spy.py",
        &["--partition", "hall", "--publish", "3", "--key", "ups-1"],
    );
    let status = house.until(
        "garbage is counted, alerts and nodes are announced",
        |status| {
            let received = |name: &str| {
                status
                    .dds
                    .topics
                    .get(name)
                    .map_or(0, |topic| topic.received)
            };
            refused(status, "glasshouse_readings", "not_sealed") == 3
                && received("glasshouse_alerts") > 0
                && received("glasshouse_status") > 0
        },
    );
    drop(stranger.stdin.take());
    stranger.wait().unwrap();
    assert_eq!(
        status.dds.refused, 3,
        "and nothing else: {:?}",
        status.dds.topics
    );
    let printed = house.glasshouse(&["status", "--config", &config]);
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.contains("refused: 3 not sealed"), "{printed}");
}

/// Lines of a running `glasshouse dds spy`.
struct Spy(Child, std::io::Lines<BufReader<std::process::ChildStdout>>);

impl Spy {
    fn start(house: &House, arguments: &[&str]) -> Self {
        let mut spy = Command::new(env!("CARGO_BIN_EXE_glasshouse"))
            .args(["dds", "spy", "--for", "50s", "--config"])
            .arg(&house.config)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(spy.stdout.take().expect("it has a pipe")).lines();
        Self(spy, lines)
    }

    /// The next line that is about a sample.
    fn sample(&mut self) -> String {
        let lines = self.1.by_ref().map(Result::unwrap);
        let mut samples = lines.filter(|line| !line.contains(" * ") && !line.contains("\"event\""));
        samples.next().expect("a sample came in time")
    }

    fn end(mut self) {
        assert!(self.0.wait().is_ok_and(|status| status.success()));
    }
}

impl Drop for Spy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_missed_deadline_is_an_alert_and_the_spy_shows_it() {
    let mut house = House::build("[dds.topic.readings]\ndeadline_ms = 1000\n");
    house.start();
    house.until("all members read the IDL's types", |status| {
        status.ledger.level >= wire::Level::TYPED.0
    });
    let config = house.config.display().to_string();
    let key = |name: &str, place: &[&str]| {
        let file = house.path(name).display().to_string();
        let mut arguments = vec![
            "dds", "key", "--config", &config, "--reader", "test", "--out", &file,
        ];
        arguments.extend(place);
        let given = house.glasshouse(&arguments);
        assert!(given.status.success(), "{given:?}");
        file
    };
    let (hall, alerts) = (
        key("hall.key", &["--room", "hall"]),
        key("alerts.key", &["--topic", "alerts"]),
    );
    let mut opened = Spy::start(&house, &["--key", &hall, "--count", "1"]);
    let mut closed = Spy::start(
        &house,
        &["--room", "hall", "--device", "ups-1", "--count", "1"],
    );
    let mut told = Spy::start(&house, &["--key", &alerts, "--json", "--count", "2"]);
    house.mail("ups-1@hall.example", MAIL).unwrap();
    let line = opened.sample();
    let expected = "readings ups-1  hall  battery.charge=98.5 %  (solo ";
    assert!(line.contains(expected), "{line}");
    let line = closed.sample();
    assert!(line.contains("readings ups-1  sealed, "), "{line}");
    assert!(line.contains("no reader key"), "{line}");

    let alert: serde_json::Value = serde_json::from_str(&told.sample()).unwrap();
    let said = &alert["said"];
    assert_eq!(
        (&said["device"], &said["state"]),
        (&"ups-1".into(), &"raised".into())
    );
    let summary = said["summary"].as_str().unwrap();
    assert!(
        summary.contains("by its topic's deadline it has to every 1.0 s"),
        "{summary}"
    );
    let again = String::from_utf8_lossy(MAIL).replace("<1@hall>", "<2@hall>");
    house.mail("ups-1@hall.example", again.as_bytes()).unwrap();
    let over: serde_json::Value = serde_json::from_str(&told.sample()).unwrap();
    assert_eq!(
        (&over["key"], &over["said"]["state"]),
        (&alert["key"], &"cleared".into())
    );
    [opened, closed, told].into_iter().for_each(Spy::end);

    let wrong = house.glasshouse(&[
        "dds", "spy", "--config", &config, "--key", &hall, "--topic", "alerts",
    ]);
    let sentence = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        sentence.contains("the reader key is for topic glasshouse_readings"),
        "{sentence}"
    );
}

/// A second device, which has to show who it is.
const PROVING: &str = "[[device]]\nid = \"pdu-1\"\nroom = \"hall\"\nclass = \"pdu\"\naddresses = [\"pdu-1@hall.example\"]\ncertificate = \"0707070707070707070707070707070707070707070707070707070707070707\"\n";

#[test]
fn what_an_operator_publishes_is_read_like_any_report_and_accounted_for() {
    let mut house = House::build(PROVING);
    house.start();
    house.until("all members read the IDL's types", |status| {
        status.ledger.level >= wire::Level::TYPED.0
    });
    let config = house.config.display().to_string();
    let key = house.path("hall.key").display().to_string();
    let given = house.glasshouse(&[
        "dds", "key", "--config", &config, "--reader", "test", "--room", "hall", "--out", &key,
    ]);
    assert!(given.status.success(), "{given:?}");
    let mut spy = Spy::start(&house, &["--key", &key, "--count", "2"]);
    let mut reader = outside(
        &house,
        "open_samples.py",
        &["--key", &key, "--count", "2", "--seconds", "50"],
    );
    let publish = |more: &[&str]| {
        let mut arguments = vec!["dds", "publish", "--config", &config];
        arguments.extend(more);
        house.glasshouse(&arguments)
    };
    let told = |output: &std::process::Output| {
        let bytes = if output.status.success() {
            &output.stdout
        } else {
            &output.stderr
        };
        String::from_utf8_lossy(bytes).into_owned()
    };

    let pairs = ["ups-1", "battery.charge=97.5 %", "load=12", "--reason"];
    let done = publish(&[&pairs[..], &["the panel says so"]].concat());
    let sentence = told(&done);
    assert!(done.status.success(), "{sentence}");
    for part in [
        "battery.charge=97.5 %, load=12 of ups-1 is on the data space",
        "of solo with it (SHA-256 ",
        "is on the ledger",
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
    let pack = house.path("pack.json");
    std::fs::write(&pack, r#"[{"n":"power","u":"W","v":431.5}]"#).unwrap();
    let pack = pack.display().to_string();
    // Its own mails would have to come with its certificate; an operator speaks for it.
    let done = publish(&["pdu-1", "--senml", &pack, "--reason", "a trial"]);
    assert!(done.status.success(), "{}", told(&done));

    for expected in [
        "readings ups-1  hall  battery.charge=97.5 %, load=12  (solo ",
        "readings pdu-1  hall  power=431.5 W  (solo ",
    ] {
        let line = spy.sample();
        assert!(line.contains(expected), "{line}");
    }
    spy.end();
    let lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    let opened: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert!(reader.wait().unwrap().success());
    let first = |at: usize| &opened[at]["opened"]["reports"][0]["readings"][0];
    assert_eq!(first(0)["value"], 97.5, "{opened:?}");
    assert_eq!(first(1)["name"], "power", "{opened:?}");
    let status = house.status().unwrap();
    assert_eq!((status.ledger.mails, status.mail.pending), (2, 0));

    for (arguments, why) in [
        (
            &["ups-9", "load=1", "--reason", "x"][..],
            "no device is called ups-9",
        ),
        (&["ups-1", "load=1", "--reason", " "], "give a reason"),
        (
            &["ups-1", "load=1", "--reason", "a\r\nBcc: x"],
            "in one line",
        ),
        (&["ups-1", "load=much", "--reason", "x"], "no number"),
        (&["ups-1", "lo ad=1", "--reason", "x"], "this is no report"),
    ] {
        let refused = publish(arguments);
        assert!(!refused.status.success());
        let sentence = told(&refused);
        assert!(sentence.contains(why), "{sentence}");
    }
    assert_eq!(house.status().unwrap().ledger.mails, 2);
}

/// Forged samples a second, well above what a house's gear sends.
const FLOOD_PER_S: u64 = 5_000;
/// A report crosses the data space in milliseconds; this is for a busy machine.
const CROSSING_LIMIT: Duration = Duration::from_secs(5);

/// Whoever can reach the ports can join: nothing in DDS asks who he is.
#[test]
fn a_stranger_reads_ciphertext_and_neither_his_forgeries_nor_a_flood_of_them_get_through() {
    let mut house = House::build("");
    house.start();
    house.until("all members read the IDL's types", |status| {
        status.ledger.level >= wire::Level::TYPED.0
    });
    let config = config::load(&house.config).expect("the house has a configuration");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let stranger = Arc::new(CycloneSpace::join(&config.dds.domain_config()).unwrap());
    let mut overheard = stranger.subscribe(&Topic::READINGS, &["hall"]).unwrap();
    house.mail("ups-1@hall.example", MAIL).unwrap();
    let genuine = runtime.block_on(async {
        let delivery = tokio::time::timeout(Duration::from_secs(30), overheard.recv()).await;
        match delivery.expect("the sample comes in time") {
            Some(Delivery::Sample(sample)) => sample,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(
        (genuine.key.as_str(), genuine.writer.as_str()),
        ("ups-1", "solo")
    );
    for plain in ["battery", "hall", "ups-1", "98.5"] {
        let found = genuine
            .sealed
            .windows(plain.len())
            .any(|window| window == plain.as_bytes());
        assert!(!found, "{plain:?} can be read");
    }

    let publish = |sample: Sample| {
        runtime
            .block_on(stranger.publish_wait(&Topic::READINGS, "hall", sample))
            .unwrap();
    };
    let changed = |key: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut sample = genuine.clone();
        sample.key = key.to_owned();
        change(&mut sample.sealed);
        sample
    };
    publish(genuine.clone());
    publish(changed("ups-1", &|sealed| *sealed.last_mut().unwrap() ^= 1));
    publish(changed("ups-2", &|_| {}));
    publish(changed("ups-1", &|sealed| sealed.truncate(7)));
    house.until("each is counted by what is wrong with it", |status| {
        let count = |reason| refused(status, "glasshouse_readings", reason);
        (
            count("replayed"),
            count("not_authentic"),
            count("not_sealed"),
        ) == (1, 2, 1)
    });

    let before = house.status().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let flood = std::thread::spawn({
        let (stranger, stop) = (Arc::clone(&stranger), Arc::clone(&stop));
        let forged = changed("ups-1", &|sealed| *sealed.last_mut().unwrap() ^= 1);
        move || {
            let (start, mut sent) = (Instant::now(), 0_u64);
            while !stop.load(Ordering::Acquire) {
                let due = start.elapsed().as_millis() as u64 * FLOOD_PER_S / 1000;
                while sent < due {
                    // A full queue is the data space's own limit on him.
                    let _ = stranger.publish(&Topic::READINGS, "hall", forged.clone());
                    sent += 1;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            (sent, start.elapsed())
        }
    });
    let received = |status: &Status| {
        let topic = status.dds.topics.get("glasshouse_readings");
        topic.map_or(0, |topic| topic.received)
    };
    house.until("the flood is refused", |status| {
        status.dds.refused > before.dds.refused + FLOOD_PER_S
    });
    let mut slowest = Duration::ZERO;
    for number in 1..=5 {
        let mail = String::from_utf8_lossy(MAIL);
        let mail = mail.replace("<1@hall>", &format!("<flood-{number}@hall>"));
        house.mail("ups-1@hall.example", mail.as_bytes()).unwrap();
        let accepted = Instant::now();
        house.until("a report comes through the flood", |status| {
            received(status) >= received(&before) + number
        });
        slowest = slowest.max(accepted.elapsed());
    }
    stop.store(true, Ordering::Release);
    let (sent, span) = flood.join().unwrap();
    let rate = sent as f64 / span.as_secs_f64();
    println!("slowest of 5 reports under {rate:.0} forged samples a second: {slowest:?}");
    assert!(rate > FLOOD_PER_S as f64 * 0.8, "only {rate:.0} a second");
    assert!(slowest < CROSSING_LIMIT, "a report took {slowest:?}");
}
