//! Clients of which everything is given: they enter by welcome and follow what others commit.

use super::*;
use openmls::prelude::{
    HpkePrivateKey, KeyPackage, KeyPackageBundle, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroup,
    MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent, RatchetTreeIn,
    StagedWelcome,
};
use openmls::schedule::PreSharedKeyId;
use openmls_traits::storage::StorageProvider;
use serde_json::json;
use tls_codec::DeserializeBytes;

fn message(bytes: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).expect("an MLSMessage")
}

/// The client's key package with its private keys, as if it had made it itself. OpenMLS offers no
/// constructor for that, but its storage format is serde's.
fn store_key_package(provider: &Provider, v: &Value) {
    let MlsMessageBodyIn::KeyPackage(package) = message(&hex(v, "key_package")).extract() else {
        panic!("a key package");
    };
    // Not validated: the lifetimes in the vectors are over.
    let package: KeyPackage = serde_json::to_value(package)
        .and_then(serde_json::from_value)
        .expect("unverified and verified are stored alike");
    let private = |name| HpkePrivateKey::from(hex(v, name));
    let bundle: KeyPackageBundle = serde_json::from_value(json!({
        "key_package": package,
        "private_init_key": private("init_priv"),
        "private_encryption_key": { "key": private("encryption_priv") },
    }))
    .expect("OpenMLS reads what it writes");
    let reference = package.hash_ref(provider.crypto()).unwrap();
    provider
        .storage()
        .write_key_package(&reference, &bundle)
        .unwrap();
}

fn join(provider: &Provider, v: &Value) -> MlsGroup {
    for psk in v["external_psks"].as_array().expect("a list") {
        // The nonce is not part of what is stored.
        let id = PreSharedKeyId::external(hex(psk, "psk_id"), Vec::new());
        id.store(provider, &hex(psk, "psk")).unwrap();
    }
    store_key_package(provider, v);
    let MlsMessageBodyIn::Welcome(welcome) = message(&hex(v, "welcome")).extract() else {
        panic!("a welcome");
    };
    let config = MlsGroupJoinConfig::builder()
        .use_ratchet_tree_extension(true)
        .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
        .number_of_resumption_psks(16)
        .build();
    let mut builder = StagedWelcome::build_from_welcome(provider, &config, welcome)
        .unwrap()
        .skip_lifetime_validation();
    if v["ratchet_tree"].is_string() {
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(&hex(v, "ratchet_tree")).unwrap();
        builder = builder.with_ratchet_tree(tree);
    }
    builder.build().unwrap().into_group(provider).unwrap()
}

fn follow(provider: &Provider, group: &mut MlsGroup, bytes: &[u8]) {
    let message = message(bytes).try_into_protocol_message().unwrap();
    let processed = group.process_message(provider, message).unwrap();
    match processed.into_content() {
        ProcessedMessageContent::ProposalMessage(proposal) => group
            .store_pending_proposal(provider.storage(), *proposal)
            .unwrap(),
        ProcessedMessageContent::StagedCommitMessage(commit) => {
            group.merge_staged_commit(provider, *commit).unwrap();
        }
        _ => panic!("proposals and commits only"),
    }
}

fn run(json: &str) -> (usize, usize) {
    let (mut clients, mut commits) = (0, 0);
    for v in scenarios(json) {
        let provider = provider();
        let mut group = join(&provider, &v);
        let expected = hex(&v, "initial_epoch_authenticator");
        assert_eq!(group.epoch_authenticator().as_slice(), expected);
        for epoch in v["epochs"].as_array().expect("a list") {
            for proposal in epoch["proposals"].as_array().expect("a list") {
                let bytes = proposal.as_str().expect("a string");
                follow(&provider, &mut group, &hex::decode(bytes).unwrap());
            }
            follow(&provider, &mut group, &hex(epoch, "commit"));
            let expected = hex(epoch, "epoch_authenticator");
            assert_eq!(group.epoch_authenticator().as_slice(), expected);
            commits += 1;
        }
        clients += 1;
    }
    (clients, commits)
}

#[test]
fn passive_clients_enter_by_welcome() {
    let done = run(include_str!("../../vectors/passive-client-welcome.json"));
    assert_eq!(done, (8, 0));
}

#[test]
fn passive_clients_follow_commits() {
    let done = run(include_str!(
        "../../vectors/passive-client-handling-commit.json"
    ));
    assert_eq!(done, (13, 26));
}
