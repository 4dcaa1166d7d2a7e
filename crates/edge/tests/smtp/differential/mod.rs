//! The same dialogues with Postfix and with us. What is answered is compared by its class (2xx to 5xx), what
//! is accepted by its number; every difference is one that we mean, and says why.

mod dialogues;
mod postfix;

use crate::house::*;
use dialogues::Case;
use edge::smtp::*;
use postfix::Postfix;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Both answer in milliseconds; Postfix waits a second where it suspects a spammer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of a dialogue: the classes of the replies to its last part, and how many messages were taken.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Outcome {
    classes: String,
    messages: usize,
}

/// Plays one dialogue to its end; the replies to the last part.
async fn play(port: u16, case: &Case) -> String {
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let mut stream = BufReader::new(stream.expect("listens"));
    reply(&mut stream).await;
    for line in case.opening {
        stream
            .write_all(format!("{line}\r\n").as_bytes())
            .await
            .expect("stands");
        let answer = reply(&mut stream).await;
        assert!(
            answer.starts_with(['2', '3']),
            "{}: `{line}`: {answer}",
            case.name
        );
    }
    // A server that has closed already does not hear the rest.
    let _ = stream.write_all(&case.bytes()).await;
    let _ = stream.get_mut().shutdown().await;
    let mut rest = Vec::new();
    // Closing with input unread resets the connection: what came before is there all the same.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("in time");
    let rest = String::from_utf8_lossy(&rest).into_owned();
    let last = rest
        .lines()
        .filter(|line| line.as_bytes().get(3) != Some(&b'-'));
    last.filter_map(|line| line.chars().next()).collect()
}

async fn reply(stream: &mut BufReader<TcpStream>) -> String {
    loop {
        let mut line = String::new();
        let read = timeout(PATIENCE, stream.read_line(&mut line)).await;
        assert_ne!(read.expect("in time").expect("stands"), 0, "closed");
        if line.as_bytes().get(3) != Some(&b'-') {
            return line;
        }
    }
}

/// No TLS asked for, no Date, and Postfix's limits where a dialogue comes to them.
fn alike() -> Policy {
    Policy {
        require_tls: false,
        max_size: 4_000,
        tarpit: Tarpit {
            free: u32::MAX / 2,
            ..Tarpit::default()
        },
        ..policy()
    }
}

#[tokio::test]
async fn we_answer_as_postfix_does_but_where_we_say_why_not() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, alike()).await;
    let postfix = Postfix::start();
    let mut wrong = Vec::new();
    for case in dialogues::all() {
        let before = house.counts().accepted;
        let classes = play(house.port(), case).await;
        let messages = usize::try_from(house.counts().accepted - before).expect("few");
        let ours = Outcome { classes, messages };
        for _ in 0..messages {
            house.next().await;
        }
        // Without root there is no Postfix, and what it said when there was one stands in the table.
        let theirs = match &postfix {
            Some(postfix) => {
                let before = postfix.accepted();
                let classes = play(postfix.port, case).await;
                let messages = postfix.accepted() - before;
                Outcome { classes, messages }
            }
            None => case.theirs(),
        };
        if (ours.clone(), theirs.clone()) != (case.ours(), case.theirs()) {
            wrong.push(format!("{}: we {ours:?}, Postfix {theirs:?}", case.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A table of excuses would be none: most dialogues agree, and no difference is without its reason.
#[test]
fn most_dialogues_agree_and_every_difference_has_a_reason() {
    let differing = dialogues::all().filter(|case| case.differs.is_some());
    assert!(4 * differing.count() < dialogues::all().count());
    for case in dialogues::all() {
        if let Some(differs) = &case.differs {
            assert!(differs.why.len() > 10, "{}", case.name);
            assert_ne!(case.ours(), case.theirs(), "{}", case.name);
        }
    }
}
