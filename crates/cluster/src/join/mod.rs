//! Joining a cluster with an invitation, on the side of the newcomer.
//!
//! The invitation names members with their identity keys. Whoever answers must prove to be the
//! member that was dialed before the secret is shown, and the answer is believed only with an
//! admission that a majority of the named members cosigned: no single member can take a newcomer
//! into a cluster of its own making.

mod token;

pub use token::{TOKEN_PREFIX, TokenError, decode_token, encode_token};

use crate::admission::{self, AdmissionError};
use crate::dial::DIAL_LIMIT;
use crate::door::APPLY_LIMIT;
use crate::members::MemberTable;
use crate::noise::{self, HandshakeError, Identity, LinkError, Side};
use ed25519_dalek::SigningKey;
use std::fmt;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use wire::{Admission, Application, Invitation, Level, MemberEntry, NodeId, Welcome};

/// Longest welcome: the admission as in a handshake, and an entry of some 200 bytes for each
/// member. What one record holds is enough for hundreds of members.
const MAX_WELCOME: usize = 60 << 10;

/// Pause before all members are tried again, if none could be reached.
const AGAIN: Duration = Duration::from_millis(500);

/// How joining ended well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// Proof of this node's membership; it shows it to members whose ledger is behind.
    pub admission: Admission,
    /// All members, this node included, as the member that answered sees them. A list of places
    /// to dial: what counts is the ledger.
    pub members: Vec<MemberEntry>,
}

/// Why one member did not let this node in.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// No connection.
    #[error("no connection to {address}: {error}")]
    Connect {
        /// Where to.
        address: String,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// Too slow.
    #[error("no answer within {limit:?}")]
    TimedOut {
        /// The time it had.
        limit: Duration,
    },
    /// It is not the member, or speaks otherwise. Nothing secret was shown.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The connection broke.
    #[error(transparent)]
    Channel(#[from] LinkError),
    /// It refused.
    #[error("refused: {0}")]
    Refused(String),
    /// It says yes, without proof.
    #[error("it says that this node is admitted, but of the proof: {0}")]
    Unproven(#[from] AdmissionError),
    /// It says yes, and names members without this node.
    #[error("it says that this node is admitted, but its list of members does not have it")]
    Unlisted,
}

/// What each member said, in the order in which they were asked.
#[derive(Debug)]
pub struct Attempts(pub Vec<(NodeId, AttemptError)>);

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (node, error)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{node}: {error}")?;
        }
        Ok(())
    }
}

/// Why this node is no member.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The invitation names somebody else.
    #[error("the invitation is for node {invited}, this is {me}; ask for one of your own")]
    ForOther {
        /// Whom.
        invited: NodeId,
        /// This node.
        me: NodeId,
    },
    /// An invitation without members.
    #[error("the invitation names no member to turn to; ask for a new one")]
    Nobody,
    /// Somebody answered, and nobody let it in.
    #[error("node {me} was not admitted: {attempts}")]
    NotAdmitted {
        /// This node.
        me: NodeId,
        /// What they said.
        attempts: Attempts,
    },
    /// Nobody could be reached in time.
    #[error("no member could be asked within {limit:?}: {attempts}")]
    Unreachable {
        /// The caller's limit.
        limit: Duration,
        /// The last round of attempts.
        attempts: Attempts,
    },
}

/// Joins: turns to the members that the invitation names, one after the other, until one of them
/// has this node (`me`, holding `identity`, its links arriving at `address`) admitted.
pub async fn join(
    invitation: &Invitation,
    me: NodeId,
    identity: &SigningKey,
    address: &str,
    level: Level,
    limit: Duration,
) -> Result<Joined, JoinError> {
    if let Some(invited) = invitation.node.as_ref().filter(|invited| **invited != me) {
        let invited = invited.clone();
        return Err(JoinError::ForOther { invited, me });
    }
    if invitation.members.is_empty() {
        return Err(JoinError::Nobody);
    }
    let newcomer = Newcomer {
        invitation,
        // No link is made with it: a number for the incarnation is not needed.
        me: Identity::new(&invitation.cluster, me.clone(), 0, identity),
        identity: identity.verifying_key().to_bytes(),
        table: MemberTable::founding(invitation.members.iter().cloned()),
        address,
        level,
    };
    let deadline = Instant::now() + limit;
    loop {
        let mut attempts = Attempts(Vec::new());
        for member in &invitation.members {
            let left = deadline.saturating_duration_since(Instant::now());
            let attempt = tokio::time::timeout(left, newcomer.ask(member)).await;
            let attempt = attempt.unwrap_or(Err(AttemptError::TimedOut { limit: left }));
            match attempt {
                Ok(joined) => return Ok(joined),
                Err(error) => attempts.0.push((member.node.clone(), error)),
            }
        }
        if attempts.0.iter().any(|(_, error)| error.is_an_answer()) {
            return Err(JoinError::NotAdmitted { me, attempts });
        }
        if Instant::now() + AGAIN >= deadline {
            return Err(JoinError::Unreachable { limit, attempts });
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl AttemptError {
    /// The member was reached and has decided; asking it again would not help.
    fn is_an_answer(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unproven(_) | Self::Unlisted => true,
            Self::Connect { .. }
            | Self::TimedOut { .. }
            | Self::Handshake(_)
            | Self::Channel(_) => false,
        }
    }
}

struct Newcomer<'a> {
    invitation: &'a Invitation,
    me: Identity,
    identity: [u8; 32],
    /// The pinned members.
    table: MemberTable,
    address: &'a str,
    level: Level,
}

impl Newcomer<'_> {
    async fn ask(&self, member: &MemberEntry) -> Result<Joined, AttemptError> {
        let connecting = TcpStream::connect(&member.address);
        let stream = tokio::time::timeout(DIAL_LIMIT, connecting)
            .await
            .map_err(|_| AttemptError::TimedOut { limit: DIAL_LIMIT })?
            .map_err(|error| AttemptError::Connect {
                address: member.address.clone(),
                error,
            })?;
        let side = Side {
            me: &self.me,
            table: &self.table,
            level: self.level,
            admission: None,
        };
        let mut channel = noise::knock(stream, side, &member.node).await?;
        let application = Application {
            certificate: self.me.certificate().clone(),
            secret: self.invitation.secret,
            address: self.address.to_owned(),
            level: self.level,
        };
        channel.send(&application).await?;
        // It takes its own time to decide, and a moment for the way.
        let limit = APPLY_LIMIT + DIAL_LIMIT;
        let welcome = tokio::time::timeout(limit, channel.receive(MAX_WELCOME))
            .await
            .map_err(|_| AttemptError::TimedOut { limit })??;
        match welcome {
            Welcome::Refused(why) => Err(AttemptError::Refused(why.replace(char::is_control, " "))),
            Welcome::Admitted { admission, members } => self.check(*admission, members),
        }
    }

    fn check(
        &self,
        admission: Admission,
        members: Vec<MemberEntry>,
    ) -> Result<Joined, AttemptError> {
        let (cluster, me) = (self.me.cluster(), self.me.node());
        admission::verify(&admission, cluster, me, &self.identity, &self.table.members)?;
        let listed = |member: &MemberEntry| member.node == *me && member.identity == self.identity;
        if !members.iter().any(listed) {
            return Err(AttemptError::Unlisted);
        }
        Ok(Joined { admission, members })
    }
}

#[cfg(test)]
mod tests;
