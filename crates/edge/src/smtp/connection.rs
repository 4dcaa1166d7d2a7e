//! One connection: bytes in, bytes out, time, TLS.

use super::counters::SmtpCounters;
use super::sink::{AcceptedMail, MailSink};
use machine::Machine;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use telemetry::smtp::{
    Arrival, Defer, Guesses, Mail, Network, Output, Policy, Protocol, Rates, Session, Tls,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wire::UnixMicros;

/// Bytes read at once: a typical telemetry mail with its commands, and small enough to be held
/// by ten thousand idle sessions.
const READ: usize = 8 << 10;

/// A client that does not take our replies for so long is gone.
const WRITE_LIMIT: Duration = Duration::from_secs(60);

/// For the TLS handshake; old gear computes slowly.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// For the sink's verdict. A disk that takes longer is broken; the client is told to come again.
const STORE_LIMIT: Duration = Duration::from_secs(120);

/// RFC 9266 §4.2.
const BINDING: &[u8] = b"EXPORTER-Channel-Binding";

/// After the last reply we read on for a moment, or closing with unread input would make the
/// kernel reset the connection and the client lose the reply.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

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
    Close,
}

/// What a session has asked for that needs the stream.
enum Next {
    Read,
    Pause(Duration),
    End(End),
}

/// Serves one client from greeting to close.
pub(super) async fn run<S>(mut stream: S, peer: IpAddr, opening: Opening, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let protocol = match opening {
        Opening::Clear(protocol) => protocol,
        Opening::Tls => {
            return match handshake(stream, shared).await {
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
        Ok(End::Close) => linger(stream).await,
        Ok(End::StartTls) => match handshake(stream, shared).await {
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

/// Shakes hands; what went wrong otherwise.
async fn handshake<S>(stream: S, shared: &Shared) -> Result<(TlsStream<S>, Tls), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = timeout(HANDSHAKE_LIMIT, shared.acceptor.accept(stream))
        .await
        .map_err(|_| "it took too long".to_owned())?
        .map_err(|error| error.to_string())?;
    let (_, connection) = stream.get_ref();
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    // RFC 9266 §4: before TLS 1.3 the exporter depends on an extension that not all clients speak.
    let is_safe = connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let exporter = || {
        let secret = [0; 32];
        connection.export_keying_material(secret, BINDING, Some(b""))
    };
    let tls = Tls {
        exporter: is_safe.then(exporter).and_then(Result::ok),
        certificate: certificate.map(|certificate| wire::Digest::of(certificate).0),
    };
    Ok((stream, tls))
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
    tls: bool,
}

impl<'a> Connection<'a> {
    fn new(shared: &'a Shared, peer: IpAddr, protocol: Protocol, tls: Option<Tls>) -> Self {
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
        Self {
            shared,
            peer,
            session,
            outputs: out.into(),
            replies: Vec::new(),
            tls: tls.is_some(),
        }
    }

    async fn drive_to_end<S>(mut self, mut stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.drive(&mut stream).await {
            Ok(End::Close | End::StartTls) => linger(stream).await,
            Err(error) => tracing::debug!(peer = %self.peer, %error, "mail connection lost"),
        }
    }

    async fn drive<S>(&mut self, stream: &mut S) -> io::Result<End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stopped = self.shared.stopped.clone();
        let mut told = false;
        let mut buffer = vec![0; READ];
        loop {
            let next = self.perform().await;
            self.flush(stream).await?;
            match next {
                Next::Read => {}
                Next::End(end) => return Ok(end),
                Next::Pause(delay) => {
                    // A pause ends early when the server does.
                    let mut stopped = self.shared.stopped.clone();
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = stop(&mut stopped) => {}
                    }
                    continue;
                }
            }
            let mut out = Vec::new();
            tokio::select! {
                read = stream.read(&mut buffer) => {
                    let read = read?;
                    if read == 0 {
                        return Ok(End::Close);
                    }
                    let before = self.session.payload_octets();
                    self.session.feed(self.shared.now(), &buffer[..read], &mut out);
                    if !self.tls {
                        let fresh = self.session.payload_octets() - before;
                        self.count(|counters| &counters.plaintext_payload_bytes, fresh);
                    }
                }
                () = self.until_deadline() => self.session.tick(self.shared.now(), &mut out),
                // A message on its way is read to its end, without asking again.
                () = stop(&mut stopped), if !told => {
                    told = true;
                    self.session.shutdown(&mut out);
                }
            }
            self.outputs.extend(out);
        }
    }

    async fn until_deadline(&self) {
        match self.session.deadline() {
            Some(deadline) => {
                let at = self.shared.epoch + Duration::from_nanos(deadline.as_nanos());
                pin!(sleep_until(at)).await;
            }
            None => std::future::pending().await,
        }
    }

    /// Does what the session asked for, in order.
    async fn perform(&mut self) -> Next {
        while let Some(output) = self.outputs.pop_front() {
            let mut out = Vec::new();
            match output {
                Output::Reply(bytes) => self.replies.extend(bytes),
                Output::Refused(refusal) => {
                    self.shared.counters.refused(&refusal);
                    tracing::info!(peer = %self.peer, reason = %refusal, "mail refused");
                }
                Output::Admit => {
                    let verdict = self.admit();
                    self.note_deferral(verdict.err());
                    self.session.admitted(self.shared.now(), verdict, &mut out);
                }
                Output::Login(name) => {
                    let now = self.shared.now();
                    let verdict = self.guesses().attempt(self.peer, &name, now);
                    self.session.login_admitted(now, verdict, &mut out);
                }
                Output::LoggedIn(name) => {
                    let now = self.shared.now();
                    self.guesses().succeeded(self.peer, &name, now);
                }
                Output::Message(mail) => {
                    let verdict = self.store(mail).await;
                    let now = self.shared.now();
                    match &verdict {
                        Ok(id) => self.session.stored(now, Ok(id), &mut out),
                        Err(defer) => self.session.stored(now, Err(*defer), &mut out),
                    }
                }
                Output::Pause(delay) => return Next::Pause(delay),
                Output::StartTls => return Next::End(End::StartTls),
                Output::Close => return Next::End(End::Close),
            }
            self.outputs.extend(out);
        }
        Next::Read
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

    async fn store(&self, mail: Mail) -> Result<String, Defer> {
        let mail = AcceptedMail {
            mail,
            end_of_data: wall_clock(),
        };
        let verdict = timeout(STORE_LIMIT, self.shared.sink.accept(mail))
            .await
            .unwrap_or(Err(Defer::Failed));
        match verdict {
            Ok(receipt) => {
                if receipt.duplicate {
                    self.count(|counters| &counters.duplicates, 1);
                } else {
                    self.count(|counters| &counters.accepted, 1);
                }
                Ok(receipt.id)
            }
            Err(defer) => {
                self.note_deferral(Some(defer));
                Err(defer)
            }
        }
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

/// Closes our side, then reads until the client closes its own.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let close = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; READ];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // Best effort: whatever goes wrong now, the session is over.
    let _ = timeout(LINGER, close).await;
}

/// Resolves when the server is told to stop, or its handle is gone.
pub(super) async fn stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that nobody holds the handle any more.
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn wall_clock() -> UnixMicros {
    // Before 1970 only if the host's clock is that wrong; then the epoch is as good as any.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMicros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
