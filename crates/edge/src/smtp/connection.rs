//! One connection: bytes in, bytes out, time, TLS.

use super::counters::SmtpCounters;
use super::handshake::handshake;
use super::scratch::{self, linger};
use super::sink::{AcceptedMail, MailSink, Receipt};
use futures::future::BoxFuture;
use machine::Machine;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use telemetry::smtp::{
    Arrival, Defer, Guesses, Network, Output, Policy, Protocol, Rates, Session, Tls,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use wire::UnixMicros;

/// A client that does not take our replies for so long is gone.
const WRITE_LIMIT: Duration = Duration::from_secs(60);

/// For the sink's verdict. A disk that takes longer is broken; the client is told to come again.
const STORE_LIMIT: Duration = Duration::from_secs(120);

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) policy: Arc<Policy>,
    pub(super) acceptor: TlsAcceptor,
    pub(super) sink: Arc<dyn MailSink>,
    pub(super) counters: Arc<SmtpCounters>,
    /// Zero of the sessions' time line.
    pub(super) epoch: Instant,
    pub(super) stopped: watch::Receiver<bool>,
    /// Messages of each device in the last minute.
    pub(super) rates: Mutex<Rates>,
    /// Failed logins of each address.
    pub(super) guesses: Mutex<Guesses>,
    /// Load balancers, which say for whom they connect.
    pub(super) proxies: Vec<Network>,
    /// Dates arrivals.
    pub(super) wall_clock: fn() -> UnixMicros,
}

/// How a listener's connections begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opening {
    /// With a greeting in clear.
    Clear(Protocol),
    /// With a TLS handshake (RFC 8314 §3).
    Tls,
}

impl Shared {
    fn now(&self) -> machine::Instant {
        machine::Instant::ZERO + self.epoch.elapsed()
    }
}

/// Why the driving of a stream ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    StartTls,
    /// The client said goodbye, and was not contradicted.
    Quit,
    Close,
}

/// What a session has asked for that takes time.
enum Next<'a> {
    Read,
    Store(BoxFuture<'a, Result<Receipt, Defer>>),
    Pause(Duration),
    End(End),
}

/// Serves one client from greeting to close.
///
/// Most of the time a connection waits for its client, and thousands may wait at once: what is big and
/// rare (a TLS stream, a handshake, the end) has memory of its own while it lasts.
pub(super) async fn run<S>(mut stream: S, peer: IpAddr, opening: Opening, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let protocol = match opening {
        Opening::Clear(protocol) => protocol,
        Opening::Tls => {
            return match Box::pin(handshake(stream, shared)).await {
                Ok((stream, tls)) => {
                    let connection = Connection::new(shared, peer, Protocol::Esmtp, Some(tls));
                    connection.drive_to_end(stream).await;
                }
                Err(cause) => handshake_failed(shared, peer, &cause),
            };
        }
    };
    let mut connection = Connection::new(shared, peer, protocol, None);
    match connection.drive(&mut stream).await {
        // Its last word has been read and answered: nothing is left that a reset could destroy.
        Ok(End::Quit) => {}
        Ok(End::Close) => Box::pin(linger(stream)).await,
        Ok(End::StartTls) => match Box::pin(handshake(stream, shared)).await {
            Ok((stream, tls)) => {
                connection.tls = true;
                connection.session.tls_established(shared.now(), tls);
                connection.drive_to_end(stream).await;
            }
            Err(cause) => handshake_failed(shared, peer, &cause),
        },
        Err(error) => tracing::debug!(%peer, %error, "mail connection lost"),
    }
}

fn handshake_failed(shared: &Shared, peer: IpAddr, cause: &str) {
    SmtpCounters::add(&shared.counters.handshakes_failed, 1);
    tracing::info!(%peer, cause, "TLS handshake of a mail client failed");
}

struct Connection<'a> {
    shared: &'a Shared,
    peer: IpAddr,
    session: Session,
    /// What the session asked for and is not done yet.
    outputs: VecDeque<Output>,
    /// Replies not written yet: a pipelining client gets them in one piece.
    replies: Vec<u8>,
    /// Something was refused since the client was last read from.
    refused: bool,
    tls: bool,
}

impl<'a> Connection<'a> {
    fn new(shared: &'a Shared, peer: IpAddr, protocol: Protocol, tls: Option<Tls>) -> Box<Self> {
        let mut entropy = [0; 32];
        // Only logins need any.
        if shared.policy.devices.have_logins()
            && let Err(error) = getrandom::fill(&mut entropy)
        {
            // The nonce of a login could then be foreseen, which alone breaks nothing: the client's
            // own stands beside it.
            tracing::error!(%error, "the system gives no randomness");
        }
        let arrival = Arrival {
            peer,
            protocol,
            tls,
            entropy,
        };
        let mut out = Vec::new();
        let session = Session::new(Arc::clone(&shared.policy), arrival, shared.now(), &mut out);
        Box::new(Self {
            shared,
            peer,
            session,
            outputs: out.into(),
            replies: Vec::new(),
            refused: false,
            tls: tls.is_some(),
        })
    }

    async fn drive_to_end<S>(mut self: Box<Self>, mut stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.drive(&mut stream).await {
            // Also after QUIT: the client's own farewell (RFC 8446 §6.1) may be on its way.
            Ok(End::Close | End::Quit | End::StartTls) => Box::pin(linger(stream)).await,
            Err(error) => tracing::debug!(peer = %self.peer, %error, "mail connection lost"),
        }
    }

    async fn drive<S>(&mut self, stream: &mut S) -> io::Result<End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shared = self.shared;
        let mut watched = shared.stopped.clone();
        let mut stopped = pin!(stop(&mut watched));
        let mut told = false;
        // Deadlines mostly move away. So the alarm is not set anew with every read, but when it has rung
        // or a deadline comes nearer; the session knows whether it rang too early.
        let mut alarm = pin!(sleep_until(shared.epoch));
        let mut is_set = false;
        loop {
            match self.perform() {
                Next::Read => self.flush(stream).await?,
                Next::Store(verdict) => {
                    // Replies that are due wait for the verdict: all go in one piece.
                    let verdict = timeout(STORE_LIMIT, verdict).await;
                    self.stored(verdict.unwrap_or(Err(Defer::Failed)));
                    continue;
                }
                Next::Pause(delay) => {
                    self.flush(stream).await?;
                    Box::pin(pause(shared, delay)).await;
                    continue;
                }
                Next::End(end) => {
                    self.flush(stream).await?;
                    return Ok(end);
                }
            }
            if let Some(deadline) = self.session.deadline() {
                let at = shared.epoch + Duration::from_nanos(deadline.as_nanos());
                if !is_set || at < alarm.deadline() {
                    alarm.as_mut().reset(at);
                    is_set = true;
                }
            }
            let mut out = Vec::new();
            tokio::select! {
                // Time first: a client that always has something to say must not hold it up.
                biased;
                () = &mut alarm, if is_set => {
                    is_set = false;
                    self.session.tick(shared.now(), &mut out);
                }
                // A message on its way is read to its end, without asking again.
                () = &mut stopped, if !told => {
                    told = true;
                    self.session.shutdown(&mut out);
                }
                read = poll_fn(|cx| self.poll_read(stream, cx, &mut out)) => {
                    if read? == 0 {
                        return Ok(End::Close);
                    }
                }
            }
            self.outputs.extend(out);
        }
    }

    /// Lets the session hear what there is to read; how many bytes that were.
    fn poll_read<S>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        out: &mut Vec<Output>,
    ) -> Poll<io::Result<usize>>
    where
        S: AsyncRead + Unpin,
    {
        let read = scratch::poll_read(stream, cx, |bytes| {
            let before = self.session.payload_octets();
            self.session.feed(self.shared.now(), bytes, out);
            if !self.tls {
                let fresh = self.session.payload_octets() - before;
                self.count(|counters| &counters.plaintext_payload_bytes, fresh);
            }
            bytes.len()
        });
        if read.is_pending() {
            // This may take minutes, and there may be thousands of us.
            self.outputs = VecDeque::new();
            self.replies = Vec::new();
        }
        read
    }

    /// Does what the session asked for, in order, up to what takes time.
    fn perform(&mut self) -> Next<'a> {
        while let Some(output) = self.outputs.pop_front() {
            match output {
                Output::Reply(bytes) => self.replies.extend(bytes),
                Output::Refused(refusal) => {
                    self.refused = true;
                    self.shared.counters.refused(&refusal);
                    tracing::info!(peer = %self.peer, reason = %refusal, "mail refused");
                }
                Output::Admit => {
                    let verdict = self.admit();
                    self.note_deferral(verdict.err());
                    let mut out = Vec::new();
                    self.session.admitted(self.shared.now(), verdict, &mut out);
                    self.outputs.extend(out);
                }
                Output::Login(name) => {
                    let now = self.shared.now();
                    let verdict = self.guesses().attempt(self.peer, &name, now);
                    let mut out = Vec::new();
                    self.session.login_admitted(now, verdict, &mut out);
                    self.outputs.extend(out);
                }
                Output::LoggedIn(name) => {
                    let now = self.shared.now();
                    self.guesses().succeeded(self.peer, &name, now);
                }
                Output::Message(mail) => {
                    let mail = AcceptedMail {
                        mail,
                        end_of_data: (self.shared.wall_clock)(),
                    };
                    return Next::Store(self.shared.sink.accept(mail));
                }
                Output::Pause(delay) => return Next::Pause(delay),
                Output::StartTls => return Next::End(End::StartTls),
                Output::Close if self.refused => return Next::End(End::Close),
                Output::Close => return Next::End(End::Quit),
            }
        }
        self.refused = false;
        Next::Read
    }

    /// The sink has decided.
    fn stored(&mut self, verdict: Result<Receipt, Defer>) {
        let now = self.shared.now();
        let mut out = Vec::new();
        match verdict {
            Ok(receipt) => {
                if receipt.duplicate {
                    self.count(|counters| &counters.duplicates, 1);
                } else {
                    self.count(|counters| &counters.accepted, 1);
                }
                self.session.stored(now, Ok(&receipt.id), &mut out);
            }
            Err(defer) => {
                self.note_deferral(Some(defer));
                self.session.stored(now, Err(defer), &mut out);
            }
        }
        self.outputs.extend(out);
    }

    fn admit(&self) -> Result<(), Defer> {
        self.shared.sink.room()?;
        let rates = self.shared.rates.lock();
        let mut rates = rates.unwrap_or_else(PoisonError::into_inner);
        if rates.take(&self.session.sender(), self.shared.now()) {
            Ok(())
        } else {
            Err(Defer::TooFast)
        }
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        let guesses = self.shared.guesses.lock();
        guesses.unwrap_or_else(PoisonError::into_inner)
    }

    fn note_deferral(&self, defer: Option<Defer>) {
        if let Some(defer) = defer {
            self.count(|counters| &counters.deferred, 1);
            tracing::warn!(peer = %self.peer, reason = %defer, "mail put off");
        }
    }

    fn count(
        &self,
        which: impl FnOnce(&SmtpCounters) -> &std::sync::atomic::AtomicU64,
        amount: u64,
    ) {
        SmtpCounters::add(which(&self.shared.counters), amount);
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let write = async {
            stream.write_all(&self.replies).await?;
            stream.flush().await
        };
        timeout(WRITE_LIMIT, write)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        self.replies.clear();
        Ok(())
    }
}

/// Waits; less long if the server is told to stop.
async fn pause(shared: &Shared, delay: Duration) {
    let mut stopped = shared.stopped.clone();
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = stop(&mut stopped) => {}
    }
}

/// Resolves when the server is told to stop, or its handle is gone.
pub(super) async fn stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that nobody holds the handle any more.
    let _ = stopped.wait_for(|stop| *stop).await;
}
