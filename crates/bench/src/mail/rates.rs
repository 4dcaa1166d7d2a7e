//! The contenders taking turns at one load.

use super::generator::{Load, Way};
use super::server::{Offers, Server};
use super::source::Source;
use crate::Failure;
use crate::report::{Case, Contender};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ClientConfig;

/// Messages of the first trial, beyond two a session.
const TRIAL: u64 = 100;
/// Trials before the first repetition: they warm up and tell how many messages a repetition takes.
/// The first is over before a rate has settled.
const TRIALS: usize = 2;
/// The most messages of one repetition.
const MOST: f64 = 200_000.0;

/// How messages come.
#[derive(Clone)]
pub enum Drive {
    /// By `smtp-source`.
    Source {
        /// That.
        source: Arc<Source>,
        /// Connections at once.
        sessions: usize,
        /// One connection for all messages of a session.
        keep: bool,
    },
    /// By our generator, on connections that are kept open.
    Own {
        /// Connections.
        sessions: usize,
        /// In which words.
        way: Way,
        /// What clients trust; without it they speak in clear.
        tls: Option<Arc<ClientConfig>>,
    },
}

impl Drive {
    /// For the table.
    pub fn label(&self) -> String {
        let of = |sessions: &usize| {
            let unit = if *sessions == 1 {
                "session"
            } else {
                "sessions"
            };
            format!("{sessions} {unit}")
        };
        match self {
            Self::Source { sessions, keep, .. } => {
                let how = if *keep {
                    "kept open"
                } else {
                    "connection per message"
                };
                format!("smtp-source, {}, {how}", of(sessions))
            }
            Self::Own { sessions, way, tls } => {
                let way = match way {
                    Way::Pipelined => "pipelined",
                    Way::Chunked => "BDAT",
                };
                let tls = if tls.is_some() { "TLS" } else { "clear" };
                format!("{way}, {tls}, {}", of(sessions))
            }
        }
    }

    /// Can be asked of a server that offers this.
    pub const fn fits(&self, offers: Offers) -> bool {
        match self {
            Self::Source { .. } => true,
            Self::Own { way, tls, .. } => {
                let carried = match way {
                    Way::Pipelined => offers.pipelining,
                    Way::Chunked => offers.chunking && offers.pipelining,
                };
                carried && (tls.is_none() || offers.tls)
            }
        }
    }

    const fn sessions(&self) -> usize {
        match self {
            Self::Source { sessions, .. } | Self::Own { sessions, .. } => *sessions,
        }
    }

    async fn send(&self, server: &Server, messages: u64) -> Result<Duration, Failure> {
        match self {
            Self::Source {
                source,
                sessions,
                keep,
            } => {
                source
                    .send(server.address, *sessions, *keep, messages)
                    .await
            }
            Self::Own { sessions, way, tls } => {
                let load = Load {
                    address: server.address,
                    sessions: *sessions,
                    way: *way,
                    tls: tls.clone(),
                };
                load.send(messages).await
            }
        }
    }
}

/// What one repetition came to.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Messages a second.
    pub rate: f64,
    /// Processor time of a message in microseconds, with what follows its acceptance.
    pub processor: f64,
}

/// One load, and what each contender made of it.
pub struct Row {
    /// The load.
    pub label: String,
    found: Vec<(&'static str, Vec<Measured>)>,
}

impl Row {
    /// One figure of it; the first contender is ours.
    pub fn case(&self, figure: &dyn Fn(&Measured) -> f64) -> Case {
        let mut contenders = self
            .found
            .iter()
            .map(|(name, found)| Contender::new(*name, found.iter().map(figure).collect()));
        let ours = contenders.next();
        Case {
            label: self.label.clone(),
            ours: ours.unwrap_or_else(|| Contender::new("ours", Vec::new())),
            peers: contenders.collect(),
        }
    }
}

/// So many repetitions of about `span`, in turns. A peer that fails is left out and `notes` say why;
/// so is one that does not offer what the load asks for, which a table shows well enough.
pub async fn take_turns(
    drive: &Drive,
    servers: &mut [Server],
    repetitions: usize,
    span: Duration,
    notes: &mut Vec<String>,
) -> Result<Row, Failure> {
    let mut row = Row {
        label: drive.label(),
        found: Vec::new(),
    };
    let few = TRIAL + 2 * drive.sessions() as u64;
    let mut entered = Vec::new();
    for server in servers
        .iter_mut()
        .filter(|server| drive.fits(server.offers))
    {
        row.found.push((server.name, Vec::new()));
        entered.push((server, few));
    }
    for repetition in 0..TRIALS + repetitions {
        let mut at = 0;
        while at < entered.len() {
            let (server, messages) = &mut entered[at];
            match once(drive, server, *messages).await {
                Ok(measured) => {
                    if repetition < TRIALS {
                        let fitting = (measured.rate * span.as_secs_f64()).min(MOST);
                        *messages = few.max(fitting as u64);
                    } else {
                        row.found[at].1.push(measured);
                    }
                    at += 1;
                }
                Err(why) if at > 0 => {
                    notes.push(format!(
                        "{} left out of \"{}\": {why}",
                        server.name, row.label
                    ));
                    entered.remove(at);
                    row.found.remove(at);
                }
                Err(why) => return Err(format!("{}: {why}", row.label).into()),
            }
        }
    }
    eprintln!("measured: {}", row.label);
    Ok(row)
}

async fn once(drive: &Drive, server: &mut Server, messages: u64) -> Result<Measured, Failure> {
    let before = server.processor()?;
    let took = drive.send(server, messages).await?;
    server.settle().await?;
    let cost = server.processor()?.saturating_sub(before);
    Ok(Measured {
        rate: messages as f64 / took.as_secs_f64(),
        processor: cost.as_secs_f64() * 1e6 / messages as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_for_what_it_does_not_offer() {
        let drive = |way, tls: bool| Drive::Own {
            sessions: 1,
            way,
            tls: tls.then(|| edge::tls::client_config(&certificate()).unwrap()),
        };
        let offers = |pipelining, chunking, tls| Offers {
            pipelining,
            chunking,
            tls,
        };
        assert!(drive(Way::Pipelined, false).fits(offers(true, false, false)));
        assert!(!drive(Way::Pipelined, true).fits(offers(true, true, false)));
        assert!(!drive(Way::Chunked, false).fits(offers(true, false, true)));
        assert!(drive(Way::Chunked, true).fits(offers(true, true, true)));
        assert_eq!(drive(Way::Chunked, true).label(), "BDAT, TLS, 1 session");
    }

    fn certificate() -> String {
        let made = edge::tls::Certified::self_signed(&["localhost".to_owned()]).unwrap();
        made.certificate
    }
}
