//! Death at any moment: a child process appends and prints what was acknowledged; it is killed.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Set in a child: the directory it works in.
pub(super) fn child_argument(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// This very test binary, told to run one test as the child.
pub(super) fn child(test: &str, variable: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test binary"));
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(variable, dir);
    command
}

#[test]
fn after_kill_everything_acknowledged_is_there() {
    if let Some(dir) = child_argument("GLASSHOUSE_JOURNAL_KILL") {
        return append_for_ever(Path::new(&dir));
    }
    let dir = TempDir::new().expect("a directory");
    let mut last = 0;
    for acknowledged_before_kill in [1, 40, 400, 1_500] {
        let name = "journal::tests::crash::after_kill_everything_acknowledged_is_there";
        let mut child = child(name, "GLASSHOUSE_JOURNAL_KILL", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut acknowledged = Vec::new();
        while acknowledged.len() < acknowledged_before_kill {
            let line = lines.next().expect("the child goes on").expect("text");
            acknowledged.extend(parse(&line));
        }
        child.kill().expect("it was alive");
        // What was still in the pipe had been acknowledged, too. A last line may be cut.
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| parse(&line)));
        child.wait().expect("reaped");

        let (journal, recovery) = open(dir.path(), small_enough_to_roll());
        let found: std::collections::BTreeMap<_, _> = records(&journal, 1).into_iter().collect();
        assert_eq!(found.len() as u64, recovery.records);
        for (seq, text) in &acknowledged {
            assert_eq!(
                found.get(seq),
                Some(&text.clone().into_bytes()),
                "record {seq}"
            );
        }
        assert!(recovery.next > last, "nothing is taken back");
        last = recovery.next;
    }
}

fn small_enough_to_roll() -> JournalOptions {
    JournalOptions {
        segment_bytes: 16 << 10,
        ..JournalOptions::default()
    }
}

/// `ack SEQ TEXT;` – the semicolon shows that the line is whole.
fn parse(line: &str) -> Option<(u64, String)> {
    let (seq, text) = line
        .strip_prefix("ack ")?
        .strip_suffix(';')?
        .split_once(' ')?;
    Some((seq.parse().ok()?, text.to_owned()))
}

fn append_for_ever(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    let (journal, recovery) = open(dir, small_enough_to_roll());
    let start = recovery.next;
    let append = |writer: u64| {
        let journal = journal.clone();
        async move {
            for number in 0.. {
                let text = format!("{start}/{writer}/{number}/{}", "y".repeat(200));
                let seq = journal
                    .append(text.clone().into_bytes())
                    .await
                    .expect("durable");
                let mut out = io::stdout().lock();
                writeln!(out, "ack {seq} {text};")
                    .and_then(|()| out.flush())
                    .expect("a reader");
            }
        }
    };
    runtime.block_on(futures::future::join_all((0..8).map(append)));
}
