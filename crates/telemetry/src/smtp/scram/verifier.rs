//! What is kept of a password.

use super::{Hash, decode, equal, hash, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use core::str::FromStr;

/// Fewest rounds of PBKDF2 that a verifier may have (RFC 7677 §4).
pub const MIN_ITERATIONS: u32 = 4_096;
/// Most. A PLAIN login costs the server as many; this many take it some 15 ms.
pub const MAX_ITERATIONS: u32 = 65_536;
/// What new verifiers get: RFC 7677 §4 names it for its day, and gear has to compute it, too.
pub const DEFAULT_ITERATIONS: u32 = 15_000;
/// Octets of a salt.
pub const SALT: usize = 16;
const PREFIX: &str = "SCRAM-SHA-256$";

/// Proof that somebody knows a password, without the password: whoever steals it can neither log in
/// with it nor read the password from it. The text form is the one PostgreSQL uses,
/// `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: Hash,
    pub(super) server_key: Hash,
}

/// Why something is no verifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifierError {
    /// Not the text form.
    #[error(
        "a login is SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY, as `glasshouse device login` prints it"
    )]
    Form,
    /// Out of bounds.
    #[error("a login has between {MIN_ITERATIONS} and {MAX_ITERATIONS} iterations")]
    Iterations,
    /// A password that two programs could encode differently, or none at all.
    #[error("a password is 1 to 255 printable ASCII characters")]
    Password,
}

impl Verifier {
    /// Derives it from a password; the salt is random.
    ///
    /// # Errors
    /// See [`VerifierError`].
    pub fn new(password: &str, salt: [u8; SALT], iterations: u32) -> Result<Self, VerifierError> {
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err(VerifierError::Iterations);
        }
        let printable = |byte: u8| (0x20..0x7f).contains(&byte);
        if password.is_empty() || password.len() > 255 || !password.bytes().all(printable) {
            return Err(VerifierError::Password);
        }
        Ok(Self::derive(password.as_bytes(), &salt, iterations))
    }

    fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = pbkdf2(password, salt, iterations);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: hash(&hmac(&salted, b"Client Key")),
            server_key: hmac(&salted, b"Server Key"),
        }
    }

    /// For names that do not exist: costs and looks the same, and always the same for one name, so
    /// that nobody learns which names exist.
    pub(in super::super) fn decoy(secret: &Hash, name: &str) -> Self {
        let salt = hmac(secret, name.as_bytes());
        Self {
            iterations: DEFAULT_ITERATIONS,
            salt: salt[..SALT].to_vec(),
            stored_key: hmac(secret, &salt),
            server_key: hmac(secret, b"server"),
        }
    }

    /// Whether this is the password. Costs as much as deriving it.
    pub fn matches(&self, password: &[u8]) -> bool {
        let other = Self::derive(password, &self.salt, self.iterations);
        equal(&other.stored_key, &self.stored_key)
    }

    /// Something that only holders of the verifier know.
    pub(in super::super) const fn secret(&self) -> &Hash {
        &self.server_key
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}{}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }
}

impl fmt::Debug for Verifier {
    /// Without the keys: the server's is worth keeping from logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        const FORM: VerifierError = VerifierError::Form;
        let (head, keys) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('$'))
            .ok_or(FORM)?;
        let (iterations, salt) = head.split_once(':').ok_or(FORM)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(FORM)?;
        let iterations = iterations.parse().map_err(|_| FORM)?;
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err(VerifierError::Iterations);
        }
        let salt = decode(salt).filter(|salt| !salt.is_empty()).ok_or(FORM)?;
        let key = |text: &str| decode(text)?.try_into().ok();
        Ok(Self {
            iterations,
            salt,
            stored_key: key(stored_key).ok_or(FORM)?,
            server_key: key(server_key).ok_or(FORM)?,
        })
    }
}
