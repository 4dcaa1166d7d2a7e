//! Our load generator: what `smtp-source` cannot do. Sessions stay open; each has one message under
//! way. A message says when it was sent, or, at a steady rate, when it should have been: a server that
//! keeps a session waiting does not hide the delay of the message that it holds up.

use super::message::{FROM, TO, message};
use super::session::Session;
use crate::Failure;
use runtime::clock::unix_now_ns;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_rustls::rustls::ClientConfig;

/// Numbers messages over all runs of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// How a message is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// DATA, with the next envelope behind the end of data (RFC 2920 §3.1): one round trip a message.
    Pipelined,
    /// BDAT (RFC 3030) in one piece with its envelope: one round trip, too.
    Chunked,
}

/// Who sends how to where.
#[derive(Clone)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// Connections.
    pub sessions: usize,
    /// How.
    pub way: Way,
    /// What clients trust; without it they speak in clear.
    pub tls: Option<Arc<ClientConfig>>,
}

/// When a session may send its next message.
#[derive(Clone, Copy)]
enum Pace {
    /// At once.
    Full,
    /// At its time, or at once if that is over.
    Every { next: Instant, period: Duration },
}

impl Pace {
    /// Waits for the next turn; how late it is because the session was busy.
    async fn turn(&mut self) -> Duration {
        match self {
            Self::Full => Duration::ZERO,
            Self::Every { next, period } => {
                let due = *next;
                *next += *period;
                let late = Instant::now().saturating_duration_since(due);
                tokio::time::sleep_until(due.into()).await;
                late
            }
        }
    }
}

impl Load {
    /// Sends `messages`, as fast as they are taken; how long that took. Connections and handshakes
    /// are made before.
    pub async fn send(&self, messages: u64) -> Result<Duration, Failure> {
        self.run(messages, |_, _| Pace::Full).await
    }

    /// Sends `messages`, so many a second, spread evenly over the sessions and in time.
    pub async fn paced(&self, messages: u64, a_second: f64) -> Result<Duration, Failure> {
        let between = Duration::from_secs_f64(1.0 / a_second);
        let period = between * u32::try_from(self.sessions)?;
        self.run(messages, |start, session| Pace::Every {
            next: start + between * session,
            period,
        })
        .await
    }

    async fn run(
        &self,
        messages: u64,
        pace: impl Fn(Instant, u32) -> Pace,
    ) -> Result<Duration, Failure> {
        let mut sessions = Vec::with_capacity(self.sessions);
        for _ in 0..self.sessions {
            sessions.push(Session::open(self.address, self.tls.as_ref()).await?);
        }
        let left = Arc::new(AtomicU64::new(messages));
        let begin = Instant::now();
        let mut running = JoinSet::new();
        for (session, number) in sessions.into_iter().zip(0..) {
            let pace = pace(begin, number);
            running.spawn(one(session, self.way, Arc::clone(&left), pace));
        }
        let mut ended = Vec::new();
        while let Some(session) = running.join_next().await {
            ended.push(session??);
        }
        let took = begin.elapsed();
        for session in ended {
            session.quit().await?;
        }
        Ok(took)
    }
}

async fn one(
    mut session: Session,
    way: Way,
    left: Arc<AtomicU64>,
    mut pace: Pace,
) -> Result<Session, Failure> {
    let ticket = || {
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        });
        taken.is_ok()
    };
    let envelope = format!("MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\n");
    let mut group = Vec::new();
    let mut goes_on = ticket();
    if goes_on && way == Way::Pipelined {
        session
            .say(format!("{envelope}DATA\r\n").as_bytes())
            .await?;
        session.replies(2, b'2').await?;
        session.replies(1, b'3').await?;
    }
    while goes_on {
        let late = pace.turn().await;
        let sent = unix_now_ns() - i64::try_from(late.as_nanos())?;
        let text = message(NEXT.fetch_add(1, Ordering::Relaxed), sent);
        goes_on = ticket();
        group.clear();
        match way {
            Way::Pipelined => {
                group.extend_from_slice(text.as_bytes());
                group.extend_from_slice(b".\r\n");
                if goes_on {
                    group.extend_from_slice(envelope.as_bytes());
                    group.extend_from_slice(b"DATA\r\n");
                }
                session.say(&group).await?;
                session.replies(1, b'2').await?;
                if goes_on {
                    session.replies(2, b'2').await?;
                    session.replies(1, b'3').await?;
                }
            }
            Way::Chunked => {
                group.extend_from_slice(envelope.as_bytes());
                group.extend_from_slice(format!("BDAT {} LAST\r\n", text.len()).as_bytes());
                group.extend_from_slice(text.as_bytes());
                session.say(&group).await?;
                session.replies(3, b'2').await?;
            }
        }
    }
    Ok(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_was_missed_is_late_by_its_own_time() {
        let period = Duration::from_millis(100);
        let mut pace = Pace::Every {
            next: Instant::now() - Duration::from_millis(250),
            period,
        };
        // Two and a half periods behind: three turns at once, each less late, and then one in time.
        for periods in [2, 1, 0] {
            let late = pace.turn().await;
            let least = period * periods + Duration::from_millis(50);
            assert!(
                late >= least && late < least + Duration::from_secs(1),
                "{late:?}"
            );
        }
        assert_eq!(Pace::Full.turn().await, Duration::ZERO);
    }
}
