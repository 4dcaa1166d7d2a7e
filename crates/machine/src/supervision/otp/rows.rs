//! Reads `table.txt`. Included by the tests of the machine and of the actors.

use std::time::Duration;

const TABLE: &str = include_str!("table.txt");

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// Where it is documented, and what it says.
    pub(super) rule: &'static str,
    pub(super) strategy: &'static str,
    /// Restarts and period; `None`: the default.
    pub(super) intensity: Option<(u32, Duration)>,
    pub(super) auto_shutdown: &'static str,
    pub(super) children: Vec<Kid>,
    pub(super) events: Vec<Event>,
    /// One entry per event that has a story.
    pub(super) story: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Kid {
    pub(super) restart: &'static str,
    pub(super) significant: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Event {
    Start,
    /// A child ends; the word is the table's.
    Exit(usize, &'static str),
    /// A child's next starts fail.
    Broken(usize, u32),
    Wait(Duration),
    Stop,
}

pub(super) fn rows() -> Vec<Row> {
    let rows: Vec<Row> = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(row)
        .collect();
    assert!(rows.len() > 60, "only {} rows were read", rows.len());
    rows
}

fn row(line: &'static str) -> Row {
    let cells: Vec<&'static str> = line.split(" | ").map(str::trim).collect();
    let [
        rule,
        strategy,
        intensity,
        auto_shutdown,
        children,
        events,
        story,
    ] = cells[..]
    else {
        panic!("not seven cells: {line}")
    };
    let intensity = (intensity != "default").then(|| {
        let (restarts, period) = intensity.split_once('/').expect(line);
        let period = Duration::from_secs(period.parse().expect(line));
        (restarts.parse().expect(line), period)
    });
    Row {
        rule,
        strategy,
        intensity,
        auto_shutdown,
        children: children.split_whitespace().map(kid).collect(),
        events: events.split_whitespace().map(event).collect(),
        story: story
            .split('/')
            .map(|part| part.trim().to_owned())
            .collect(),
    }
}

fn kid(word: &'static str) -> Kid {
    Kid {
        restart: word.trim_end_matches('*'),
        significant: word.ends_with('*'),
    }
}

fn event(word: &'static str) -> Event {
    match word.split_once(':') {
        None if word == "start" => Event::Start,
        None if word == "stop" => Event::Stop,
        Some(("wait", seconds)) => Event::Wait(Duration::from_secs(seconds.parse().expect(word))),
        Some((child, what)) => {
            let child = child.parse().expect(word);
            match what.strip_prefix("broken:") {
                Some(times) => Event::Broken(child, times.parse().expect(word)),
                None => Event::Exit(child, what),
            }
        }
        None => panic!("no event: {word}"),
    }
}
