//! Asking a node over its control socket: one JSON value a line each way (`wire::control`).

use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wire::control::{Answer, Ask, MAX_LINE};

/// A node answers from memory; only a stopped or overloaded one takes longer.
pub const ASK_LIMIT: Duration = Duration::from_secs(5);

/// The socket of a node that keeps its data in `data_dir`.
pub fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no node listens at {socket}: {source}. Is it running?")]
    Absent {
        /// Where.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("the node at {socket} broke off: {source}; its log says why")]
    Broken {
        /// Where.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too slow.
    #[error(
        "the node at {socket} did not answer within {:.1} s; it may be stopped (SIGSTOP) or overloaded",
        .limit.as_secs_f64()
    )]
    Late {
        /// Where.
        socket: PathBuf,
        /// How long it had.
        limit: Duration,
    },
    /// Not an answer.
    #[error(
        "the node at {socket} answered {found:?}, which is no answer this version knows: {source}; use the `glasshouse` of the node's own version"
    )]
    Unknown {
        /// Where.
        socket: PathBuf,
        /// The beginning of what came.
        found: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// More than a line may hold.
    #[error(
        "the node at {socket} sent more than {MAX_LINE} bytes without an end of line; that is no control socket of a node"
    )]
    Long {
        /// Where.
        socket: PathBuf,
    },
}

/// What of a wrong answer is shown.
const SHOWN: usize = 120;

/// Asks the node at `socket`; the whole exchange takes `limit` at most.
pub fn ask(socket: &Path, ask: &Ask, limit: Duration) -> Result<Answer, AskError> {
    let deadline = Instant::now() + limit;
    let absent = |source| AskError::Absent {
        socket: socket.to_owned(),
        source,
    };
    let lost = |source: io::Error| match source.kind() {
        // A Unix socket's timeout is reported as "would block".
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AskError::Late {
            socket: socket.to_owned(),
            limit,
        },
        _ => AskError::Broken {
            socket: socket.to_owned(),
            source,
        },
    };
    let stream = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(absent)?;
    // Connecting waits, within the writing limit, while the node's queue of callers is full.
    stream.set_write_timeout(Some(limit)).map_err(absent)?;
    let address = SockAddr::unix(socket).map_err(absent)?;
    stream.connect(&address).map_err(|source| {
        if source.kind() == ErrorKind::WouldBlock {
            lost(source)
        } else {
            absent(source)
        }
    })?;
    let mut stream = UnixStream::from(OwnedFd::from(stream));
    let mut line = serde_json::to_vec(ask).map_err(|error| lost(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(lost)?;
    let line = read_line(&mut stream, socket, deadline, lost)?;
    serde_json::from_slice(&line).map_err(|source| AskError::Unknown {
        socket: socket.to_owned(),
        found: String::from_utf8_lossy(&line[..line.len().min(SHOWN)]).into_owned(),
        source,
    })
}

fn read_line(
    stream: &mut UnixStream,
    socket: &Path,
    deadline: Instant,
    lost: impl Fn(io::Error) -> AskError,
) -> Result<Vec<u8>, AskError> {
    let mut line = Vec::new();
    let mut part = [0u8; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(lost(ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left)).map_err(&lost)?;
        let count = match stream.read(&mut part) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(lost(error)),
        };
        if count == 0 {
            return Err(lost(ErrorKind::UnexpectedEof.into()));
        }
        if let Some(end) = part[..count].iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&part[..end]);
            return Ok(line);
        }
        line.extend_from_slice(&part[..count]);
        if line.len() > MAX_LINE {
            return Err(AskError::Long {
                socket: socket.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    /// A node that reads one line and says `reply`; then it holds the line open until the caller
    /// hangs up.
    fn node(reply: Vec<u8>) -> (tempfile::TempDir, PathBuf, std::thread::JoinHandle<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = socket(dir.path());
        let listener = UnixListener::bind(&path).unwrap();
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            // A caller that has heard enough may hang up before the end.
            let _ = stream.write_all(&reply);
            let _ = stream.read(&mut [0]);
            line
        });
        (dir, path, asked)
    }

    const QUESTION: Ask = Ask::Status {
        linearizable: false,
    };

    #[test]
    fn a_question_and_its_answer_are_a_line_each() {
        let (_dir, path, asked) =
            node(b"{\"answer\":\"done\",\"text\":\"left\"}\nand more".to_vec());
        let answer = ask(&path, &Ask::Leave, ASK_LIMIT).unwrap();
        assert_eq!(
            answer,
            Answer::Done {
                text: "left".into()
            }
        );
        assert_eq!(asked.join().unwrap(), "{\"ask\":\"leave\"}\n");
    }

    #[test]
    fn silence_nonsense_and_floods_end_with_a_sentence() {
        let short = Duration::from_millis(50);
        let flood = vec![b' '; MAX_LINE + (64 << 10)];
        for (reply, limit, says) in [
            (b"{\"answer\":".to_vec(), short, "within 0.1 s"),
            (b"hello\n".to_vec(), ASK_LIMIT, "\"hello\""),
            (flood, ASK_LIMIT, "without an end of line"),
        ] {
            let (_dir, path, _asked) = node(reply);
            let error = ask(&path, &QUESTION, limit).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn nobody_there_is_told_from_somebody_silent() {
        let dir = tempfile::tempdir().unwrap();
        let error = ask(&socket(dir.path()), &QUESTION, ASK_LIMIT).unwrap_err();
        assert!(matches!(error, AskError::Absent { .. }), "{error}");
        assert!(error.to_string().contains("Is it running?"));
    }
}
