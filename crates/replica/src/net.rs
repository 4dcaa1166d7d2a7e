//! Raft's messages between nodes. Links, encryption and identity are the cluster's business.

use super::StoreError;
use super::acknowledged::Acknowledged;
use super::handle::Core;
use super::heard::Heard;
use super::log::RaftLog;
use super::types::{Types, raft_id};
use futures::future::BoxFuture;
use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use wire::{Call, Frame, NodeId, Reply, StoreId};

/// Pause before an unreachable peer is tried again: long against a link's round trip, short against
/// an election, so that a returning node hears of the leader before it votes for itself.
const RETRY: Duration = Duration::from_millis(100);

/// Of a peer that lacks what it acknowledged.
const OLD_COPY: &str = "it does not have entries that it had acknowledged: its ledger directory is an \
     old copy. Stop it, remove the directory and start it again";

/// Why a call to a peer brought no answer. The ledger retries; the sentence is for people.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NetError {
    /// There is no link to the peer now.
    #[error("no link to {0}")]
    NoLink(NodeId),
    /// The call was sent and no answer came in time.
    #[error("no answer from {0}")]
    NoAnswer(NodeId),
    /// The peer is of an older release, which does not know this call; nothing was sent.
    #[error("{0} is of an older release and does not know this call; upgrade it")]
    NotSpoken(NodeId),
    /// The peer answered with something else.
    #[error("{peer} answered unexpectedly: {what}")]
    Unexpected {
        /// The peer.
        peer: NodeId,
        /// What came.
        what: String,
    },
}

/// How the ledger reaches the other replicas. Calls may fail, be lost or be answered late; they are
/// dropped (cancelled) when their time is over.
pub trait ConsensusNet: Send + Sync + 'static {
    /// Carries a call to the peer's [`Ledger::serve`](super::Ledger::serve) and its reply back.
    fn call<'a>(&'a self, to: &'a NodeId, call: Call) -> BoxFuture<'a, Result<Reply, NetError>>;

    /// Sends a frame to the peer, at best: it may be lost, and where there is no link or the link
    /// does not speak the frame's level it is.
    fn cast(&self, to: &NodeId, frame: Frame);

    /// The peers that are linked right now.
    fn peers(&self) -> Vec<NodeId>;
}

#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<u64>),
    Snapshot(InstallSnapshotRequest<Types>),
    /// To a replica that is not its node's founding one. Links lead to nodes; what is meant for a
    /// replica that its node has lost must not be answered, let alone voted for, by the next one.
    To {
        replica: u64,
        request: Box<Request>,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) enum Response {
    Append(AppendEntriesResponse<u64>),
    Vote(VoteResponse<u64>),
    Snapshot(Result<InstallSnapshotResponse<u64>, RaftError<u64, InstallSnapshotError>>),
    Refused(String),
}

/// Serves one request of a peer, if it is meant for this replica.
pub(super) async fn serve(core: &Core, bytes: &[u8]) -> Vec<u8> {
    let response = match wire::decode(bytes) {
        Err(error) => Response::Refused(format!("cannot read the request: {error}")),
        Ok(Request::To { replica, request }) if replica == core.id => answer(core, *request).await,
        Ok(request @ (Request::Append(_) | Request::Vote(_) | Request::Snapshot(_)))
            if core.store_id == StoreId::FOUNDING =>
        {
            answer(core, request).await
        }
        Ok(_) => Response::Refused("the request is for a replica that is no more".to_owned()),
    };
    wire::encode(&response)
}

async fn answer(core: &Core, request: Request) -> Response {
    let raft = &core.raft;
    match request {
        Request::Append(request) => match raft.append_entries(request).await {
            // The answer says what this replica holds. What it appended for its leader is durable;
            // what it wrote as a leader itself, before, need not be yet.
            Ok(response) => match core.log.settled().await {
                Ok(()) => Response::Append(response),
                Err(error) => Response::Refused(error.to_string()),
            },
            Err(error) => Response::Refused(error.to_string()),
        },
        // A tail that is not durable yet makes a voter stricter only, and a candidate that loses
        // its tail is no candidate any more.
        Request::Vote(request) => match raft.vote(request).await {
            Ok(response) => Response::Vote(response),
            Err(error) => Response::Refused(error.to_string()),
        },
        Request::Snapshot(request) => Response::Snapshot(raft.install_snapshot(request).await),
        Request::To { .. } => Response::Refused("the request is wrapped twice".to_owned()),
    }
}

/// Makes a [`PeerClient`] for each peer. The membership itself says which node a replica is of.
pub(super) struct PeerClients {
    pub(super) net: Arc<dyn ConsensusNet>,
    /// Of this replica: what is not durable in it is not told to be committed.
    pub(super) log: RaftLog,
    pub(super) acknowledged: Arc<Acknowledged>,
    pub(super) heard: Arc<Heard>,
}

impl RaftNetworkFactory<Types> for PeerClients {
    type Network = PeerClient;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> PeerClient {
        PeerClient {
            net: self.net.clone(),
            log: self.log.clone(),
            acknowledged: self.acknowledged.clone(),
            heard: self.heard.clone(),
            peer: NodeId::new(node.addr.clone()),
            target,
        }
    }
}

/// Raft's view of one peer.
pub(super) struct PeerClient {
    net: Arc<dyn ConsensusNet>,
    log: RaftLog,
    acknowledged: Arc<Acknowledged>,
    heard: Arc<Heard>,
    peer: NodeId,
    target: u64,
}

type Rpc<T, E = openraft::error::Infallible> =
    Result<T, RPCError<u64, BasicNode, RaftError<u64, E>>>;

impl PeerClient {
    async fn exchange<E: std::error::Error>(
        &self,
        request: Request,
        option: &RPCOption,
    ) -> Rpc<Response, E> {
        let unreachable = |error: NetError| RPCError::Unreachable(Unreachable::new(&error));
        let request = if self.target == raft_id(&self.peer, StoreId::FOUNDING) {
            request
        } else {
            Request::To {
                replica: self.target,
                request: Box::new(request),
            }
        };
        let call = Call::Consensus(wire::encode(&request));
        let call = self.net.call(&self.peer, call);
        match tokio::time::timeout(option.hard_ttl(), call).await {
            Err(_) => Err(unreachable(NetError::NoAnswer(self.peer.clone()))),
            Ok(Err(error)) => Err(unreachable(error)),
            Ok(Ok(Reply::Refused(what))) => Err(unreachable(self.unexpected(what))),
            Ok(Ok(Reply::Consensus(bytes))) => match wire::decode(&bytes) {
                Ok(Response::Refused(what)) => Err(unreachable(self.unexpected(what))),
                Ok(response) => Ok(response),
                Err(error) => Err(RPCError::Network(NetworkError::new(&error))),
            },
            Ok(Ok(_)) => self.other_kind(),
        }
    }

    /// Tells the peer of no commit that counts on entries which this disk may still lose.
    ///
    /// A message with entries goes out at once with the commit that is safe; the next one follows
    /// when these entries are committed. One that only tells of a commit waits for the disk: its
    /// follower would learn of it no earlier by another. A disk that owes an answer for the length
    /// of a call holds up every message, so that a leader whose disk hangs falls silent and the
    /// peers elect another.
    async fn hold_back(
        &self,
        rpc: &mut AppendEntriesRequest<Types>,
        limit: Duration,
    ) -> Result<(), StoreError> {
        let Some(commit) = rpc.leader_commit else {
            return Ok(());
        };
        match self.log.lag(commit.index) {
            None => self.log.expect_intact(),
            Some(lag) if !rpc.entries.is_empty() && lag.owing < limit => {
                rpc.leader_commit = lag.durable;
                Ok(())
            }
            Some(_) => self.log.durable_through(commit.index).await,
        }
    }

    fn unexpected(&self, what: impl Into<String>) -> NetError {
        NetError::Unexpected {
            peer: self.peer.clone(),
            what: what.into(),
        }
    }

    #[expect(clippy::result_large_err, reason = "openraft's signature")]
    fn other_kind<T, E: std::error::Error>(&self) -> Rpc<T, E> {
        let error = self.unexpected("an answer to another request");
        Err(RPCError::Network(NetworkError::from(AnyError::new(&error))))
    }
}

impl RaftNetwork<Types> for PeerClient {
    async fn append_entries(
        &mut self,
        mut rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<u64>> {
        // openraft bounds the whole call by the same limit.
        let limit = option.hard_ttl();
        match tokio::time::timeout(limit, self.hold_back(&mut rpc, limit)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(RPCError::Network(NetworkError::new(&error))),
            Err(late) => return Err(RPCError::Network(NetworkError::new(&late))),
        }
        let (vote, before) = (rpc.vote, rpc.prev_log_id);
        let last = rpc.entries.last().map(|entry| entry.log_id).or(before);
        match self.exchange(Request::Append(rpc), &option).await? {
            Response::Append(response) => {
                match &response {
                    AppendEntriesResponse::Success => {
                        self.acknowledged.note(vote, self.target, last);
                    }
                    AppendEntriesResponse::PartialSuccess(last) => {
                        self.acknowledged.note(vote, self.target, *last);
                    }
                    AppendEntriesResponse::Conflict
                        if self.acknowledged.contradicts(vote, self.target, before) =>
                    {
                        let error = self.unexpected(OLD_COPY);
                        tracing::error!("{error}");
                        return Err(RPCError::Network(NetworkError::new(&error)));
                    }
                    AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => {}
                }
                self.heard.note(self.target);
                Ok(response)
            }
            Response::Vote(_) | Response::Snapshot(_) | Response::Refused(_) => self.other_kind(),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Rpc<InstallSnapshotResponse<u64>, InstallSnapshotError> {
        match self.exchange(Request::Snapshot(rpc), &option).await? {
            Response::Snapshot(Ok(response)) => {
                self.heard.note(self.target);
                Ok(response)
            }
            Response::Snapshot(Err(error)) => {
                Err(RPCError::RemoteError(RemoteError::new(self.target, error)))
            }
            Response::Append(_) | Response::Vote(_) | Response::Refused(_) => self.other_kind(),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<u64>, option: RPCOption) -> Rpc<VoteResponse<u64>> {
        match self.exchange(Request::Vote(rpc), &option).await? {
            Response::Vote(response) => Ok(response),
            Response::Append(_) | Response::Snapshot(_) | Response::Refused(_) => self.other_kind(),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY))
    }
}
