//! Thousands of real connections at once, from another process, while others are served.

use crate::house::*;
use edge::smtp::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const CHILD: &str = "GLASSHOUSE_MAILBOX_THRONG";

/// Connections that say EHLO and nothing more.
const IDLE: usize = 10_000;
/// Connections that send a message byte by byte.
const DRIPS: usize = 1_000;
/// Between two bytes of each.
const DRIP_EVERY: Duration = Duration::from_millis(500);

/// Files that are no connections: a journal, a runtime, what a test runner hands down.
const OTHER_FILES: usize = 500;

/// Mails of the honest client: enough for every silent session to have been in its way.
const MAILS: usize = 50;

/// The child; it leaves when dropped.
struct Throng(Child);

impl Throng {
    /// Starts this test binary again as a crowd, and waits until all are connected.
    fn come(port: u16) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a test binary"))
            .args([
                "throng::ten_thousand_idle_and_a_thousand_dripping_connections_hurt_nobody",
                "--exact",
                "--nocapture",
            ])
            .env(CHILD, port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test binary starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let here = lines.map_while(Result::ok).any(|line| line == "all here");
        assert!(here, "the crowd did not get in");
        Self(child)
    }
}

impl Drop for Throng {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The child: connects, drips, and stays until its input ends.
fn crowd(port: u16) {
    raise_file_limit(IDLE + DRIPS + OTHER_FILES);
    let idle = enter_all(IDLE, move || enter(port, &OPENING[..1]));
    let mut drips = enter_all(DRIPS, move || {
        let mut stream = enter(port, OPENING);
        say(&mut stream, "DATA", "354");
        stream
    });
    println!("\nall here");
    std::io::stdout().flush().expect("a reader");
    std::thread::spawn(move || {
        loop {
            for stream in &mut drips {
                stream.write_all(b"x").expect("nobody is sent away so soon");
            }
            std::thread::sleep(DRIP_EVERY);
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    drop(idle);
}

/// Several enter side by side: each waits for replies most of the time.
fn enter_all(
    count: usize,
    enter: impl Fn() -> TcpStream + Copy + Send + 'static,
) -> Vec<TcpStream> {
    const DOORS: usize = 20;
    let queues: Vec<_> = (0..DOORS)
        .map(|_| {
            std::thread::spawn(move || (0..count / DOORS).map(|_| enter()).collect::<Vec<_>>())
        })
        .collect();
    let streams = queues
        .into_iter()
        .map(|queue| queue.join().expect("all got in"));
    streams.flatten().collect()
}

fn enter(port: u16, script: &[(&str, &str)]) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket has one");
    reply(&mut stream, "220");
    for (line, expected) in script {
        say(&mut stream, line, expected);
    }
    stream
}

fn say(stream: &mut TcpStream, line: &str, expected: &str) {
    stream
        .write_all(format!("{line}\r\n").as_bytes())
        .expect("it stands");
    reply(stream, expected);
}

/// Reads a reply, which comes in one piece or in several.
fn reply(stream: &mut TcpStream, expected: &str) {
    let mut text = String::new();
    loop {
        let mut piece = [0; 512];
        let read = stream.read(&mut piece).expect("in time");
        assert_ne!(read, 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&piece[..read]).expect("ASCII"));
        let last = text
            .lines()
            .last()
            .and_then(|line| line.as_bytes().get(3).copied());
        if text.ends_with("\r\n") && last == Some(b' ') {
            assert!(text.starts_with(expected), "{text:?}");
            return;
        }
    }
}

#[test]
fn ten_thousand_idle_and_a_thousand_dripping_connections_hurt_nobody() {
    if let Ok(port) = std::env::var(CHILD) {
        return crowd(port.parse().expect("a port"));
    }
    raise_file_limit(IDLE + DRIPS + OTHER_FILES);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let dir = TempDir::new().expect("a directory");
        let all = IDLE + DRIPS + 1;
        let mut house = House::start_with(&dir, relaxed(), |config| {
            config.limits = SmtpLimits {
                sessions: all,
                sessions_per_address: all,
                sessions_per_network: all,
                ..SmtpLimits::default()
            };
        })
        .await;
        let port = house.port();
        let throng = tokio::task::spawn_blocking(move || Throng::come(port));
        let throng = throng.await.expect("all are connected");
        assert_eq!(house.counts().open, (IDLE + DRIPS) as u64);

        let mut client = Client::connect(port).await;
        client.play(&OPENING[..1]).await;
        for number in 0..MAILS {
            client.play(&OPENING[1..]).await;
            client.play(&[("DATA", "354")]).await;
            client.send(message(number)).await;
            client.play(&[(".", "250")]).await;
            assert_eq!(house.next().await.mail.data, message(number).as_bytes());
        }
        client.play(&[("QUIT", "221")]).await;

        let counts = house.counts();
        assert_eq!(counts.accepted, MAILS as u64);
        assert_eq!((counts.turned_away, counts.errors), (0, 0));
        // Nobody was sent away for being slow: that takes minutes (`crowd` has it in virtual time).
        assert!(counts.open >= (IDLE + DRIPS) as u64);
        drop(throng);
        house.close().await;
    });
}

/// Both ends have as many files as they may: shells give few by default, and the hard limit is enough
/// everywhere that ten thousand connections are served.
#[expect(
    unsafe_code,
    reason = "getrlimit and setrlimit have no safe wrapper among the dependencies"
)]
fn raise_file_limit(files: usize) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let files = files as libc::rlim_t;
    // SAFETY: the calls take plain values and pointers to a local that outlives them.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        assert!(
            limit.rlim_max >= files,
            "this test opens {files} files, and the hard limit is {}: raise it (`ulimit -Hn`)",
            limit.rlim_max
        );
        limit.rlim_cur = limit.rlim_cur.max(files);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
}
