//! One MLS group as this house uses it: created by one node, entered only by external commit,
//! moved on by self-updates, left by removal; no key packages, no welcomes, no application messages.

mod check;
mod error;
#[cfg(test)]
mod tests;

pub use error::GroupError;

use crate::{
    drbg::Drbg,
    provider::{IdentitySigner, Provider, SUITE},
    roster::{Membership, Roster},
    secrets::EpochSecrets,
};
use ed25519_dalek::SigningKey;
use machine::mistakes::{self, Mistake};
use openmls::prelude::{
    BasicCredential, CredentialWithKey, GroupId, LeafNodeParameters, Lifetime, MlsGroup,
    MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProcessedMessageContent, ProtocolMessage,
};
use openmls_traits::OpenMlsProvider as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use tls_codec::{DeserializeBytes, Serialize};
use wire::{GroupCommitKind, KeyEpoch, NodeId};

/// Largest group message or GroupInfo accepted. A commit or GroupInfo with its tree grows by some
/// 300 bytes a member; this leaves room for 3,000 members and bounds what a peer can make us parse.
pub const MAX_MESSAGE: usize = 1 << 20;

/// Exporter labels (RFC 9420 §8.5): one per use, so that no use can learn another's key.
const LABEL_LINK: &str = "glasshouse link 1";
const LABEL_DATA: &str = "glasshouse data 1";

/// What a node brings into a group: its name and its identity key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) node: NodeId,
    pub(crate) key: Arc<SigningKey>,
}

impl Identity {
    fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.node.as_str().as_bytes().to_vec()).into(),
            signature_key: self.key.verifying_key().to_bytes().to_vec().into(),
        }
    }
}

/// A GroupInfo together with the key epoch it belongs to, so that a joiner knows which epoch to
/// propose. Peers exchange it as 8 bytes of epoch (big endian) and the MLS message.
///
/// The epoch number is the answering peer's word only. A wrong one costs a lost proposal, no more:
/// the ledger lets a commit win only for the epoch after the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinInfo {
    /// The key epoch of the group's state.
    pub epoch: KeyEpoch,
    /// MLSMessage with a GroupInfo (RFC 9420 §12.4.3) that carries tree and external key.
    pub group_info: Vec<u8>,
}

impl JoinInfo {
    /// The bytes for `wire::Reply::GroupInfo`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.epoch.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.group_info);
        bytes
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GroupError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(GroupError::TooLarge { len: bytes.len() });
        }
        let (epoch, group_info) = bytes
            .split_first_chunk::<8>()
            .ok_or(GroupError::Malformed {
                what: "GroupInfo answer",
                reason: format!("{} bytes are too few for an epoch", bytes.len()),
            })?;
        Ok(Self {
            epoch: KeyEpoch(u64::from_be_bytes(*epoch)),
            group_info: group_info.to_vec(),
        })
    }
}

/// A node's membership in one group at one epoch.
pub struct KeyGroup {
    provider: Provider,
    identity: Identity,
    mls: MlsGroup,
}

/// A join that is not yet on the ledger: the state to adopt if its commit wins.
pub struct PendingJoin {
    /// The group as it will be.
    pub group: KeyGroup,
    /// The external commit to propose.
    pub commit: Vec<u8>,
}

impl KeyGroup {
    /// A new group with one member. `seed` feeds all randomness this state will ever need.
    pub fn create(
        group_id: &[u8],
        node: &NodeId,
        key: Arc<SigningKey>,
        seed: [u8; 32],
    ) -> Result<Self, GroupError> {
        Self::create_with(
            group_id,
            Identity {
                node: node.clone(),
                key,
            },
            Drbg::new(seed),
        )
    }

    pub(crate) fn create_with(
        group_id: &[u8],
        identity: Identity,
        rng: Drbg,
    ) -> Result<Self, GroupError> {
        let provider = Provider::new(rng);
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            // A real lifetime would need a clock; membership is bounded by roster and ledger.
            .lifetime(Lifetime::init(0, u64::MAX))
            .build();
        let mls = MlsGroup::new_with_group_id(
            &provider,
            &IdentitySigner(&identity.key),
            &config,
            GroupId::from_slice(group_id),
            identity.credential(),
        )
        .map_err(|error| GroupError::refused("creating the group", error))?;
        Ok(Self {
            provider,
            identity,
            mls,
        })
    }

    /// Prepare to enter the group that `group_info` describes, by external commit
    /// (RFC 9420 §12.4.3.2). A leaf that this node left behind is removed by the same commit.
    pub fn external_join(
        group_info: &[u8],
        node: &NodeId,
        key: Arc<SigningKey>,
        roster: &Roster,
        seed: [u8; 32],
    ) -> Result<PendingJoin, GroupError> {
        let identity = Identity {
            node: node.clone(),
            key,
        };
        Self::external_join_with(group_info, identity, roster, Drbg::new(seed))
    }

    pub(crate) fn external_join_with(
        group_info: &[u8],
        identity: Identity,
        roster: &Roster,
        rng: Drbg,
    ) -> Result<PendingJoin, GroupError> {
        let MlsMessageBodyIn::GroupInfo(info) = parse("GroupInfo", group_info)?.extract() else {
            return Err(GroupError::Malformed {
                what: "GroupInfo",
                reason: "it is another kind of MLS message".to_owned(),
            });
        };
        let provider = Provider::new(rng);
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let doing = "joining by external commit";
        let (mls, bundle) = MlsGroup::external_commit_builder()
            .with_config(config)
            .skip_lifetime_validation()
            .build_group(&provider, info, identity.credential())
            .map_err(|error| GroupError::refused(doing, error))?
            .load_psks(provider.storage())
            .map_err(|error| GroupError::refused(doing, error))?
            .build(
                provider.rand(),
                provider.crypto(),
                &IdentitySigner(&identity.key),
                |_| true,
            )
            .map_err(|error| GroupError::refused(doing, error))?
            .finalize(&provider)
            .map_err(|error| GroupError::refused(doing, error))?;
        check::members_in_roster(mls.members(), roster)?;
        let commit = to_bytes(bundle.commit())?;
        Ok(PendingJoin {
            group: Self {
                provider,
                identity,
                mls,
            },
            commit,
        })
    }

    /// The GroupInfo of the current epoch, with ratchet tree and external key. A commit of our own
    /// that is still pending is not in it.
    pub fn group_info(&self) -> Result<Vec<u8>, GroupError> {
        let signer = IdentitySigner(&self.identity.key);
        let info = self
            .mls
            .export_group_info(self.provider.crypto(), &signer, true)
            .map_err(|error| GroupError::refused("exporting the GroupInfo", error))?;
        to_bytes(&info)
    }

    /// A commit that renews this node's keys and so opens a new epoch. It stays pending until
    /// [`merge_own_pending`](Self::merge_own_pending) or [`clear_pending`](Self::clear_pending).
    pub fn rotate(&mut self) -> Result<Vec<u8>, GroupError> {
        let signer = IdentitySigner(&self.identity.key);
        let bundle = self
            .mls
            .self_update(&self.provider, &signer, LeafNodeParameters::default())
            .map_err(|error| GroupError::refused("rotating the keys", error))?;
        to_bytes(bundle.commit())
    }

    /// A commit that takes the leaves of `nodes` out of the group, as far as they have any, and
    /// renews this node's keys with it: the new secrets are out of reach for whoever was removed.
    /// Pending like [`rotate`](Self::rotate)'s.
    pub fn remove(&mut self, nodes: &BTreeSet<NodeId>) -> Result<Vec<u8>, GroupError> {
        let doing = "removing members";
        let signer = IdentitySigner(&self.identity.key);
        let mut leaves = check::leaves_of(&self.mls, nodes);
        if mistakes::on(Mistake::EvictedKeepsKeys) {
            leaves.clear();
        }
        let bundle = self
            .mls
            .commit_builder()
            .propose_removals(leaves.into_keys())
            .force_self_update(true)
            .load_psks(self.provider.storage())
            .map_err(|error| GroupError::refused(doing, error))?
            .build(
                self.provider.rand(),
                self.provider.crypto(),
                &signer,
                |_| true,
            )
            .map_err(|error| GroupError::refused(doing, error))?
            .stage_commit(&self.provider)
            .map_err(|error| GroupError::refused(doing, error))?;
        to_bytes(bundle.commit())
    }

    /// Our pending commit won: move on.
    pub fn merge_own_pending(&mut self) -> Result<(), GroupError> {
        self.mls
            .merge_pending_commit(&self.provider)
            .map_err(|error| GroupError::refused("merging the own commit", error))
    }

    /// Our pending commit lost: forget it.
    pub fn clear_pending(&mut self) -> Result<(), GroupError> {
        self.mls
            .clear_pending_commit(self.provider.storage())
            .map_err(|error| GroupError::refused("clearing the own commit", error))
    }

    /// Whether a commit of our own waits for its fate.
    pub fn has_pending(&self) -> bool {
        self.mls.pending_commit().is_some()
    }

    /// Apply the commit by which `committer` moved the group on. Refused unless it is what `kind`
    /// says, is signed by the key that the roster holds for `committer`, and touches nobody's leaf
    /// but the committer's own; a removal must also take out every leaf of those that `membership`
    /// wants removed, and nobody else's. On error the group has not moved.
    pub fn process_commit(
        &mut self,
        commit: &[u8],
        committer: &NodeId,
        kind: &GroupCommitKind,
        membership: &Membership,
    ) -> Result<(), GroupError> {
        let message: ProtocolMessage = parse("commit", commit)?
            .try_into_protocol_message()
            .map_err(|error| GroupError::refused("reading the commit", error))?;
        let processed = self
            .mls
            .process_message(&self.provider, message)
            .map_err(|error| GroupError::refused("verifying the commit", error))?;
        let sender = processed.sender().clone();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(GroupError::Malformed {
                what: "commit",
                reason: "it is another kind of group message".to_owned(),
            });
        };
        let claim = check::Claim {
            committer,
            kind,
            membership,
        };
        claim.check(&self.mls, &sender, &staged)?;
        self.mls
            .merge_staged_commit(&self.provider, *staged)
            .map_err(|error| GroupError::refused("merging the commit", error))
    }

    /// The secrets of the current epoch, which the ledger numbers `epoch`.
    pub fn secrets(&self, epoch: KeyEpoch) -> Result<EpochSecrets, GroupError> {
        let export = |label| -> Result<[u8; 32], GroupError> {
            let secret = zeroize::Zeroizing::new(
                self.mls
                    .export_secret(self.provider.crypto(), label, &epoch.0.to_be_bytes(), 32)
                    .map_err(|error| GroupError::refused("exporting a secret", error))?,
            );
            secret
                .as_slice()
                .try_into()
                .map_err(|_| GroupError::Malformed {
                    what: "exported secret",
                    reason: format!("{} bytes instead of 32", secret.len()),
                })
        };
        Ok(EpochSecrets {
            epoch,
            link: export(LABEL_LINK)?,
            data: export(LABEL_DATA)?,
            holders: self.members(),
        })
    }

    /// Names of the members, live or not.
    pub fn members(&self) -> BTreeSet<NodeId> {
        self.mls
            .members()
            .filter_map(|member| check::name_of(&member.credential))
            .collect()
    }

    /// The MLS group id.
    pub fn group_id(&self) -> &[u8] {
        self.mls.group_id().as_slice()
    }
}

impl std::fmt::Debug for KeyGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyGroup")
            .field("node", &self.identity.node)
            .field("mls_epoch", &self.mls.epoch().as_u64())
            .finish_non_exhaustive()
    }
}

fn parse(what: &'static str, bytes: &[u8]) -> Result<MlsMessageIn, GroupError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(GroupError::TooLarge { len: bytes.len() });
    }
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(|error| GroupError::Malformed {
        what,
        reason: error.to_string(),
    })
}

fn to_bytes(message: &MlsMessageOut) -> Result<Vec<u8>, GroupError> {
    message
        .tls_serialize_detached()
        .map_err(|error| GroupError::refused("encoding a group message", error))
}
