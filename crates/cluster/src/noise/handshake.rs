use super::link::LinkKeys;
use super::resolver::Dalek;
use super::{HandshakeError, Identity, Peer, Roster};
use runtime::entropy;
use snow::{Builder, HandshakeState};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use wire::{Capability, Hello, NodeId};
use zeroize::Zeroizing;

/// Time for the whole handshake: three messages and four scalar multiplications. A healthy peer
/// needs milliseconds; a connection that says nothing must not be kept.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(2);

/// Longest handshake message: 96 bytes of keys and tags and a certificate of about 200 bytes
/// with names of reasonable length.
const MAX_MESSAGE: usize = 2048;

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// The outcome of a handshake: who is there, and what the link needs.
pub struct Established {
    /// The proven peer.
    pub peer: Peer,
    /// What the peer shows to our gateway; drawn for this link.
    pub capability_in: Capability,
    /// What we show to the peer's gateway.
    pub capability_out: Capability,
    /// The link's first keys.
    pub keys: LinkKeys,
}

/// Performs the handshake as `me`. The initiator names whom it `dialed`; the responder gives
/// `None` and takes anyone in the roster.
pub async fn handshake<S>(
    stream: &mut S,
    me: &Identity,
    roster: &Roster,
    dialed: Option<&NodeId>,
) -> Result<Established, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let exchange = exchange(stream, me, roster, dialed);
    tokio::time::timeout(HANDSHAKE_LIMIT, exchange)
        .await
        .unwrap_or(Err(HandshakeError::TimedOut {
            limit: HANDSHAKE_LIMIT,
        }))
}

async fn exchange<S>(
    stream: &mut S,
    me: &Identity,
    roster: &Roster,
    dialed: Option<&NodeId>,
) -> Result<Established, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let initiator = dialed.is_some();
    let mut noise = start(me, initiator)?;
    let capability_in = Capability(entropy::bytes());
    let hello = wire::encode(&Hello {
        certificate: me.certificate().clone(),
        capability: capability_in,
    });
    let (peer, capability_out) = if let Some(dialed) = dialed {
        write(stream, &mut noise, &[]).await?;
        let theirs = read(stream, &mut noise).await?;
        let (peer, capability) = check(me, roster, &noise, &theirs)?;
        // Our certificate is shown only to the one we meant.
        if peer.node != *dialed {
            return Err(HandshakeError::WrongPeer {
                expected: dialed.clone(),
                found: peer.node,
            });
        }
        write(stream, &mut noise, &hello).await?;
        (peer, capability)
    } else {
        read(stream, &mut noise).await?;
        write(stream, &mut noise, &hello).await?;
        let theirs = read(stream, &mut noise).await?;
        check(me, roster, &noise, &theirs)?
    };
    let mut hash = [0; 32];
    hash.copy_from_slice(noise.get_handshake_hash());
    let (first, second) = noise.dangerously_get_raw_split();
    let (first, second) = (Zeroizing::new(first), Zeroizing::new(second));
    let keys = LinkKeys::new(&first, &second, hash, initiator);
    Ok(Established {
        peer,
        capability_in,
        capability_out,
        keys,
    })
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

fn check(
    me: &Identity,
    roster: &Roster,
    noise: &HandshakeState,
    payload: &[u8],
) -> Result<(Peer, Capability), HandshakeError> {
    let hello: Hello = wire::decode(payload)?;
    let static_key = noise.get_remote_static().unwrap_or_default();
    let peer = roster.verify(me, &hello.certificate, static_key)?;
    Ok((peer, hello.capability))
}

async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    noise: &mut HandshakeState,
    payload: &[u8],
) -> Result<(), HandshakeError> {
    let mut message = vec![0; 2 + MAX_MESSAGE];
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
) -> Result<Vec<u8>, HandshakeError> {
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_MESSAGE {
        return Err(HandshakeError::TooLong {
            len: length,
            limit: MAX_MESSAGE,
        });
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    let mut payload = vec![0; length];
    let length = noise.read_message(&message, &mut payload)?;
    payload.truncate(length);
    Ok(payload)
}
