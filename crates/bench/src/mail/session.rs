//! One SMTP session of our own clients.

use super::HOST;
use crate::Failure;
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

/// A connection, in clear or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Room for the replies to one group of commands: ten thousand sessions wait at once.
const REPLIES: usize = 1 << 10;

/// After EHLO.
pub struct Session {
    stream: BufReader<Box<dyn Stream>>,
    line: Vec<u8>,
    /// What the server offers, in its words.
    pub extensions: Vec<String>,
}

impl Session {
    /// Connects, and shakes hands if there is something to trust.
    pub async fn open(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut session = Self::over(Box::new(stream));
        session.replies(1, b'2').await?;
        session.hello().await?;
        let Some(tls) = tls else {
            return Ok(session);
        };
        session.say(b"STARTTLS\r\n").await?;
        session.replies(1, b'2').await?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let name = ServerName::try_from(HOST)?;
        let stream = connector.connect(name, session.stream.into_inner()).await?;
        let mut session = Self::over(Box::new(stream));
        session.hello().await?;
        Ok(session)
    }

    fn over(stream: Box<dyn Stream>) -> Self {
        Self {
            stream: BufReader::with_capacity(REPLIES, stream),
            line: Vec::new(),
            extensions: Vec::new(),
        }
    }

    async fn hello(&mut self) -> Result<(), Failure> {
        self.say(b"EHLO bench.example\r\n").await?;
        self.extensions.clear();
        while self.line(b'2').await? {
            let word = String::from_utf8_lossy(&self.line[4..]).trim().to_owned();
            self.extensions.push(word);
        }
        // The last line names one, too.
        let word = String::from_utf8_lossy(self.line.get(4..).unwrap_or_default());
        let word = word.trim().to_owned();
        self.extensions.push(word);
        Ok(())
    }

    /// Writes all of it.
    pub async fn say(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).await?;
        stream.flush().await?;
        Ok(())
    }

    /// Reads so many replies, each of which must begin with `class`.
    pub async fn replies(&mut self, count: usize, class: u8) -> Result<(), Failure> {
        for _ in 0..count {
            while self.line(class).await? {}
        }
        Ok(())
    }

    /// Reads one line; whether more of the same reply follow.
    async fn line(&mut self, class: u8) -> Result<bool, Failure> {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line).await?;
        if self.line.first() == Some(&class) {
            return Ok(self.line.get(3) == Some(&b'-'));
        }
        let text = String::from_utf8_lossy(&self.line);
        let text = match text.trim() {
            "" => "nothing, and closed",
            text => text,
        };
        Err(format!("a mail server answered: {text}").into())
    }

    /// Says goodbye and hears it.
    pub async fn quit(mut self) -> Result<(), Failure> {
        self.say(b"QUIT\r\n").await?;
        self.replies(1, b'2').await
    }
}
