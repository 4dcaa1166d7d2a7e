//! A member of a group that runs on mls-rs.

use super::{algorithms::Algorithms, key};
use crate::EpochSecrets;
use mls_rs::{
    CipherSuite, Client, Group, MlsMessage,
    client_builder::{MlsConfig, PaddingMode},
    crypto::{SignaturePublicKey, SignatureSecretKey},
    group::{CommitEffect, ReceivedMessage},
    identity::{
        SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
};
use wire::KeyEpoch;

/// Suite 3.
pub(super) const SUITE: CipherSuite = CipherSuite::CURVE25519_CHACHA;

pub(super) struct Peer {
    // Boxed, since the type of a client's configuration has no name.
    group: Box<dyn AnyGroup>,
}

/// What is asked of a group, whatever its configuration.
trait AnyGroup {
    fn export(&self, label: &str, context: &[u8]) -> [u8; 32];
    /// False: the commit has removed this member.
    fn follow(&mut self, commit: &[u8]) -> bool;
    fn commit(&mut self, remove: Option<&str>) -> Vec<u8>;
    fn group_info(&self) -> Vec<u8>;
    fn members(&self) -> Vec<String>;
}

/// By the rules of this house: commits in the clear, always with new keys, and the tree in every
/// GroupInfo.
fn client(name: &str) -> Client<impl MlsConfig + use<>> {
    let key = key(name);
    let secret = SignatureSecretKey::new(key.to_bytes().to_vec());
    let public = SignaturePublicKey::new(key.verifying_key().to_bytes().to_vec());
    let credential = BasicCredential::new(name.as_bytes().to_vec()).into_credential();
    let rules = DefaultMlsRules::new()
        .with_commit_options(
            CommitOptions::new()
                .with_path_required(true)
                .with_ratchet_tree_extension(true)
                .with_allow_external_commit(true),
        )
        .with_encryption_options(EncryptionOptions::new(false, PaddingMode::None));
    Client::builder()
        .identity_provider(BasicIdentityProvider)
        .crypto_provider(Algorithms::new(name))
        .mls_rules(rules)
        .signing_identity(SigningIdentity::new(credential, public), secret, SUITE)
        .build()
}

impl Peer {
    pub(super) fn create(name: &str) -> Self {
        let group = client(name).create_group(Default::default(), Default::default(), None);
        let group = Box::new(group.unwrap());
        Self { group }
    }

    /// By external commit, which comes with it.
    pub(super) fn join(name: &str, group_info: &[u8]) -> (Self, Vec<u8>) {
        let info = MlsMessage::from_bytes(group_info).unwrap();
        let builder = client(name).external_commit_builder().unwrap();
        let (group, commit) = builder.build(info).unwrap();
        let group = Box::new(group);
        (Self { group }, commit.to_bytes().unwrap())
    }

    pub(super) fn secrets(&self, epoch: KeyEpoch) -> EpochSecrets {
        let context = epoch.0.to_be_bytes();
        EpochSecrets {
            epoch,
            link: self.group.export("glasshouse link 1", &context),
            data: self.group.export("glasshouse data 1", &context),
            holders: Default::default(),
        }
    }

    pub(super) fn follow(&mut self, commit: &[u8]) -> bool {
        self.group.follow(commit)
    }

    pub(super) fn rotate(&mut self) -> Vec<u8> {
        self.group.commit(None)
    }

    pub(super) fn remove(&mut self, name: &str) -> Vec<u8> {
        self.group.commit(Some(name))
    }

    pub(super) fn group_info(&self) -> Vec<u8> {
        self.group.group_info()
    }

    pub(super) fn members(&self) -> Vec<String> {
        self.group.members()
    }
}

impl<C: MlsConfig> AnyGroup for Group<C> {
    fn export(&self, label: &str, context: &[u8]) -> [u8; 32] {
        let secret = self.export_secret(label.as_bytes(), context, 32).unwrap();
        secret.as_bytes().try_into().unwrap()
    }

    fn follow(&mut self, commit: &[u8]) -> bool {
        let message = MlsMessage::from_bytes(commit).unwrap();
        match self.process_incoming_message(message).unwrap() {
            ReceivedMessage::Commit(commit) => {
                !matches!(commit.effect, CommitEffect::Removed { .. })
            }
            other => panic!("not a commit: {other:?}"),
        }
    }

    fn commit(&mut self, remove: Option<&str>) -> Vec<u8> {
        let index = remove.map(|name| {
            let member = self.member_with_identity(name.as_bytes());
            member.unwrap().index
        });
        let mut builder = self.commit_builder();
        if let Some(index) = index {
            builder = builder.remove_member(index).unwrap();
        }
        let commit = builder.build().unwrap();
        self.apply_pending_commit().unwrap();
        commit.commit_message().to_bytes().unwrap()
    }

    fn group_info(&self) -> Vec<u8> {
        let info = self.group_info_message_allowing_ext_commit(true).unwrap();
        info.to_bytes().unwrap()
    }

    fn members(&self) -> Vec<String> {
        let members = self.roster().members_iter();
        let name = |member: mls_rs::group::Member| {
            let credential = member.signing_identity.credential;
            let basic = credential.as_basic().expect("basic credentials only");
            String::from_utf8(basic.identifier.clone()).unwrap()
        };
        members.map(name).collect()
    }
}
