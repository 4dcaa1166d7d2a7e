mod sample;

use super::*;
use crate::outcome::{Happening, Kind, Violation};
use crate::story::toy::{Toy, deadly};

fn at(at_ms: u64, lane: &str, what: Kind) -> Happening {
    Happening {
        at_ms,
        lane: lane.into(),
        what,
    }
}

fn sent(at_ms: u64, to: &str, arrives_ms: Option<u64>) -> Happening {
    let to = to.into();
    at(
        at_ms,
        "node-1",
        Kind::Sent {
            to,
            bytes: 300,
            arrives_ms,
        },
    )
}

/// One of each kind.
fn story() -> Vec<Happening> {
    vec![
        sent(0, "node-2", Some(23)),
        sent(5, "broker", None),
        at(5, "", Kind::Fault("split".into())),
        at(200, "node-2", Kind::Process("killed".into())),
        at(1_000, "node-2", Kind::Process("started".into())),
        at(
            1_001,
            "node-1",
            Kind::Leader {
                leader: Some("node-3".into()),
                term: 4,
            },
        ),
        at(
            1_002,
            "node-1",
            Kind::Leader {
                leader: None,
                term: 5,
            },
        ),
        at(
            1_003,
            "node-3",
            Kind::Ledger {
                size: 1 << 40,
                root: "ab".repeat(32),
            },
        ),
        at(70_000, "", Kind::Round("round 3 opened".into())),
        at(70_000, "node-1", Kind::KeyEpoch(9)),
        at(70_001, "gear", Kind::Edge("250 ok".into())),
        at(70_002, "node-1", Kind::Log("split".into())),
    ]
}

fn outcome(story: Vec<Happening>) -> Outcome {
    let mut outcome = Toy::default().go(&deadly(), false);
    outcome.story = story;
    outcome
}

/// Reads what `pack` wrote, as the page does.
struct Reader<'a>(std::slice::Iter<'a, u8>, &'a pack::Packed);

impl Reader<'_> {
    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = u64::from(*self.0.next().expect("whole numbers"));
            number |= (byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return number;
            }
        }
    }

    fn lane(&mut self) -> String {
        self.1.lanes[self.number() as usize].clone()
    }

    fn word(&mut self) -> String {
        self.1.strings[self.number() as usize].clone()
    }

    fn happening(&mut self, now: &mut u64) -> Happening {
        let kind = self.number();
        let lane = self.lane();
        *now += self.number();
        let what = match kind {
            pack::SENT => Kind::Sent {
                to: self.lane(),
                bytes: self.number(),
                arrives_ms: self.number().checked_sub(1).map(|takes| *now + takes),
            },
            pack::FAULT => Kind::Fault(self.word()),
            pack::PROCESS => {
                let text = self.word();
                assert_eq!(self.number(), pack::turn(&text));
                Kind::Process(text)
            }
            pack::LEADER => Kind::Leader {
                leader: Some(self.word()).filter(|name| !name.is_empty()),
                term: self.number(),
            },
            pack::LEDGER => Kind::Ledger {
                root: self.word(),
                size: self.number(),
            },
            pack::ROUND => Kind::Round(self.word()),
            pack::KEY_EPOCH => Kind::KeyEpoch(self.number()),
            pack::EDGE => Kind::Edge(self.word()),
            pack::LOG => Kind::Log(self.word()),
            other => panic!("kind {other}"),
        };
        at(*now, &lane, what)
    }
}

fn unpack(packed: &pack::Packed) -> Vec<Happening> {
    let mut reader = Reader(packed.bytes.iter(), packed);
    let mut now = 0;
    let story = (0..packed.happenings)
        .map(|_| reader.happening(&mut now))
        .collect();
    assert_eq!(reader.0.len(), 0, "nothing is left over");
    story
}

#[test]
fn what_is_packed_comes_out_again() {
    let packed = pack::pack(&outcome(story()));
    let mut expected = story();
    if let Kind::Ledger { root, .. } = &mut expected[7].what {
        root.truncate(16);
    }
    assert_eq!(unpack(&packed), expected);
    assert_eq!(
        packed.lanes,
        ["", "gear", "broker", "node-1", "node-2", "node-3"]
    );
    let told = Toy::default().go(&deadly(), true);
    let packed = pack::pack(&told);
    assert_eq!(unpack(&packed), told.story);
    assert!(packed.bytes.len() < told.story.len() * 8, "compact");
}

#[test]
fn too_much_is_cut_in_a_designed_way_and_it_is_said() {
    let mut story: Vec<_> = (0..1_000).map(|n| sent(n * 100, "node-2", None)).collect();
    story.push(at(100_000, "node-1", Kind::Log("end".into())));
    story.insert(500, at(50_000, "node-1", Kind::Log("middle".into())));
    let (kept, cut) = pack::keep(&story, 2_000);
    assert_eq!((kept.len(), cut.as_str()), (1_002, ""));
    let (kept, cut) = pack::keep(&story, 600);
    assert_eq!(kept.len(), 600);
    assert_eq!(
        cut,
        "402 of 1002 happenings are not drawn: of the 900 messages before 90.000 s only 498 are"
    );
    let late = kept.iter().filter(|h| h.at_ms >= 90_000).count();
    assert_eq!(late, 101, "the last seconds are whole");
    assert_eq!(
        kept.iter()
            .filter(|h| matches!(h.what, Kind::Log(_)))
            .count(),
        2
    );
    let (kept, cut) = pack::keep(&story, 50);
    assert_eq!((kept.len(), kept[0].at_ms), (50, 95_100));
    assert_eq!(
        cut,
        "952 of 1002 happenings are not drawn: all before 95.100 s"
    );
}

#[test]
fn nothing_in_a_run_becomes_markup_or_script() {
    let evil = "</script><script>alert(1)</script><!-- {{SCRIPT}} & \u{2028}\"'";
    let mut story = story();
    story.push(at(80_000, evil, Kind::Log(evil.into())));
    let mut bad = outcome(story);
    bad.plan.scenario = evil.into();
    bad.violations = vec![Violation {
        id: evil.into(),
        says: evil.into(),
        at_ms: 1,
        detail: evil.into(),
    }];
    let (page, tame) = (draw(&bad), draw(&outcome(self::story())));
    for mark in [
        "<script",
        "</script",
        "<!--",
        "alert(1)</",
        "<style",
        "</title",
    ] {
        let count = |page: &str| page.matches(mark).count();
        assert_eq!(count(&page), count(&tame), "{mark}");
    }
    let data = page
        .split_once("id=\"data\">")
        .unwrap()
        .1
        .split_once("</script>")
        .unwrap()
        .0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["scenario"], evil);
    assert_eq!(data["violations"][0]["id"], evil);
}

#[test]
fn the_page_is_whole_and_asks_for_nothing() {
    let page = draw(&outcome(story()));
    assert!(!page.contains("{{"), "every place is filled");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The policy names the very script and style that are there.
    let between = |open: &str, close: &str| {
        let from = page.split_once(open).expect(open).1;
        from.split_once(close).expect(close).0
    };
    assert!(page.contains(&hash(between("<style>", "</style>"))));
    assert!(page.contains(&hash(between("<script>", "</script>"))));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn faults_are_bars_in_the_lanes_that_they_name() {
    let outcome = outcome(story());
    let lanes = pack::pack(&outcome).lanes;
    let bars = bars(&outcome, &lanes, 100_000);
    let of = |n: usize| (bars[n].from, bars[n].to, bars[n].lanes.clone());
    assert_eq!(of(0), (2_000, 2_700, vec![4]));
    assert_eq!(of(1), (4_000, 4_900, vec![2]), "the broker");
    assert_eq!(of(2), (10_000, 15_000, vec![5, 3, 4]));
    assert_eq!(of(3), (11_000, 11_000, vec![3]), "a jump takes no time");
    assert_eq!(of(6), (30_000, 100_000, vec![5]), "poison stays");
}

/// Node.js is a developer's tool here, not a part of the build: where it is missing, the other
/// tests still see the page's text.
#[test]
fn the_script_parses_and_unpacks_what_was_packed() {
    let run = |args: &[&str]| std::process::Command::new("node").args(args).output();
    if run(&["--version"]).is_err() {
        eprintln!("node is not here: the script was not run");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let whole = run(&["--check", &file("whole.js", &SCRIPTS.concat())]).unwrap();
    assert!(
        whole.status.success(),
        "{}",
        String::from_utf8_lossy(&whole.stderr)
    );
    let page = draw(&outcome(story()));
    let data = page
        .split_once("id=\"data\">")
        .unwrap()
        .1
        .split_once("</script>")
        .unwrap()
        .0;
    let ask = "const m = unpack(JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8')));\n\
        const p = n => [m.kind[n], m.lane[n], m.at[n], m.a[n], m.b[n]].join(' ');\n\
        for (let n = 0; n < m.count; n++) console.log(p(n) + ' ' + (m.word[n] < 0 ? '' : m.strings[m.word[n]]));\n";
    let script = file("ask.js", &format!("{}{ask}", SCRIPTS[0]));
    let told = run(&[&script, &file("data.json", data)]).unwrap();
    assert!(
        told.status.success(),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    let told = String::from_utf8(told.stdout).unwrap();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "0 3 0 4 300 ", // a: to whom, b: bytes; the arrival is a column of its own
            "0 3 5 2 300 ",
            "1 0 5 0 0 split",
            "2 4 200 0 0 killed",
            "2 4 1000 1 0 started",
            "3 3 1001 4 0 node-3",
            "3 3 1002 5 0 ",
            "4 5 1003 1099511627776 0 abababababababab",
            "5 0 70000 0 0 round 3 opened",
            "6 3 70000 9 0 ",
            "7 1 70001 0 0 250 ok",
            "8 3 70002 0 0 split",
        ]
    );
}

/// With `STORY_SAMPLE=FOLDER` the pages stay there, to be looked at.
#[test]
fn a_page_as_large_as_they_get_is_bounded() {
    let sample = sample::sample(220_000);
    assert!(sample.story.len() > pack::HAPPENINGS_MOST);
    let page = draw(&sample);
    assert!(page.len() < 4 << 20, "{} bytes", page.len());
    assert!(page.contains("happenings are not drawn"));
    if let Some(folder) = std::env::var_os("STORY_SAMPLE") {
        let write = |name: &str, page: String| {
            std::fs::write(std::path::Path::new(&folder).join(name), page).unwrap()
        };
        write("large.html", page);
        write("small.html", draw(&sample::sample(20_000)));
        write("toy.html", draw(&Toy::default().go(&deadly(), true)));
    }
}

#[test]
fn what_is_said_of_a_process_ends_it_only_if_it_says_so() {
    let check = |text, turn| assert_eq!(pack::turn(text), turn, "{text}");
    check("starts", pack::STARTS);
    for text in [
        "is killed",
        "loses power: 3 sectors lost",
        "ends: its work is done",
        "dies",
    ] {
        check(text, pack::ENDS);
    }
    for text in [
        "the ledger is ready",
        "the ledger is catching up",
        "the ledger is empty and waits to hear node-2 before it founds a cluster",
    ] {
        check(text, pack::GOES_ON);
    }
}
