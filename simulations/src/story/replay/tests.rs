use super::*;
use crate::outcome::{Happening, Kind, Violation};
use crate::story::toy::{Toy, deadly};

struct Answers(Vec<Go>);

impl Enter for Answers {
    fn wait(&mut self) -> io::Result<Go> {
        Ok(self.0.pop().unwrap_or(Go::Quit))
    }
}

const VIEW: View = View {
    until_ms: None,
    last: None,
    step: false,
    width: 80,
    colour: false,
};

fn show(outcome: &Outcome, view: View, answers: Vec<Go>) -> String {
    let mut out = Vec::new();
    let mut answers = Answers(answers);
    replay(outcome, &view, &mut out, &mut answers).unwrap();
    String::from_utf8(out).unwrap()
}

fn at(at_ms: u64, lane: &str, what: Kind) -> Happening {
    Happening {
        at_ms,
        lane: lane.into(),
        what,
    }
}

fn sent(at_ms: u64, bytes: u64, arrives_ms: Option<u64>) -> Happening {
    let to = "node-3".into();
    at(
        at_ms,
        "node-2",
        Kind::Sent {
            to,
            bytes,
            arrives_ms,
        },
    )
}

/// An outcome with this story, and a violation at 9 s.
fn outcome(story: Vec<Happening>) -> Outcome {
    let mut outcome = Toy::default().go(&deadly(), false);
    outcome.story = story;
    outcome.violations = vec![Violation {
        id: "TOY-1".into(),
        says: "nothing is lost".into(),
        at_ms: 9_000,
        detail: "node-2".into(),
    }];
    outcome
}

fn body(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains(" s  ")).collect()
}

#[test]
fn floods_are_counted_and_the_last_seconds_marked() {
    let story = vec![
        sent(100, 1_000, Some(120)),
        at(200, "node-1", Kind::Log("hello".into())),
        sent(300, 2_000, None),
        sent(900, 174, Some(950)),
        sent(1_000, 5, Some(1_023)),
        at(2_000, "", Kind::Fault("split".into())),
        at(
            3_000,
            "node-1",
            Kind::Ledger {
                size: 3,
                root: "ab".repeat(32),
            },
        ),
        at(
            3_500,
            "node-1",
            Kind::Ledger {
                size: 7,
                root: "cd".repeat(32),
            },
        ),
        sent(8_000, 5, None),
        sent(8_060, 5, Some(8_070)),
        sent(9_500, 5, Some(9_600)),
    ];
    let text = show(&outcome(story), VIEW, vec![]);
    assert_eq!(
        body(&text),
        [
            "        0.100 s  node-2  → node-3: 3 messages, 3.1 KiB, 1 lost, within 800 ms",
            "        0.200 s  node-1  hello",
            "        1.000 s  node-2  → node-3: 5 B, arrives after 23 ms",
            "        2.000 s          split",
            "        3.000 s  node-1  ledger 3 to 7 leaves, root cdcdcdcdcdcd",
            "┃       8.000 s  node-2  → node-3: 5 B, lost",
            "┃       8.060 s  node-2  → node-3: 5 B, arrives after 10 ms",
            "✗       9.000 s          TOY-1 BROKEN: nothing is lost (node-2)",
            "        9.500 s  node-2  → node-3: 5 B, arrives after 100 ms",
        ]
    );
    let until = View {
        until_ms: Some(250),
        ..VIEW
    };
    let text = show(
        &outcome(vec![sent(1, 5, None), sent(9_999, 1, None)]),
        until,
        vec![],
    );
    assert!(
        text.contains("… 2 more lines; the violation is at 9.000 s"),
        "{text}"
    );
}

#[test]
fn an_excerpt_is_the_last_lines_without_messages() {
    let mut story = vec![sent(2_400, 5, None)];
    story.extend([1_000, 2_000, 2_500, 3_000].map(|at_ms| {
        let line = Kind::Log(format!("line at {at_ms}"));
        at(at_ms, "node-1", line)
    }));
    let excerpt = View {
        until_ms: Some(2_500),
        last: Some(2),
        ..VIEW
    };
    let text = show(&outcome(story), excerpt, vec![]);
    let told: Vec<_> = text
        .lines()
        .filter(|line| line.contains("line at"))
        .collect();
    assert_eq!(told.len(), 2, "{text}");
    assert!(
        told[0].contains("at 2000") && told[1].contains("at 2500"),
        "{text}"
    );
    assert!(
        text.contains("… 1 lines before") && !text.contains("→"),
        "{text}"
    );
}

#[test]
fn stepping_stops_at_each_moment() {
    let story: Vec<_> = (1..=5)
        .map(|n| at(n / 2 * 1_000, "node-1", Kind::Log(format!("line{n}"))))
        .collect();
    let told = |answers| {
        show(
            &outcome(story.clone()),
            View { step: true, ..VIEW },
            answers,
        )
        .matches("line")
        .count()
    };
    // Answers are taken from the end. The moments hold 1, 2 and 2 lines.
    assert_eq!(told(vec![Go::Quit]), 1);
    assert_eq!(told(vec![Go::Quit, Go::On]), 3);
    assert_eq!(told(vec![Go::Run]), 5);
    let answer = |mut text: &[u8]| terminal::answer(&mut text).unwrap();
    assert_eq!(
        [answer(b"\n"), answer(b"q\n"), answer(b"r\n"), answer(b"")],
        [Go::On, Go::Quit, Go::Run, Go::Quit]
    );
}

#[test]
fn long_lines_wrap_within_the_width_and_end() {
    let words = "word ".repeat(200);
    let story = vec![
        at(1, "node-1", Kind::Log(words)),
        at(2, "node-1", Kind::Log("x".repeat(500))),
    ];
    for width in [40, 60, 120] {
        let text = show(&outcome(story.clone()), View { width, ..VIEW }, vec![]);
        let rows: Vec<_> = text
            .lines()
            .filter(|row| row.contains("word") || row.contains("xxx"))
            .collect();
        assert_eq!(rows.len(), 8, "{text}");
        assert!(
            rows.iter().all(|row| row.chars().count() <= width.max(45)),
            "{text}"
        );
        assert_eq!(rows.iter().filter(|row| row.ends_with('…')).count(), 2);
    }
}

#[test]
fn a_log_line_cannot_command_the_terminal() {
    let evil = "a\x1b[2Jb\rc\u{202e}d\u{9b}31m";
    let story = vec![at(1, "no\x07de", Kind::Log(evil.into()))];
    let text = show(&outcome(story.clone()), VIEW, vec![]);
    assert!(
        text.contains("a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}31m"),
        "{text}"
    );
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    let coloured = show(
        &outcome(story),
        View {
            colour: true,
            ..VIEW
        },
        vec![],
    );
    assert!(coloured.contains("\x1b[1;37;41mTOY-1 BROKEN"), "{coloured}");
}

#[test]
fn the_toy_can_be_read() {
    let told = Toy::default().go(&deadly(), true);
    let text = show(&told, VIEW, vec![]);
    let lines = text.lines().count();
    assert!(
        lines < told.story.len() / 3,
        "{lines} lines for {}",
        told.story.len()
    );
    assert!(
        text.contains("split node-3 ⇹ node-1, node-2 for 5000 ms"),
        "{text}"
    );
    assert!(text.contains("TOY-1 BROKEN"));
}
