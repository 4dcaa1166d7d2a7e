//! The one argument for everything outside: what a node opens to the network, and to whoever looks.
//!
//! A production node gets [`Surroundings::real`]: TCP, Cyclone DDS, an SMTP listener, a relay, Kafka's
//! sockets, a status page, a control socket. A simulation gives its own, and the same node runs on a
//! `current_thread` runtime with virtual time, without a socket and without a thread. What is not in
//! here a node takes from where it stands: its files under `node.data_dir`, tokio's clock, the system's
//! wall clock and entropy.

use crate::probe::Probe;
use cluster::TcpTransport;
use config::Config;
use dds::{CycloneSpace, DataSpace};
use edge::kafka::Reach;
use edge::mailer::Outbox;
use edge::smtp::{BindError, MailSink, SmtpConfig, SmtpServer};
use futures::future::BoxFuture;
use learn::{Learner, Shape};
use runtime::service::ServiceError;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Letters that wait for a machine. A burst of a ledger replay fits; beyond it senders wait.
const LETTERS: usize = 1_024;

/// What a node touches of the outside.
pub struct Surroundings<T> {
    /// How bytes get to the other nodes and from them.
    pub transport: T,
    /// The data space.
    pub space: Arc<dyn DataSpace>,
    /// Where gear delivers.
    pub door: Arc<dyn MailDoor>,
    /// Who takes alert mails; `None`: the relay of the configuration, if it names one.
    pub alerts: Option<Arc<dyn Outbox>>,
    /// How Kafka's brokers are reached.
    pub kafka: Reach,
    /// Makes the learner: [`Learner::start`], or [`Learner::inline`] where there must be no thread.
    pub learner: fn(Shape) -> Result<Learner, learn::Error>,
    /// How long a training takes besides what the learner takes for it: nothing, or in a simulation what it would
    /// take on a slow machine.
    pub training: Duration,
    /// Letters that may wait for each of the node's machines; a simulation gives less, so that a minute's
    /// load reaches the limit.
    pub letters: usize,
    /// Whether the status page is served at `node.admin`.
    pub admin: bool,
    /// Whether operators find a control socket in the data folder.
    pub control: bool,
    /// Where links and ledger run; `None`: on the runtime that runs the rest.
    pub consensus: Option<Handle>,
    /// Who gets a [`Probe`] into the node once its parts are open, before its tree runs.
    pub probe: Option<oneshot::Sender<Probe>>,
}

impl Surroundings<TcpTransport> {
    /// The world as the configuration describes it, with links and ledger on `consensus`.
    ///
    /// # Errors
    /// `cluster.listen` is taken, or the DDS domain cannot be joined.
    pub async fn real(config: &Config, consensus: Handle) -> Result<Self, ServiceError> {
        let transport = TcpTransport::bind(config.cluster.listen).await?;
        let domain = config.dds.domain_config();
        let space = CycloneSpace::join(&domain)?.with_topics(config.dds.configured_topics());
        Ok(Self {
            transport,
            space: Arc::new(space),
            door: Arc::new(TcpDoor),
            alerts: None,
            kafka: Reach::Sockets,
            learner: Learner::start,
            training: Duration::ZERO,
            letters: LETTERS,
            admin: true,
            control: true,
            consensus: Some(consensus),
            probe: None,
        })
    }
}

/// Opens the door for gear's mail, once for each start of the mailbox.
pub trait MailDoor: Send + Sync + 'static {
    /// A server as `config` says, at `config.listen` or where that address stands for.
    ///
    /// # Errors
    /// The place is not to be had.
    fn open(
        &self,
        config: SmtpConfig,
        sink: Arc<dyn MailSink>,
    ) -> BoxFuture<'_, Result<SmtpServer, BindError>>;
}

/// A TCP listener.
#[derive(Debug)]
pub struct TcpDoor;

impl MailDoor for TcpDoor {
    fn open(
        &self,
        config: SmtpConfig,
        sink: Arc<dyn MailSink>,
    ) -> BoxFuture<'_, Result<SmtpServer, BindError>> {
        Box::pin(SmtpServer::bind(config, sink))
    }
}
