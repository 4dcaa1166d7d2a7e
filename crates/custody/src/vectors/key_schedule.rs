use super::*;
use openmls_traits::types::{HpkeAeadType, HpkeConfig, HpkeKdfType, HpkeKemType};

const HPKE: HpkeConfig = HpkeConfig(
    HpkeKemType::DhKem25519,
    HpkeKdfType::HkdfSha256,
    HpkeAeadType::ChaCha20Poly1305,
);

fn extract(provider: &Provider, salt: &[u8], ikm: &[u8]) -> Vec<u8> {
    let prk = provider.crypto().hkdf_extract(SHA256, salt, ikm).unwrap();
    prk.as_slice().to_vec()
}

/// RFC 9420 §8.1: version 1, suite 3, no extensions.
fn group_context(group: &[u8], epoch: u64, of: &Value) -> Vec<u8> {
    [
        vec![0, 1, 0, 3],
        opaque(group),
        epoch.to_be_bytes().to_vec(),
        opaque(&hex(of, "tree_hash")),
        opaque(&hex(of, "confirmed_transcript_hash")),
        opaque(b""),
    ]
    .concat()
}

#[test]
fn key_schedule() {
    let provider = provider();
    for scenario in scenarios(include_str!("../../vectors/key-schedule.json")) {
        let group = hex(&scenario, "group_id");
        let mut init = hex(&scenario, "initial_init_secret");
        let epochs = scenario["epochs"].as_array().expect("a list");
        assert_eq!(epochs.len(), 5);
        for (number_of, v) in (0..).zip(epochs) {
            let context = group_context(&group, number_of, v);
            assert_eq!(context, hex(v, "group_context"));
            let joined = extract(&provider, &init, &hex(v, "commit_secret"));
            let joiner = expand_with_label(&provider, &joined, "joiner", &context, NH);
            assert_eq!(joiner, hex(v, "joiner_secret"));
            let member = extract(&provider, &joiner, &hex(v, "psk_secret"));
            let welcome = derive_secret(&provider, &member, "welcome");
            assert_eq!(welcome, hex(v, "welcome_secret"));
            let epoch = expand_with_label(&provider, &member, "epoch", &context, NH);
            for (name, secret) in [
                ("sender data", "sender_data_secret"),
                ("encryption", "encryption_secret"),
                ("exporter", "exporter_secret"),
                ("external", "external_secret"),
                ("confirm", "confirmation_key"),
                ("membership", "membership_key"),
                ("resumption", "resumption_psk"),
                ("authentication", "epoch_authenticator"),
                ("init", "init_secret"),
            ] {
                assert_eq!(derive_secret(&provider, &epoch, name), hex(v, secret));
            }
            init = hex(v, "init_secret");
            let external = hex(v, "external_secret");
            let pair = provider.crypto().derive_hpke_keypair(HPKE, &external);
            assert_eq!(pair.unwrap().public, hex(v, "external_pub"));
            // RFC 9420 §8.5, which the link and data secrets come from.
            let exported = &v["exporter"];
            let secret = hex(v, "exporter_secret");
            let secret = derive_secret(&provider, &secret, text(exported, "label"));
            let context = provider
                .crypto()
                .hash(SHA256, &hex(exported, "context"))
                .unwrap();
            let len = number(exported, "length") as u16;
            assert_eq!(
                expand_with_label(&provider, &secret, "exported", &context, len),
                hex(exported, "secret")
            );
        }
    }
}
