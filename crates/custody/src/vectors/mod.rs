//! The official vectors of MLS (`vectors/README.md`), with our algorithms under test.

mod basics;
mod key_schedule;
mod passive_client;
mod secret_tree;

use crate::drbg::Drbg;
use crate::provider::Provider;
use openmls_traits::{OpenMlsProvider, crypto::OpenMlsCrypto, types::HashType};
use serde_json::Value;
use tls_codec::{Serialize, VLBytes};

const SHA256: HashType = HashType::Sha2_256;
/// Nh of the suite: the length of its hash, and of every secret derived.
const NH: u16 = 32;

fn provider() -> Provider {
    Provider::new(Drbg::new([3; 32]))
}

/// The scenarios of one file.
fn scenarios(json: &str) -> Vec<Value> {
    let scenarios: Vec<Value> = serde_json::from_str(json).expect("vectors are JSON");
    assert!(!scenarios.is_empty());
    assert!(scenarios.iter().all(|one| one["cipher_suite"] == 3));
    scenarios
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    let found = of[name].as_str();
    found.unwrap_or_else(|| panic!("{name} is a string"))
}

fn hex(of: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(of, name)).expect("vectors are hex")
}

fn number(of: &Value, name: &str) -> u64 {
    let found = of[name].as_u64();
    found.unwrap_or_else(|| panic!("{name} is a number"))
}

/// `opaque bytes<V>` (RFC 9420 §2.1.2).
fn opaque(bytes: &[u8]) -> Vec<u8> {
    VLBytes::new(bytes.to_vec())
        .tls_serialize_detached()
        .unwrap()
}

fn label(label: &str) -> Vec<u8> {
    opaque(format!("MLS 1.0 {label}").as_bytes())
}

/// RFC 9420 §8.
fn expand_with_label(
    provider: &Provider,
    secret: &[u8],
    name: &str,
    context: &[u8],
    len: u16,
) -> Vec<u8> {
    let info = [len.to_be_bytes().to_vec(), label(name), opaque(context)].concat();
    let okm = provider
        .crypto()
        .hkdf_expand(SHA256, secret, &info, usize::from(len))
        .unwrap();
    okm.as_slice().to_vec()
}

/// RFC 9420 §8.
fn derive_secret(provider: &Provider, secret: &[u8], name: &str) -> Vec<u8> {
    expand_with_label(provider, secret, name, b"", NH)
}

/// RFC 9420 §9.
fn derive_tree_secret(
    provider: &Provider,
    secret: &[u8],
    name: &str,
    generation: u32,
    len: u16,
) -> Vec<u8> {
    expand_with_label(provider, secret, name, &generation.to_be_bytes(), len)
}
