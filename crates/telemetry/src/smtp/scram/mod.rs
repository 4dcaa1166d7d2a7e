//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: what is kept of a password, and the
//! exchange that proves its knowledge. With `-PLUS` the proof is bound to the TLS connection
//! (RFC 5929 in general, `tls-exporter` of RFC 9266), so that nobody in between can pass it on.
//!
//! Names and passwords are compared as they are: SASLprep (RFC 4013) changes nothing about the
//! ASCII that [`Verifier::new`] insists on.

mod client;
mod verifier;

pub use client::{ScramClient, ScramError, ScramProof};
pub use verifier::{
    DEFAULT_ITERATIONS, MAX_ITERATIONS, MIN_ITERATIONS, SALT, Verifier, VerifierError,
};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Octets of entropy for one exchange's nonce: not guessable, and a multiple of three for base64.
pub(super) const NONCE: usize = 18;
/// Octets of a client's nonce: ours has 24 characters, nobody needs more than some.
const MAX_CLIENT_NONCE: usize = 256;
/// The only name that a binding may have.
const BINDING: &str = "tls-exporter";

type Hash = [u8; 32];

/// What a client's first message asks for (RFC 5802 §7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ClientFirst {
    /// With the commas: what the client must repeat under the proof.
    gs2_header: String,
    bare: String,
    pub(super) name: String,
    nonce: String,
}

impl ClientFirst {
    /// `plus`: the client chose the mechanism with channel binding. A client that says it could bind
    /// and believes that we could not was lied to about what we offer.
    pub(super) fn read(message: &[u8], plus: bool, plus_offered: bool) -> Option<Self> {
        let text = str::from_utf8(message).ok()?;
        let (flag, rest) = text.split_once(',')?;
        let (authzid, bare) = rest.split_once(',')?;
        let flag_fits = match flag.split_once('=') {
            Some(("p", binding)) => plus && binding == BINDING,
            Some(_) => false,
            None => !plus && (flag == "n" || flag == "y" && !plus_offered),
        };
        // On whose behalf: one's own, if that is said at all.
        let authzid = match authzid.strip_prefix("a=") {
            Some(name) => Some(unescape(name)?),
            None if authzid.is_empty() => None,
            None => return None,
        };
        // A mandatory extension (`m=`) would stand first; we know none.
        let mut parts = bare.split(',');
        let name = unescape(parts.next()?.strip_prefix("n=")?)?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        let printable = nonce.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        let fits = flag_fits
            && printable
            && (1..=MAX_CLIENT_NONCE).contains(&nonce.len())
            && authzid.as_ref().is_none_or(|authzid| *authzid == name);
        fits.then(|| Self {
            gs2_header: text[..text.len() - bare.len()].to_owned(),
            bare: bare.to_owned(),
            name,
            nonce: nonce.to_owned(),
        })
    }
}

/// Between the server's first message and the client's answer.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    first: ClientFirst,
    verifier: Verifier,
    nonce: String,
    server_first: String,
    /// What TLS exports for the binding, if the client chose to bind.
    binding: Option<Hash>,
}

impl Exchange {
    /// With the server's first message.
    pub(super) fn new(
        first: ClientFirst,
        verifier: Verifier,
        entropy: [u8; NONCE],
        binding: Option<Hash>,
    ) -> (Self, String) {
        let nonce = format!("{}{}", first.nonce, STANDARD.encode(entropy));
        Self::with_nonce(first, verifier, nonce, binding)
    }

    fn with_nonce(
        first: ClientFirst,
        verifier: Verifier,
        nonce: String,
        binding: Option<Hash>,
    ) -> (Self, String) {
        let server_first = format!(
            "r={nonce},s={},i={}",
            STANDARD.encode(&verifier.salt),
            verifier.iterations
        );
        let exchange = Self {
            first,
            verifier,
            nonce,
            server_first: server_first.clone(),
            binding,
        };
        (exchange, server_first)
    }

    /// The server's final message, which proves that we hold the verifier; `None`: no proof.
    pub(super) fn finish(&self, message: &[u8]) -> Option<String> {
        let text = str::from_utf8(message).ok()?;
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut parts = without_proof.split(',');
        let bound = decode(parts.next()?.strip_prefix("c=")?)?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        let mut expected = self.first.gs2_header.clone().into_bytes();
        expected.extend_from_slice(self.binding.as_ref().map_or(&[], |hash| &hash[..]));
        let proof: Hash = decode(proof)?.try_into().ok()?;
        let signed = format!("{},{},{without_proof}", self.first.bare, self.server_first);
        let signature = hmac(&self.verifier.stored_key, signed.as_bytes());
        let mut client_key = proof;
        for (byte, mask) in client_key.iter_mut().zip(signature) {
            *byte ^= mask;
        }
        let known = equal(&hash(&client_key), &self.verifier.stored_key);
        (known && nonce == self.nonce && bound == expected).then(|| {
            let signature = hmac(&self.verifier.server_key, signed.as_bytes());
            format!("v={}", STANDARD.encode(signature))
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.first.name
    }
}

/// Strict base64 (RFC 4648 §4) as SASL in SMTP and SCRAM use it.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// `=2C` and `=3D` (RFC 5802 §5.1); any other `=` is an error.
fn unescape(name: &str) -> Option<String> {
    let mut pieces = name.split('=');
    let mut text = pieces.next()?.to_owned();
    for piece in pieces {
        let (char, rest) = match piece.get(..2)? {
            "2C" => (',', &piece[2..]),
            "3D" => ('=', &piece[2..]),
            _ => return None,
        };
        text.push(char);
        text.push_str(rest);
    }
    (!text.is_empty() && text.len() <= 255).then_some(text)
}

/// `Hi` of RFC 5802 §2.2: PBKDF2 (RFC 8018) with one block of output.
fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> Hash {
    // The key is absorbed once and not in each of the rounds.
    let keyed = keyed(password);
    let mac = |message: &[&[u8]]| -> Hash {
        let mut mac = keyed.clone();
        for part in message {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    };
    let mut block = mac(&[salt, &1_u32.to_be_bytes()]);
    let mut output = block;
    for _ in 1..iterations {
        block = mac(&[&block]);
        for (byte, more) in output.iter_mut().zip(block) {
            *byte ^= more;
        }
    }
    output
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

pub(super) fn hmac(key: &[u8], message: &[u8]) -> Hash {
    let mut mac = keyed(key);
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn hash(message: &[u8]) -> Hash {
    Sha256::digest(message).into()
}

/// Takes the same time wherever they differ.
fn equal(one: &Hash, other: &Hash) -> bool {
    let differ = one
        .iter()
        .zip(other)
        .fold(0, |differ, (a, b)| differ | a ^ b);
    differ == 0
}

#[cfg(test)]
mod tests;
