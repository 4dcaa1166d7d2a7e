use super::channel::Channel;
use super::link::LinkKeys;
use super::record::Record;
use super::resolver::Dalek;
use super::said::{Said, greeting, hello, introduction};
use super::{HandshakeError, Identity, Peer, certificate};
use crate::members::{MemberTable, Standing};
use runtime::entropy;
use snow::{Builder, HandshakeState};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};
use wire::{Admission, Capability, Greeting, Level, NodeId, Purpose};
use zeroize::Zeroizing;

/// Time for the whole handshake: three messages and four scalar multiplications. A healthy peer
/// needs milliseconds; a connection that says nothing must not be kept.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(2);

/// Longest first message: 32 bytes of key and a few of greeting. Anybody can send one, so it
/// stays at the limit of the first release, which is more than enough.
const MAX_FIRST: usize = 2048;

/// Longest second or third message: 96 bytes of keys and tags, a certificate of some 200, and an
/// admission. Its note has one line of some 150 bytes for each member, its path up to 64 hashes:
/// some 12 KiB in a cluster of 64 members. Names can be long; twice that is plenty.
const MAX_MESSAGE: usize = 32 << 10;

/// Most that a handshake message has besides its payload: two keys and two tags.
const MAX_OVERHEAD: usize = 32 + 32 + 16 + 16;

/// Time to tell a former member why it is refused.
const FAREWELL_LIMIT: Duration = Duration::from_millis(200);

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// What this node brings to a handshake.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Who it is.
    pub me: &'a Identity,
    /// Whom it takes for a member.
    pub table: &'a MemberTable,
    /// What it speaks.
    pub level: Level,
    /// Proof of its own membership.
    pub admission: Option<&'a Admission>,
}

/// The outcome of a handshake: who is there, and what the link needs.
pub struct Established {
    /// What was proved and agreed.
    pub proven: Proven,
    /// The link's first keys.
    pub keys: LinkKeys,
}

/// What a handshake proves and agrees.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The proven peer.
    pub peer: Peer,
    /// The lower one of both ends' levels.
    pub level: Level,
    /// What entitles the peer to the link.
    pub standing: Standing,
    /// What the peer shows to our gateway; drawn for this link.
    pub capability_in: Capability,
    /// What we show to the peer's gateway.
    pub capability_out: Capability,
}

/// Dials: performs the handshake as the initiator, who means `dialed` and shows itself to nobody
/// else.
pub async fn dial<S>(
    stream: &mut S,
    side: Side<'_>,
    dialed: &NodeId,
) -> Result<Established, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limit = Instant::now() + HANDSHAKE_LIMIT;
    within(limit, dial_exchange(stream, side, dialed)).await
}

async fn dial_exchange<S>(
    stream: &mut S,
    side: Side<'_>,
    dialed: &NodeId,
) -> Result<Established, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut noise = start(side.me, true)?;
    let greets = side.level > Level::FIRST;
    let greeting = greets.then(|| greeting(side.level, Purpose::Link));
    write(stream, &mut noise, &greeting.unwrap_or_default()).await?;
    let payload = read(stream, &mut noise, MAX_MESSAGE).await?;
    let theirs = if greets {
        Said::answer(&payload)?
    } else {
        Said::hello(&payload)?
    };
    let peer = pinned(side, &noise, &theirs, dialed)?;
    let capability_in = Capability(entropy::bytes());
    let ours = match theirs.level {
        Some(_) => introduction(side, capability_in, side.admission),
        None => hello(side, capability_in),
    };
    write(stream, &mut noise, &ours).await?;
    let proven = Proven {
        peer,
        level: theirs.common_level(side.level),
        standing: Standing::Member,
        capability_in,
        capability_out: theirs.hello.capability,
    };
    let keys = keys(&mut noise, true);
    Ok(Established { proven, keys })
}

/// Knocks: performs the handshake as a stranger who means to show an application to `dialed`, and
/// to nobody else. The stranger's certificate travels inside the application.
pub async fn knock<S>(
    mut stream: S,
    side: Side<'_>,
    dialed: &NodeId,
) -> Result<Channel<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limit = Instant::now() + HANDSHAKE_LIMIT;
    let exchange = async {
        let mut noise = start(side.me, true)?;
        let greeting = greeting(side.level, Purpose::Join);
        write(&mut stream, &mut noise, &greeting).await?;
        let payload = read(&mut stream, &mut noise, MAX_MESSAGE).await?;
        let theirs = Said::answer(&payload)?;
        pinned(side, &noise, &theirs, dialed)?;
        if theirs.level.is_none() {
            let node = dialed.clone();
            return Err(HandshakeError::AdmitsNobody { node });
        }
        write(&mut stream, &mut noise, &[]).await?;
        Ok(noise)
    };
    let mut noise = within(limit, exchange).await?;
    let static_key = remote_static(&noise);
    Ok(Channel::new(stream, keys(&mut noise, true), static_key))
}

/// A connection from outside whose first message has been read. What it wants is known, who it is
/// is not.
pub struct Greeted<S> {
    stream: S,
    noise: HandshakeState,
    greeting: Option<Greeting>,
    limit: Instant,
}

/// Reads the first message of a connection from outside, as the responder.
pub async fn listen<S>(
    mut stream: S,
    me: &Identity,
    level: Level,
) -> Result<Greeted<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limit = Instant::now() + HANDSHAKE_LIMIT;
    let mut noise = start(me, false)?;
    let first = within(limit, read(&mut stream, &mut noise, MAX_FIRST)).await?;
    // The first release says nothing there, and does not listen to what is said.
    let greeting = if first.is_empty() || level == Level::FIRST {
        None
    } else {
        Some(wire::decode(&first)?)
    };
    Ok(Greeted {
        stream,
        noise,
        greeting,
        limit,
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Greeted<S> {
    /// What the other end wants.
    pub fn purpose(&self) -> Purpose {
        self.greeting
            .map_or(Purpose::Link, |greeting| greeting.purpose)
    }

    /// Goes on towards a link: takes any member, and tells a former one why not.
    pub async fn link(mut self, side: Side<'_>) -> Result<(S, Established), HandshakeError> {
        let established = within(self.limit, self.link_exchange(side)).await?;
        Ok((self.stream, established))
    }

    async fn link_exchange(&mut self, side: Side<'_>) -> Result<Established, HandshakeError> {
        let Self {
            stream,
            noise,
            greeting,
            ..
        } = self;
        let capability_in = Capability(entropy::bytes());
        let ours = match greeting {
            // Whoever dials this node knows it for a member: no admission to strangers.
            Some(_) => introduction(side, capability_in, None),
            None => hello(side, capability_in),
        };
        write(stream, noise, &ours).await?;
        let payload = read(stream, noise, MAX_MESSAGE).await?;
        let theirs = match greeting {
            Some(greeting) => Said::introduction(&payload, *greeting)?,
            None => Said::hello(&payload)?,
        };
        let peer = certificate::verify(side.me, &theirs.hello.certificate, &remote_static(noise))?;
        let shown = theirs.admission.as_deref();
        let standing = match side.table.standing(side.me.cluster(), &peer, shown) {
            Ok(standing) => standing,
            Err(refusal) => {
                if theirs.level.is_some() {
                    farewell(stream, noise, &refusal).await;
                }
                return Err(refusal);
            }
        };
        let proven = Proven {
            peer,
            level: theirs.common_level(side.level),
            standing,
            capability_in,
            capability_out: theirs.hello.capability,
        };
        let keys = keys(noise, false);
        Ok(Established { proven, keys })
    }

    /// Goes on towards an application: proves who we are and learns nothing but the other end's
    /// static key.
    pub async fn applicant(mut self, side: Side<'_>) -> Result<Channel<S>, HandshakeError> {
        let exchange = async {
            // The capability is for a link that will never be.
            let ours = introduction(side, Capability(entropy::bytes()), None);
            write(&mut self.stream, &mut self.noise, &ours).await?;
            read(&mut self.stream, &mut self.noise, MAX_FIRST).await
        };
        within(self.limit, exchange).await?;
        let static_key = remote_static(&self.noise);
        let keys = keys(&mut self.noise, false);
        Ok(Channel::new(self.stream, keys, static_key))
    }
}

/// Tells who proved to hold a former member's key why it is refused; nobody else learns anything.
async fn farewell<S>(stream: &mut S, noise: &mut HandshakeState, refusal: &HandshakeError)
where
    S: AsyncWrite + Unpin,
{
    let HandshakeError::Removed { why, .. } = refusal else {
        return;
    };
    let mut out = Vec::new();
    let mut keys = keys(noise, false);
    if keys.sealer.seal(Record::Dismissed(why), &mut out).is_ok() {
        let sending = async {
            stream.write_all(&out).await?;
            stream.shutdown().await
        };
        // A courtesy: it is refused all the same.
        let _ = tokio::time::timeout(FAREWELL_LIMIT, sending).await;
    }
}

async fn within<T>(
    limit: Instant,
    exchange: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    timeout_at(limit, exchange)
        .await
        .unwrap_or(Err(HandshakeError::TimedOut {
            limit: HANDSHAKE_LIMIT,
        }))
}

/// The peer, if it is the member that was dialed. Our certificate, and any secret, is shown only
/// to the one we meant.
fn pinned(
    side: Side<'_>,
    noise: &HandshakeState,
    theirs: &Said,
    dialed: &NodeId,
) -> Result<Peer, HandshakeError> {
    let peer = certificate::verify(side.me, &theirs.hello.certificate, &remote_static(noise))?;
    if peer.node != *dialed {
        return Err(HandshakeError::WrongPeer {
            expected: dialed.clone(),
            found: peer.node,
        });
    }
    side.table.standing(side.me.cluster(), &peer, None)?;
    Ok(peer)
}

fn remote_static(noise: &HandshakeState) -> Vec<u8> {
    noise.get_remote_static().unwrap_or_default().to_vec()
}

fn keys(noise: &mut HandshakeState, initiator: bool) -> LinkKeys {
    let mut hash = [0; 32];
    hash.copy_from_slice(noise.get_handshake_hash());
    let (first, second) = noise.dangerously_get_raw_split();
    let (first, second) = (Zeroizing::new(first), Zeroizing::new(second));
    LinkKeys::new(&first, &second, hash, initiator)
}

fn start(me: &Identity, initiator: bool) -> Result<HandshakeState, HandshakeError> {
    let prologue = [b"glasshouse link v1 ", me.cluster().as_bytes()].concat();
    let pattern = PATTERN.parse().expect("a constant, parsed in every test");
    let builder = Builder::with_resolver(pattern, Box::new(Dalek))
        .local_private_key(me.static_secret())?
        .prologue(&prologue)?;
    Ok(if initiator {
        builder.build_initiator()?
    } else {
        builder.build_responder()?
    })
}

async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    noise: &mut HandshakeState,
    payload: &[u8],
) -> Result<(), HandshakeError> {
    if payload.len() > MAX_MESSAGE - MAX_OVERHEAD {
        return Err(HandshakeError::TooLong {
            len: payload.len(),
            limit: MAX_MESSAGE - MAX_OVERHEAD,
        });
    }
    let mut message = vec![0; 2 + payload.len() + MAX_OVERHEAD];
    let length = noise.write_message(payload, &mut message[2..])?;
    let header = u16::try_from(length)
        .expect("MAX_MESSAGE is within 16 bits")
        .to_be_bytes();
    message[..2].copy_from_slice(&header);
    stream.write_all(&message[..2 + length]).await?;
    stream.flush().await?;
    Ok(())
}

async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    noise: &mut HandshakeState,
    limit: usize,
) -> Result<Vec<u8>, HandshakeError> {
    let len = usize::from(stream.read_u16().await?);
    if len > limit {
        return Err(HandshakeError::TooLong { len, limit });
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    let mut payload = vec![0; len];
    let length = noise.read_message(&message, &mut payload)?;
    payload.truncate(length);
    Ok(payload)
}
