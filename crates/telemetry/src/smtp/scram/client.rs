//! The client's side.

use super::{Hash, MAX_ITERATIONS, MIN_ITERATIONS, decode, encode, hash, hmac, pbkdf2};

/// The client's side, for our own clients.
#[derive(Clone, Debug)]
pub struct ScramClient {
    pub(super) gs2_header: &'static str,
    pub(super) binding: Option<Hash>,
    pub(super) bare: String,
    pub(super) nonce: String,
}

/// Why a client breaks off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the server's part of the login is not what SCRAM wants, or it does not know the password")]
pub struct ScramError;

/// The client's answer, and the server's that must follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScramProof {
    /// Send this.
    pub message: String,
    /// The server proves with exactly this that it holds the verifier.
    pub server_final: String,
}

impl ScramClient {
    /// With `binding`, what TLS exports for `EXPORTER-Channel-Binding` (RFC 9266): SCRAM-SHA-256-PLUS.
    pub fn new(name: &str, entropy: [u8; 18], binding: Option<[u8; 32]>) -> Self {
        let name = name.replace('=', "=3D").replace(',', "=2C");
        let nonce = encode(&entropy);
        Self {
            gs2_header: match binding {
                Some(_) => "p=tls-exporter,,",
                None => "n,,",
            },
            binding,
            bare: format!("n={name},r={nonce}"),
            nonce,
        }
    }

    /// The mechanism's name.
    pub const fn mechanism(&self) -> &'static str {
        match self.binding {
            Some(_) => "SCRAM-SHA-256-PLUS",
            None => "SCRAM-SHA-256",
        }
    }

    /// What the client says first.
    pub fn first(&self) -> String {
        format!("{}{}", self.gs2_header, self.bare)
    }

    /// The answer to the server's first message.
    ///
    /// # Errors
    /// See [`ScramError`].
    pub fn answer(&self, server_first: &str, password: &str) -> Result<ScramProof, ScramError> {
        let mut parts = server_first.split(',');
        let mut part = |name| parts.next().and_then(|part| part.strip_prefix(name));
        let nonce = part("r=").ok_or(ScramError)?;
        let salt = part("s=").and_then(decode).ok_or(ScramError)?;
        let iterations: u32 = part("i=").and_then(|i| i.parse().ok()).ok_or(ScramError)?;
        // A server that knew nothing would like a nonce that it has seen before, or a cheap guess.
        let is_ours = nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce);
        if !is_ours || !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err(ScramError);
        }
        let mut bound = self.gs2_header.as_bytes().to_vec();
        bound.extend_from_slice(self.binding.as_ref().map_or(&[], |hash| &hash[..]));
        let without_proof = format!("c={},r={nonce}", encode(&bound));
        let signed = format!("{},{server_first},{without_proof}", self.bare);
        let salted = pbkdf2(password.as_bytes(), &salt, iterations);
        let client_key = hmac(&salted, b"Client Key");
        let mut proof = hmac(&hash(&client_key), signed.as_bytes());
        for (byte, mask) in proof.iter_mut().zip(client_key) {
            *byte ^= mask;
        }
        let server_key = hmac(&salted, b"Server Key");
        Ok(ScramProof {
            message: format!("{without_proof},p={}", encode(&proof)),
            server_final: format!("v={}", encode(&hmac(&server_key, signed.as_bytes()))),
        })
    }
}
