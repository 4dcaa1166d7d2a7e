//! The control socket: what an operator's tool asks this node, one JSON value a line each way
//! ([`wire::control`]). A Unix socket, so that it works whatever the network does, and so that the
//! kernel says who asks: this node's own user, or root.

mod learning;
mod publish;
mod reader_keys;

pub use publish::Publisher;
pub use reader_keys::ReaderKeys;

use crate::acts;
use crate::board::Board;
use crate::desk::Desk;
use crate::members::Gone;
use crate::models::Models;
use cluster::{Cluster, Faults, Members};
use replica::Ledger;
use runtime::service::{ServiceError, StopSignal};
use runtime::{clock, entropy};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use wire::control::{Answer, Ask};
use wire::{Act, Digest, Invitation, NodeId, Removal, UnixMillis};

/// Connections at one time: a few people and their scripts.
const MAX_CONNECTIONS: usize = 16;
/// Longest request; tokens and reasons are short.
const MAX_REQUEST: u64 = 64 << 10;
/// A connection that asks nothing for so long is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// How long a linearizable read may take: an election and a round trip.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// How long an operator waits for consensus to take a vote away: two entries and their commits.
const VOTE_LIMIT: Duration = Duration::from_secs(5);
/// Invitations are good for a week at most: a bearer secret should not lie around.
const MAX_INVITATION: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Longest reason, in bytes; it stays on the ledger for ever.
const MAX_REASON: usize = 500;

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Control {
    /// This node.
    pub me: NodeId,
    /// Name of the cluster.
    pub cluster: String,
    /// Where the socket is made.
    pub path: PathBuf,
    /// What is shown.
    pub board: Arc<Board>,
    /// For acts and reads.
    pub ledger: Ledger,
    /// For the addresses in invitations.
    pub members: Members,
    /// Raised while this node asks to leave.
    pub leaving: Arc<AtomicBool>,
    /// Told when this node is no member any more.
    pub gone: watch::Sender<Option<Gone>>,
    /// The quarantine.
    pub desk: Desk,
    /// What is published by hand.
    pub publisher: Publisher,
    /// Keys handed to programs outside.
    pub reader_keys: ReaderKeys,
    /// The models.
    pub models: Arc<Models>,
    /// For models of peers.
    pub links: Cluster,
    /// Noise and budget of rounds, if they are private.
    pub privacy: Option<federation::Privacy>,
    /// Faults for trials, if the configuration allows them.
    pub faults: Option<Faults>,
}

impl Control {
    /// Serves until stopped.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let listener = bind(&self.path).await?;
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let this = Arc::new(self);
        loop {
            let connection = tokio::select! {
                () = stop.stopped() => break,
                connection = listener.accept() => connection,
            };
            let (stream, _) = match connection {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::warn!("control socket: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(permit) = room.clone().try_acquire_owned() else {
                tracing::warn!("control socket: {MAX_CONNECTIONS} connections are open already");
                continue;
            };
            let this = this.clone();
            tokio::spawn(async move {
                if let Err(error) = this.serve(stream).await {
                    tracing::debug!("control socket: {error}");
                }
                drop(permit);
            });
        }
        // The next start finds a clean place; a leftover would be replaced, too.
        let _ = std::fs::remove_file(&this.path);
        Ok(())
    }

    async fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        let asker = stream.peer_cred()?.uid();
        // Our own user is the owner of the socket that we made.
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&self.path)?);
        if asker != 0 && asker != owner {
            tracing::warn!("control socket: user {asker} is not the node's user {owner}");
            return Ok(());
        }
        let (reader, mut writer) = stream.split();
        let mut reader = BufReader::new(reader);
        loop {
            let mut line = String::new();
            let mut limited = (&mut reader).take(MAX_REQUEST);
            let read = tokio::time::timeout(IDLE_LIMIT, limited.read_line(&mut line)).await;
            if !matches!(read, Ok(Ok(length)) if length > 0) {
                return Ok(());
            }
            let answer = match serde_json::from_str::<Ask>(&line) {
                Ok(ask) => self.answer(ask).await,
                Err(error) => refused(format!("this is no request: {error}")),
            };
            let mut bytes = serde_json::to_vec(&answer).map_err(io::Error::other)?;
            bytes.push(b'\n');
            writer.write_all(&bytes).await?;
        }
    }

    /// Does what an operator asks.
    pub(crate) async fn answer(&self, ask: Ask) -> Answer {
        match ask {
            Ask::Status { linearizable } => self.status(linearizable).await,
            Ask::Invite { node, for_s } => self.invite(node, for_s).await,
            Ask::Evict { node, reason } => self.evict(node, reason).await,
            Ask::Leave => self.leave().await,
            Ask::Deploy { name, module } => self.deploy(name, &module).await,
            Ask::Quarantine { job } => self.desk.answer(job).await,
            Ask::Split { peers } => self.split(peers),
            Ask::ReaderKey {
                reader,
                topic,
                partition,
                for_s,
            } => {
                let asked = reader_keys::Asked {
                    reader,
                    topic,
                    partition,
                    for_s,
                };
                self.reader_keys.grant(&self.ledger, asked).await
            }
            Ask::Rounds { last } => Answer::Rounds {
                learning: {
                    let state = self.ledger.state();
                    let accounts = learning::accounts(&state, self.privacy.as_ref());
                    let shown = learning::shown(&state.rounds, accounts, &self.models, last);
                    Box::new(shown)
                },
            },
            Ask::Model { job, reason } => self.choose_model(&job, reason).await,
            Ask::Publish {
                device,
                senml,
                reason,
            } => {
                let asked = publish::Asked {
                    device,
                    senml,
                    reason,
                };
                self.publisher.publish(&self.ledger, asked).await
            }
            Ask::ReaderKeyAgain { grant } => self.reader_keys.again(&grant),
        }
    }

    async fn status(&self, linearizable: bool) -> Answer {
        if linearizable && let Err(error) = self.ledger.linearizable(READ_LIMIT).await {
            return refused(error.to_string());
        }
        Answer::Status {
            status: Box::new(self.board.status()),
        }
    }

    async fn invite(&self, node: Option<NodeId>, for_s: u64) -> Answer {
        if for_s == 0 || Duration::from_secs(for_s) > MAX_INVITATION {
            return refused(format!(
                "an invitation is good for 1 second to {} days",
                MAX_INVITATION.as_secs() / 86_400
            ));
        }
        let invitation = Invitation {
            cluster: self.cluster.clone(),
            secret: entropy::bytes(),
            node: node.clone(),
            expires: UnixMillis(clock::unix_now().0 + for_s * 1_000),
            members: self.members.current().members.values().cloned().collect(),
        };
        let act = Act::Invited {
            invitation: invitation.digest(),
            node,
            expires: invitation.expires,
        };
        match acts::commit(&self.ledger, act).await {
            Ok(_) => Answer::Invitation {
                token: cluster::encode_token(&invitation),
                expires: invitation.expires,
            },
            Err(error) => refused(error.to_string()),
        }
    }

    async fn evict(&self, node: NodeId, reason: String) -> Answer {
        if reason.trim().is_empty() || reason.len() > MAX_REASON {
            return refused(format!(
                "give a reason of 1 to {MAX_REASON} bytes; it stays on the ledger"
            ));
        }
        let mut voting = self.ledger.voting();
        let cause = Removal::Evicted { reason };
        let act = Act::Removed {
            node: node.clone(),
            cause,
        };
        let leaf = match acts::commit(&self.ledger, act).await {
            Ok(leaf) => leaf,
            Err(error) => return refused(error.to_string()),
        };
        let without = voting.wait_for(|voting| !voting.contains(&node));
        let links = match tokio::time::timeout(VOTE_LIMIT, without).await {
            Ok(_) => "links to it are cut",
            Err(_) => {
                "but its vote is still needed, so let it run; links to it carry consensus only, and \
                 are cut as soon as the others are a majority without it"
            }
        };
        Answer::Done {
            text: format!(
                "{node} is evicted: {links}. The next key epoch is out of its reach. Ledger leaf {leaf}."
            ),
        }
    }

    async fn leave(&self) -> Answer {
        let act = Act::Removed {
            node: self.me.clone(),
            cause: Removal::Left,
        };
        let done = format!("{} has left the cluster {}.", self.me, self.cluster);
        self.leaving.store(true, Ordering::Relaxed);
        let mut gone = self.gone.subscribe();
        // The links may end before the leaf that says so comes back.
        let answer = tokio::select! {
            answer = self.act(act, done.clone()) => answer,
            _ = gone.wait_for(Option::is_some) => Answer::Done { text: done },
        };
        if matches!(answer, Answer::Refused { .. }) {
            self.leaving.store(false, Ordering::Relaxed);
        }
        answer
    }

    async fn deploy(&self, name: String, module: &str) -> Answer {
        let mut digest = [0; 32];
        if hex::decode_to_slice(module, &mut digest).is_err() {
            return refused(format!(
                "`{module}` is no SHA-256 of 64 hex digits; `sha256sum FILE` prints one"
            ));
        }
        let known = self.ledger.state().functions.get(&name).copied();
        let version = known.map_or(1, |known| known.version + 1);
        let done = format!("function {name} is deployed in version {version}.");
        let act = Act::FunctionDeployed {
            name,
            version,
            module: Digest(digest),
        };
        self.act(act, done).await
    }

    fn split(&self, peers: Vec<NodeId>) -> Answer {
        let Some(faults) = &self.faults else {
            return refused(
                "this node's configuration does not allow faults; set `cluster.allow_faults = true` for a trial".to_owned(),
            );
        };
        let peers: BTreeSet<NodeId> = peers.into_iter().filter(|peer| *peer != self.me).collect();
        let text = if peers.is_empty() {
            format!("{} reaches everybody again.", self.me)
        } else {
            let names: Vec<&str> = peers.iter().map(NodeId::as_str).collect();
            format!("{} is cut off from {}.", self.me, names.join(", "))
        };
        faults.block(peers);
        Answer::Done { text }
    }

    async fn act(&self, act: Act, done: String) -> Answer {
        match acts::commit(&self.ledger, act).await {
            Ok(leaf) => Answer::Done {
                text: format!("{done} Ledger leaf {leaf}."),
            },
            Err(error) => refused(error.to_string()),
        }
    }
}

fn refused(text: String) -> Answer {
    Answer::Refused { text }
}

/// Takes the place of a socket that a killed process left, but never of one that answers.
async fn bind(path: &Path) -> Result<UnixListener, ServiceError> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(format!(
            "another process answers on {}; stop that node first",
            path.display()
        )
        .into());
    }
    let _ = std::fs::remove_file(path);
    let cannot = |error: io::Error| -> ServiceError {
        format!(
            "cannot make the control socket {}: {error}; the path of a Unix socket has at most 107 bytes, so a long `node.data_dir` must be shortened",
            path.display()
        )
        .into()
    };
    let listener = UnixListener::bind(path).map_err(cannot)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(cannot)?;
    Ok(listener)
}
