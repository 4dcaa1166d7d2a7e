//! Connections that come through a load balancer, which says for whom (PROXY protocol, version 2).

use std::io;
use std::net::IpAddr;
use std::time::Duration;
use telemetry::smtp::{PROXY_HEADER, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The proxy has its header ready when it connects.
const PATIENCE: Duration = Duration::from_secs(5);

/// For whom the proxy at `proxy` connects.
pub(super) async fn source<S>(stream: &mut S, proxy: IpAddr) -> io::Result<IpAddr>
where
    S: AsyncRead + Unpin,
{
    let read = async {
        let mut fixed = [0; PROXY_HEADER];
        stream.read_exact(&mut fixed).await?;
        let header = ProxyHeader::read(&fixed).map_err(io::Error::other)?;
        let mut rest = vec![0; header.rest];
        stream.read_exact(&mut rest).await?;
        let source = header.source(&rest).map_err(io::Error::other)?;
        Ok(source.unwrap_or(proxy))
    };
    timeout(PATIENCE, read)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}
