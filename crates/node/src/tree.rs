//! The supervision tree: what runs in a node, in which order it starts, and what its end means.
//!
//! ```text
//! root (one for one)
//! ├── cluster          links to the peers (one for all, in the crate cluster)
//! ├── house (rest for one): each part is restarted with everything that depends on it
//! │   ├── custodian    key group
//! │   ├── participant  local training
//! │   ├── aggregator   rounds, while leading
//! │   ├── monitor      alerts
//! │   ├── tail         the ledger's decisions to all of the above
//! │   └── rooms        data space → analyst
//! ├── mailbox          SMTP → journal → data space
//! ├── feed             Kafka → data space, while holding shares
//! ├── exporter         ledger, scores → Kafka
//! ├── herald           scores, alerts, models, this node's view → data space
//! ├── members          the ledger's members to the links
//! ├── steward          members and roles, while leading
//! ├── budget           what private rounds may tell of this node's data, onto the ledger
//! ├── postman          alert mails
//! ├── control          what an operator asks
//! └── admin            status page
//! ```
//!
//! The ledger is not in the tree: it is a store, opened before everything and closed after it; a
//! ledger that fails for good (a damaged file, a full disk) ends the process with a sentence.

use crate::board::Board;
use crate::build;
use crate::members::Gone;
use crate::surroundings::Surroundings;
use cluster::Transport;
use config::Config;
use runtime::service::ServiceError;
use runtime::supervisor::{ChildSpec, Intensity, Strategy, Supervisor, SupervisorSpec};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Restarts tolerated in a period: a fault that survives this many restarts needs a person, and the
/// process manager outside will start the node afresh.
const INTENSITY: Intensity = Intensity::new(10, Duration::from_secs(30));
/// A door or consumer may have to wait for its peer to let go.
const SERVICE_STOP_LIMIT: Duration = Duration::from_secs(5);

/// Time for the last answers of a node that leaves the cluster.
const FAREWELL: Duration = Duration::from_millis(500);

/// Where a node keeps what it did not understand.
pub fn quarantine_dir(config: &Config) -> PathBuf {
    config.node.data_dir.join("quarantine")
}

/// Where a node keeps its mails until they are published.
pub fn mail_dir(config: &Config) -> PathBuf {
    config.node.data_dir.join("mail")
}

/// Where a node keeps what it has to export.
pub fn export_dir(config: &Config) -> PathBuf {
    config.node.data_dir.join("export")
}

/// Where a node keeps its ledger.
pub fn ledger_dir(config: &Config) -> PathBuf {
    config.node.data_dir.join("ledger")
}

/// Runs a node in its real surroundings until SIGTERM, Ctrl-C or an escalation.
pub fn run(config: Config) -> Result<(), ServiceError> {
    init_log();
    // Dropped last: what runs on the other one uses it.
    let consensus = runtime::place::of_its_own("consensus")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let surroundings = Surroundings::real(&config, consensus.handle().clone()).await?;
        run_in(config, surroundings, told_to_stop()).await
    })
}

/// SIGTERM or Ctrl-C.
async fn told_to_stop() -> Result<(), ServiceError> {
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Runs a node in any surroundings until `shutdown` resolves or something in it ends it: an
/// escalation, its own removal from the cluster, a ledger that cannot go on. On a multi-threaded
/// runtime it works in parallel; on a `current_thread` one it has no thread of its own.
///
/// # Errors
/// The node could not be opened, or did not end in a good way; `shutdown`'s own error.
pub async fn run_in<T: Transport>(
    config: Config,
    mut surroundings: Surroundings<T>,
    shutdown: impl Future<Output = Result<(), ServiceError>>,
) -> Result<(), ServiceError> {
    let (admin, control) = (surroundings.admin, surroundings.control);
    let probe = surroundings.probe.take();
    let parts = build::Parts::open(config, surroundings).await?;
    if let Some(probe) = probe {
        // An observer that has gone does not look.
        let _ = probe.send(parts.probe());
    }
    let (escalated, mut escalation) = tokio::sync::mpsc::channel(1);
    let root = root(&parts, admin, control);
    let tree = Supervisor::start(root, move |sentence| drop(escalated.try_send(sentence))).await?;
    show(&parts.board, &tree);
    match admin {
        true => tracing::info!(
            "{} is up; status page at http://{}",
            parts.me,
            parts.config.node.admin
        ),
        false => tracing::info!("{} is up", parts.me),
    }
    let outcome: Result<(), ServiceError> = tokio::select! {
        told = shutdown => told,
        Some(sentence) = escalation.recv() => Err(sentence.into()),
        gone = parts.gone() => {
            // Whoever asked for it still waits for the answer.
            tokio::time::sleep(FAREWELL).await;
            match gone {
                Gone::Left(sentence) => {
                    tracing::info!("{sentence}");
                    Ok(())
                }
                Gone::Evicted(sentence) => Err(sentence.into()),
            }
        },
        why = parts.outnumbered() => Err(why),
        failure = parts.ledger.stopped() => Err(format!("the ledger cannot go on: {failure}").into()),
    };
    tracing::info!("{} stops", parts.me);
    tree.stop().await;
    parts.close().await;
    outcome
}

/// Unless `RUST_LOG` says otherwise. openraft reports every retry as an error (who leads is told by
/// the tail); ractor_cluster prints whole messages at debug and reports each lost link again.
const LOG: &str = "info,openraft=off,ractor=warn,ractor_cluster=error";

fn init_log() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| LOG.into());
    // A second node in one process (tests) finds the log set up already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(true)
        .with_ansi(false)
        .try_init();
}

fn show(board: &Arc<Board>, tree: &Supervisor) {
    let tree = tree.tree().clone();
    board.section(move |status| status.tree = tree.snapshot());
}

fn root(parts: &build::Parts, admin: bool, control: bool) -> SupervisorSpec {
    let cluster = ChildSpec::supervisor("cluster", parts.cluster_spec.clone());
    let mut children = vec![
        match &parts.consensus {
            Some(place) => cluster.on(place.clone()),
            None => cluster,
        },
        service("members", parts.members(), |members, stop| {
            members.run(stop)
        }),
        ChildSpec::supervisor("house", house(parts)),
        service("mailbox", parts.mailbox(), |mailbox, stop| {
            mailbox.run(stop)
        }),
    ];
    if let Some(feed) = parts.feed() {
        children.push(service("feed", feed, |feed, stop| feed.run(stop)));
    }
    if let Some(exporter) = parts.exporter() {
        children.push(service("exporter", exporter, |exporter, stop| {
            exporter.run(stop)
        }));
    }
    children.push(service("herald", parts.herald(), |herald, stop| {
        herald.run(stop)
    }));
    children.push(service("steward", parts.steward(), |steward, stop| {
        steward.run(stop)
    }));
    if let Some(budget) = parts.budget() {
        children.push(service("budget", budget, |budget, stop| budget.run(stop)));
    }
    if let Some(postman) = parts.postman() {
        children.push(service("postman", postman, |postman, stop| {
            postman.run(stop)
        }));
    }
    if control {
        children.push(service("control", parts.control(), |control, stop| {
            control.run(stop)
        }));
    }
    if admin {
        let (listen, board) = (parts.config.node.admin, parts.board.clone());
        children.push(service(
            "admin",
            (listen, board),
            |(listen, board), mut stop| async move {
                crate::admin::serve(listen, board, async move { stop.stopped().await }).await?;
                Ok(())
            },
        ));
    }
    SupervisorSpec::new(Strategy::OneForOne, INTENSITY, children)
}

fn house(parts: &build::Parts) -> SupervisorSpec {
    let children = vec![
        parts.custodian(),
        parts.participant(),
        parts.aggregator(),
        parts.monitor(),
        service("tail", parts.tail(), |tail, stop| tail.run(stop)),
        service("rooms", parts.rooms(), |rooms, stop| rooms.run(stop)),
    ];
    SupervisorSpec::new(Strategy::RestForOne, INTENSITY, children)
}

/// A service that is made by cloning `parts` at each start.
fn service<T, F, Fut>(name: &str, parts: T, run: F) -> ChildSpec
where
    T: Clone + Send + Sync + 'static,
    F: Fn(T, runtime::service::StopSignal) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), ServiceError>> + Send + 'static,
{
    ChildSpec::service(name, move || {
        let (parts, run) = (parts.clone(), run.clone());
        async move { Ok(move |stop| run(parts, stop)) }
    })
    .stop_within(SERVICE_STOP_LIMIT)
}
