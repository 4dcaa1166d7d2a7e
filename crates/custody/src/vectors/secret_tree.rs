use super::*;

/// Lengths of the suite's keys and nonces.
const KEY: u16 = 32;
const NONCE: u16 = 12;

/// The secrets of `leaves` leaves, from left to right, under a node's secret (RFC 9420 §9). The
/// vectors' trees are full.
fn leaf_secrets(provider: &Provider, node: Vec<u8>, leaves: usize) -> Vec<Vec<u8>> {
    if leaves == 1 {
        return vec![node];
    }
    ["left", "right"]
        .into_iter()
        .flat_map(|side| {
            let child = expand_with_label(provider, &node, "tree", side.as_bytes(), NH);
            leaf_secrets(provider, child, leaves / 2)
        })
        .collect()
}

/// Key and nonce of one generation of a ratchet (RFC 9420 §9.1).
fn ratchet(provider: &Provider, leaf: &[u8], name: &str, generation: u32) -> (Vec<u8>, Vec<u8>) {
    let mut secret = expand_with_label(provider, leaf, name, b"", NH);
    for passed in 0..generation {
        secret = derive_tree_secret(provider, &secret, "secret", passed, NH);
    }
    let derive = |name, len| derive_tree_secret(provider, &secret, name, generation, len);
    (derive("key", KEY), derive("nonce", NONCE))
}

#[test]
fn secret_tree() {
    let provider = provider();
    for scenario in scenarios(include_str!("../../vectors/secret-tree.json")) {
        let v = &scenario["sender_data"];
        let secret = hex(v, "sender_data_secret");
        let ciphertext = hex(v, "ciphertext");
        let sample = &ciphertext[..ciphertext.len().min(usize::from(NH))];
        let derive = |name, len| expand_with_label(&provider, &secret, name, sample, len);
        assert_eq!(derive("key", KEY), hex(v, "key"));
        assert_eq!(derive("nonce", NONCE), hex(v, "nonce"));

        let leaves = scenario["leaves"].as_array().expect("a list");
        assert!(leaves.len().is_power_of_two());
        let root = hex(&scenario, "encryption_secret");
        let secrets = leaf_secrets(&provider, root, leaves.len());
        for (secret, generations) in secrets.iter().zip(leaves) {
            let generations = generations.as_array().expect("a list");
            assert!(!generations.is_empty());
            for v in generations {
                let generation = number(v, "generation") as u32;
                assert_eq!(
                    ratchet(&provider, secret, "handshake", generation),
                    (hex(v, "handshake_key"), hex(v, "handshake_nonce"))
                );
                assert_eq!(
                    ratchet(&provider, secret, "application", generation),
                    (hex(v, "application_key"), hex(v, "application_nonce"))
                );
            }
        }
    }
}
