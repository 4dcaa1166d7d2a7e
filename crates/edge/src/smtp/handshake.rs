//! The TLS handshake, and what a session learns from it.

use super::connection::Shared;
use std::time::Duration;
use telemetry::smtp::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// For the TLS handshake; old gear computes slowly.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// RFC 9266 §4.2.
const BINDING: &[u8] = b"EXPORTER-Channel-Binding";

/// Shakes hands; what went wrong otherwise.
pub(super) async fn handshake<S>(
    stream: S,
    shared: &Shared,
) -> Result<(Box<TlsStream<S>>, Tls), String>
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
    Ok((Box::new(stream), tls))
}
