//! Sending mail by `lettre`: alerts to the operator's relay, and simulated gear to our own door.

use futures::future::BoxFuture;
use lettre::Message;
use lettre::address::{Address, Envelope};
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use std::time::Duration;
pub use telemetry::alertmail::Letter;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How the connection to the relay is protected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Security {
    /// STARTTLS or nothing (RFC 3207); the relay's certificate must be under these roots (PEM).
    StartTls {
        /// `CERTIFICATE` blocks; a self-signed certificate is its own root.
        roots: String,
    },
    /// TLS from the first byte on (RFC 8314 §3), under the same condition.
    Tls {
        /// `CERTIFICATE` blocks.
        roots: String,
    },
    /// In clear. For a relay on this very host.
    Plaintext,
}

/// Where to send, and as whom.
#[derive(Clone, Debug)]
pub struct MailerConfig {
    /// The relay: a name or an address; its certificate must carry it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// What we call ourselves in EHLO.
    pub helo: String,
    /// Sender, `name@domain` or `Name <name@domain>`.
    pub from: String,
    /// Recipients, in the same form.
    pub to: Vec<String>,
    /// Longest time for one call, connecting included.
    pub limit: Duration,
}

impl MailerConfig {
    /// A relay that needs longer than this is down for our purposes; the caller tries again later.
    pub const LIMIT: Duration = Duration::from_secs(20);
}

/// Why a mail was not taken by the relay.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// An address in the configuration or of a raw mail.
    #[error("`{address}` is no mail address: {cause}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong.
        cause: String,
    },
    /// The roots are not usable.
    #[error("the relay's root certificates are not usable: {0}")]
    Roots(String),
    /// The message could not be put together.
    #[error("cannot build the message: {0}")]
    Build(String),
    /// The relay refused for good; trying again does not help.
    #[error("relay {relay} refused the mail: {answer}")]
    Refused {
        /// The relay.
        relay: String,
        /// Its answer.
        answer: String,
    },
    /// The relay could not be reached or does not take the mail now; try again later.
    #[error("relay {relay} did not take the mail: {cause}")]
    NotNow {
        /// The relay.
        relay: String,
        /// Its answer, or what the network said.
        cause: String,
    },
    /// The connection broke in the middle; whether the relay has the mail is not known.
    #[error("relay {relay} broke off: {cause}")]
    BrokeOff {
        /// The relay.
        relay: String,
        /// What the network said.
        cause: String,
    },
    /// Over the configured limit; whether the relay has the mail is not known.
    #[error("relay {relay} did not answer within {limit:?}")]
    TooSlow {
        /// The relay.
        relay: String,
        /// The limit.
        limit: Duration,
    },
}

impl MailerError {
    /// Whether the same mail may be taken later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::NotNow { .. } | Self::BrokeOff { .. } | Self::TooSlow { .. } => true,
            Self::Address { .. } | Self::Roots(_) | Self::Build(_) | Self::Refused { .. } => false,
        }
    }
}

/// Takes mails for the configured recipients: a [`Mailer`], or whoever stands in for the relay.
pub trait Outbox: Send + Sync + 'static {
    /// Plain text; the same Message-ID on a repeated attempt lets the receiver recognise it.
    ///
    /// # Errors
    /// See [`MailerError`].
    fn post<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailerError>>;
}

impl Outbox for Mailer {
    fn post<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailerError>> {
        Box::pin(self.send(letter))
    }
}

/// A sender with one connection, which is kept open and reused. Calls wait for one another.
pub struct Mailer {
    config: MailerConfig,
    from: Mailbox,
    to: Vec<Mailbox>,
    helo: ClientId,
    tls: Option<TlsParameters>,
    login: Option<Credentials>,
    connection: Mutex<Option<AsyncSmtpConnection>>,
}

impl Mailer {
    /// Checks the configuration; connects at the first mail.
    ///
    /// # Errors
    /// An address or the roots are not usable.
    pub fn new(config: MailerConfig) -> Result<Self, MailerError> {
        let from = mailbox(&config.from)?;
        let to = config
            .to
            .iter()
            .map(|text| mailbox(text))
            .collect::<Result<_, _>>()?;
        let tls = match &config.security {
            Security::Plaintext => None,
            Security::StartTls { roots } | Security::Tls { roots } => {
                Some(tls_parameters(&config.host, roots)?)
            }
        };
        let helo = ClientId::Domain(config.helo.clone());
        Ok(Self {
            config,
            from,
            to,
            helo,
            tls,
            login: None,
            connection: Mutex::new(None),
        })
    }

    /// Logs in with this name and password on each connection (RFC 4616).
    #[must_use]
    pub fn with_login(mut self, name: &str, password: &str) -> Self {
        self.login = Some(Credentials::new(name.to_owned(), password.to_owned()));
        self
    }

    /// Sends plain text to the configured recipients. The same Message-ID on a repeated attempt lets
    /// the receiver recognise it.
    ///
    /// `lettre` has no parameters at RCPT, so no NOTIFY (RFC 3461) goes out; without it a relay
    /// reports failures anyway (§4.1).
    ///
    /// # Errors
    /// See [`MailerError`]. A mail that one recipient at least gets is no error.
    pub async fn send(&self, letter: &Letter) -> Result<(), MailerError> {
        let message = self.message(letter)?;
        let (envelope, data) = (message.envelope(), message.formatted());
        match self.transmit(envelope, &data).await {
            // One address that is gone must not keep the mail from the others.
            Err(MailerError::Refused { .. }) if envelope.to().len() > 1 => {
                self.one_by_one(envelope, &data).await
            }
            outcome => outcome.map(drop),
        }
    }

    fn message(&self, letter: &Letter) -> Result<Message, MailerError> {
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(&letter.subject)
            .message_id(Some(format!("<{}>", letter.id)))
            .header(ContentType::TEXT_PLAIN)
            // RFC 3834 §5: nobody's holiday notice answers a machine.
            .raw_header(raw("Auto-Submitted", "auto-generated".to_owned()))
            .raw_header(raw(
                ALERTS_HEADER,
                format!("raised={} cleared={}", letter.raised, letter.cleared),
            ));
        if let Some(former) = &letter.in_reply_to {
            let former = format!("<{former}>");
            builder = builder.in_reply_to(former.clone()).references(former);
        }
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        builder
            .body(letter.body.clone())
            .map_err(|error| MailerError::Build(error.to_string()))
    }

    /// A transaction for each recipient; the last refusal if nobody gets the mail. Who has it already
    /// gets it once more, with the same Message-ID, if another one has to be tried later.
    async fn one_by_one(&self, envelope: &Envelope, data: &[u8]) -> Result<(), MailerError> {
        let (mut taken, mut refused) = (false, None);
        for to in envelope.to() {
            let one = Envelope::new(envelope.from().cloned(), vec![to.clone()])
                .map_err(|error| MailerError::Build(error.to_string()))?;
            match self.transmit(&one, data).await {
                Ok(_) => taken = true,
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    tracing::error!("{to} gets no alert mail: {error}");
                    refused = Some(error);
                }
            }
        }
        match refused {
            Some(error) if !taken => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends `data` (header and body, lines ending in CRLF) as it is.
    ///
    /// # Errors
    /// See [`MailerError`].
    pub async fn send_raw(
        &self,
        from: &str,
        to: &[String],
        data: &[u8],
    ) -> Result<(), MailerError> {
        self.deliver(from, to, data).await.map(drop)
    }

    /// As [`send_raw`](Self::send_raw); gives the text of the relay's answer, by which it knows the
    /// mail.
    ///
    /// # Errors
    /// See [`MailerError`].
    pub async fn deliver(
        &self,
        from: &str,
        to: &[String],
        data: &[u8],
    ) -> Result<String, MailerError> {
        let to = to
            .iter()
            .map(|text| address(text))
            .collect::<Result<_, _>>()?;
        let envelope = Envelope::new(Some(address(from)?), to)
            .map_err(|error| MailerError::Build(error.to_string()))?;
        self.transmit(&envelope, data).await
    }

    /// Says QUIT, if there is a connection.
    pub async fn close(&self) {
        if let Some(mut connection) = self.connection.lock().await.take() {
            // The relay may be gone already; there is nothing left to lose.
            let _ = timeout(self.config.limit, connection.quit()).await;
        }
    }

    async fn transmit(&self, envelope: &Envelope, data: &[u8]) -> Result<String, MailerError> {
        let limit = self.config.limit;
        // On timeout the future is dropped, and with it the connection it had taken out: what it
        // was in the middle of must not meet the next mail.
        timeout(limit, self.transmit_unbounded(envelope, data))
            .await
            .unwrap_or_else(|_| {
                Err(MailerError::TooSlow {
                    relay: self.relay(),
                    limit,
                })
            })
    }

    async fn transmit_unbounded(
        &self,
        envelope: &Envelope,
        data: &[u8],
    ) -> Result<String, MailerError> {
        let mut slot = self.connection.lock().await;
        let reused = match slot.take() {
            // The relay may have closed an idle connection; NOOP finds out without any doubt about
            // whether a mail got through.
            Some(mut connection) => connection.test_connected().await.then_some(connection),
            None => None,
        };
        let mut connection = match reused {
            Some(connection) => connection,
            None => self
                .connect()
                .await
                .map_err(|error| self.failed(&error, false))?,
        };
        // lettre ends the data with CRLF.CRLF of its own.
        let data = data.strip_suffix(b"\r\n").unwrap_or(data);
        let answer = connection
            .send(envelope, data)
            .await
            .map_err(|error| self.failed(&error, true))?;
        if !connection.has_broken() {
            *slot = Some(connection);
        }
        Ok(answer.first_line().unwrap_or_default().to_owned())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let server = (self.config.host.as_str(), self.config.port);
        let limit = Some(self.config.limit);
        let (at_once, later) = match self.config.security {
            Security::Tls { .. } => (self.tls.clone(), None),
            Security::StartTls { .. } | Security::Plaintext => (None, self.tls.clone()),
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, limit, &self.helo, at_once, None).await?;
        if let Some(tls) = later {
            connection.starttls(tls, &self.helo).await?;
        }
        if let Some(login) = &self.login {
            connection.auth(&[Mechanism::Plain], login).await?;
        }
        Ok(connection)
    }

    fn failed(&self, error: &lettre::transport::smtp::Error, begun: bool) -> MailerError {
        let (relay, cause) = (self.relay(), error.to_string());
        if error.is_permanent() {
            MailerError::Refused {
                relay,
                answer: cause,
            }
        } else if begun && !error.is_transient() {
            MailerError::BrokeOff { relay, cause }
        } else {
            MailerError::NotNow { relay, cause }
        }
    }

    fn relay(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }
}

/// Says how many alerts a mail tells, `raised=N cleared=N`; for filters, and for whoever counts.
pub const ALERTS_HEADER: &str = "Glasshouse-Alerts";

fn raw(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

fn tls_parameters(host: &str, roots: &str) -> Result<TlsParameters, MailerError> {
    let roots_error = |error: lettre::transport::smtp::Error| MailerError::Roots(error.to_string());
    let root = Certificate::from_pem(roots.as_bytes()).map_err(roots_error)?;
    TlsParameters::builder(host.to_owned())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(root)
        .build_rustls()
        .map_err(roots_error)
}

fn mailbox(text: &str) -> Result<Mailbox, MailerError> {
    text.parse().map_err(
        |error: lettre::address::AddressError| MailerError::Address {
            address: text.to_owned(),
            cause: error.to_string(),
        },
    )
}

fn address(text: &str) -> Result<Address, MailerError> {
    text.parse().map_err(
        |error: lettre::address::AddressError| MailerError::Address {
            address: text.to_owned(),
            cause: error.to_string(),
        },
    )
}
