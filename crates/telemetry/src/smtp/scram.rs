//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: what is kept of a password, and the
//! exchange that proves its knowledge. With `-PLUS` the proof is bound to the TLS connection
//! (RFC 5929 in general, `tls-exporter` of RFC 9266), so that nobody in between can pass it on.
//!
//! Names and passwords are compared as they are: SASLprep (RFC 4013) changes nothing about the
//! ASCII that [`Verifier::new`] insists on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use core::str::FromStr;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Fewest rounds of PBKDF2 that a verifier may have (RFC 7677 §4).
pub const MIN_ITERATIONS: u32 = 4_096;
/// Most. A PLAIN login costs the server as many; this many take it some 15 ms.
pub const MAX_ITERATIONS: u32 = 65_536;
/// What new verifiers get: RFC 7677 §4 names it for its day, and gear has to compute it, too.
pub const DEFAULT_ITERATIONS: u32 = 15_000;
/// Octets of a salt.
pub const SALT: usize = 16;
/// Octets of entropy for one exchange's nonce: not guessable, and a multiple of three for base64.
pub(super) const NONCE: usize = 18;
/// Octets of a client's nonce: ours has 24 characters, nobody needs more than some.
const MAX_CLIENT_NONCE: usize = 256;
/// The only name that a binding may have.
const BINDING: &str = "tls-exporter";
const PREFIX: &str = "SCRAM-SHA-256$";

type Hash = [u8; 32];

/// Proof that somebody knows a password, without the password: whoever steals it can neither log in
/// with it nor read the password from it. The text form is the one PostgreSQL uses,
/// `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Hash,
    server_key: Hash,
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
    pub(super) fn decoy(secret: &Hash, name: &str) -> Self {
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
    pub(super) const fn secret(&self) -> &Hash {
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

/// The client's side, for our own clients.
#[derive(Clone, Debug)]
pub struct ScramClient {
    gs2_header: &'static str,
    binding: Option<Hash>,
    bare: String,
    nonce: String,
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
        let nonce = STANDARD.encode(entropy);
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

/// Takes the same time wherever they differ.
fn equal(one: &Hash, other: &Hash) -> bool {
    let differ = one
        .iter()
        .zip(other)
        .fold(0, |differ, (a, b)| differ | a ^ b);
    differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCES: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    fn pencil() -> Verifier {
        let salt = decode("W22ZaJ0SNY7soEsUEjb6gQ==")
            .unwrap()
            .try_into()
            .unwrap();
        Verifier::new("pencil", salt, 4_096).unwrap()
    }

    fn client(binding: Option<Hash>) -> ScramClient {
        ScramClient {
            bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
            nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
            ..ScramClient::new("user", [0; 18], binding)
        }
    }

    fn exchange(client: &ScramClient, binding: Option<Hash>) -> (Exchange, String) {
        let plus = binding.is_some();
        let first = ClientFirst::read(client.first().as_bytes(), plus, plus).expect("well-formed");
        Exchange::with_nonce(first, pencil(), NONCES.to_owned(), binding)
    }

    #[test]
    fn the_example_of_rfc_7677() {
        let client = client(None);
        assert_eq!(client.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (exchange, server_first) = exchange(&client, None);
        assert_eq!(
            server_first,
            format!("r={NONCES},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        );
        let good = format!("c=biws,r={NONCES},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        let proof = client.answer(&server_first, "pencil").expect("well-formed");
        assert_eq!(proof.message, good);
        assert_eq!(proof.server_final, server_final);
        assert_eq!(
            exchange.finish(good.as_bytes()).as_deref(),
            Some(server_final)
        );
        assert_eq!(exchange.name(), "user");
        for bad in [
            good.replace("p=dH", "p=eH"),
            good.replace("biws", "eSws"),
            good.replace("$k0", "$k1"),
            good.replace(",p=", ",x=y,p="),
            good.replace(",p=", ""),
            String::new(),
        ] {
            assert_eq!(exchange.finish(bad.as_bytes()), None, "{bad}");
        }
        for bad in [
            "",
            "r=other,s=AAAA,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096",
        ] {
            assert_eq!(client.answer(bad, "pencil"), Err(ScramError), "{bad}");
        }
        let cheap = server_first.replace("4096", "1");
        assert_eq!(client.answer(&cheap, "pencil"), Err(ScramError));
    }

    #[test]
    fn a_bound_proof_is_good_on_its_own_connection_only() {
        for (theirs, known) in [(Some([7; 32]), true), (Some([8; 32]), false)] {
            let client = client(theirs);
            let (ours, server_first) = exchange(&client, Some([7; 32]));
            let proof = client.answer(&server_first, "pencil").expect("well-formed");
            assert_eq!(ours.finish(proof.message.as_bytes()).is_some(), known);
            // Nor is one that leaves the binding out.
            let stripped = proof.message.replace(&proof.message[..50], "c=biws");
            assert_eq!(ours.finish(stripped.as_bytes()), None);
        }
    }

    #[test]
    fn first_messages() {
        let read = |text: &str, plus, offered| ClientFirst::read(text.as_bytes(), plus, offered);
        let good = [
            ("n,,n=user,r=x", false, false),
            ("n,,n=user,r=x", false, true),
            ("y,,n=user,r=x", false, false),
            ("n,a=user,n=user,r=x", false, true),
            ("n,,n=user,r=x,ext=1", false, true),
            ("p=tls-exporter,,n=user,r=x", true, true),
        ];
        for (text, plus, offered) in good {
            let first = read(text, plus, offered).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(first.name, "user");
        }
        assert_eq!(
            read("n,,n=a=2Cb=3D,r=x", false, true)
                .map(|f| f.name)
                .as_deref(),
            Some("a,b=")
        );
        let bad = [
            // A downgrade: the client could bind, and was made to think that we cannot.
            ("y,,n=user,r=x", false, true),
            ("p=tls-exporter,,n=user,r=x", false, true),
            ("p=tls-unique,,n=user,r=x", true, true),
            ("n,,n=user,r=x", true, true),
            ("n,a=other,n=user,r=x", false, true),
            ("n,,m=ext,n=user,r=x", false, true),
            ("n,,n=us=4Der,r=x", false, true),
            ("n,,n=,r=x", false, true),
            ("n,,n=user,r=", false, true),
            ("n,,n=user,r=a b", false, true),
            ("n,,n=user", false, true),
            ("", false, true),
        ];
        for (text, plus, offered) in bad {
            assert_eq!(read(text, plus, offered), None, "{text}");
        }
    }

    #[test]
    fn verifiers_are_read_and_written() {
        let verifier = pencil();
        let text = verifier.to_string();
        assert_eq!(text.parse(), Ok(verifier.clone()));
        assert!(verifier.matches(b"pencil") && !verifier.matches(b"Pencil"));
        assert!(!format!("{verifier:?}").contains("stored"));
        for bad in [
            "",
            "pencil",
            &text.replace("4096", "4095"),
            &text.replace("4096", "65537"),
            &text.replace("SHA-256", "SHA-1"),
            &text[..text.len() - 4],
        ] {
            assert!(bad.parse::<Verifier>().is_err(), "{bad}");
        }
        for password in ["", "pass\u{fc}word", "a\n", &"x".repeat(256)] {
            assert_eq!(
                Verifier::new(password, [0; SALT], MIN_ITERATIONS),
                Err(VerifierError::Password)
            );
        }
    }
}
