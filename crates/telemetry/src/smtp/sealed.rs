//! Signed and sealed messages, for gear whose mail passes relays that nobody trusts.
//!
//! The device seals a whole message for the house with HPKE (RFC 9180, base mode: X25519,
//! HKDF-SHA256, ChaCha20Poly1305) and signs what it sealed with its ed25519 key (RFC 8032). The
//! result travels as base64 in the text of an ordinary message, so that a relay may wrap, re-encode
//! and add what it likes; whatever it changes within is noticed. A counter that only grows makes
//! each message count once; the house keeps it with its journal. No clock is asked.
//!
//! Within the armour: version, length and text of the device's id, counter (8 octets, big endian),
//! encapsulated key (32), ciphertext with its tag, signature (64).

use super::device::Devices;
use super::scram::{decode, encode};
use crate::mail::{MAX_MAIL_BYTES, nests_a_message};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use core::fmt;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use mail_parser::{MessageParser, PartType};

const BEGIN: &str = "-----BEGIN GLASSHOUSE SEALED MESSAGE-----";
const END: &str = "-----END GLASSHOUSE SEALED MESSAGE-----";
const VERSION: u8 = 1;
/// Keeps keys and signatures from being good for anything else.
const CONTEXT: &[u8] = b"glasshouse sealed message v1";
const ENCAPSULATED: usize = 32;
const SIGNATURE: usize = 64;
/// Characters of base64 in a line (RFC 2045 §6.8).
const LINE: usize = 76;
/// Text parts that are looked into.
const MAX_PARTS: usize = 8;

type Aead = ChaCha20Poly1305;
type Kdf = HkdfSha256;
type Dhkem = X25519HkdfSha256;

/// The house's own key: opens what is sealed for it.
#[derive(Clone)]
pub struct HouseKey(<Dhkem as Kem>::PrivateKey);

impl fmt::Debug for HouseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HouseKey(..)")
    }
}

impl HouseKey {
    /// From 32 random octets.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Dhkem::derive_keypair(&seed).0)
    }

    /// What devices seal for.
    pub fn public(&self) -> [u8; 32] {
        Dhkem::sk_to_pk(&self.0).to_bytes().into()
    }
}

/// A message that was sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Opened {
    pub(super) device: String,
    pub(super) counter: u64,
    pub(super) message: Vec<u8>,
}

/// Why a sealed message is none. The sentences are for the device's owner; a forger learns nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// Not the form.
    #[error("the sealed message is damaged")]
    Damaged,
    /// No device of this id has a key here.
    #[error("no key is known for this device")]
    UnknownDevice,
    /// Signed by another key, or changed on the way.
    #[error("the signature does not fit")]
    Signature,
    /// Sealed for another house.
    #[error("it is not sealed for this house")]
    NotForUs,
    /// The key to seal for is no key.
    #[error("this is no public key of a house")]
    HouseKey,
}

/// Seals `message` (header and body) from `device` for the house whose public key this is. `counter`
/// must be greater than in any message before; a clock in microseconds will do. `entropy` must be
/// fresh. The result is the text for the body of an ordinary message.
///
/// # Errors
/// The house's key is none, or the id is empty or over 255 octets.
pub fn seal(
    house: &[u8; 32],
    device: &str,
    signing: &SigningKey,
    counter: u64,
    message: &[u8],
    entropy: [u8; 32],
) -> Result<String, SealError> {
    let house = <Dhkem as Kem>::PublicKey::from_bytes(house).map_err(|_| SealError::HouseKey)?;
    let mut sealed = header(device, counter).ok_or(SealError::Damaged)?;
    let (encapsulated, ciphertext) = hpke::single_shot_seal_with_rng::<Aead, Kdf, Dhkem>(
        &OpModeS::Base,
        &house,
        CONTEXT,
        message,
        &sealed,
        &mut ChaCha20Rng::from_seed(entropy),
    )
    .map_err(|_| SealError::HouseKey)?;
    sealed.extend_from_slice(&encapsulated.to_bytes());
    sealed.extend_from_slice(&ciphertext);
    let signature = signing.sign(&[CONTEXT, &sealed].concat());
    sealed.extend_from_slice(&signature.to_bytes());
    let mut text = format!("{BEGIN}\r\n");
    for line in encode(&sealed).as_bytes().chunks(LINE) {
        text.extend(line.iter().map(|&byte| char::from(byte)));
        text.push_str("\r\n");
    }
    text.push_str(END);
    text.push_str("\r\n");
    Ok(text)
}

fn header(device: &str, counter: u64) -> Option<Vec<u8>> {
    let length = u8::try_from(device.len())
        .ok()
        .filter(|&length| length > 0)?;
    let mut bytes = vec![VERSION, length];
    bytes.extend_from_slice(device.as_bytes());
    bytes.extend_from_slice(&counter.to_be_bytes());
    Some(bytes)
}

/// What is sealed in a message; `None`: nothing is.
pub(super) fn open(
    raw: &[u8],
    house: &HouseKey,
    devices: &Devices,
) -> Option<Result<Opened, SealError>> {
    // What the decoder would not read anyway, and what parsing must not be let at.
    if raw.len() > MAX_MAIL_BYTES || nests_a_message(raw) {
        return None;
    }
    // Most mails are not, and are not worth parsing for it. A relay that changed the transfer
    // encoding leaves no trace of the line but the word for it.
    let coded = [
        "base64",
        "BASE64",
        "Base64",
        "quoted-printable",
        "Quoted-Printable",
    ];
    let may_be = memchr::memmem::find(raw, BEGIN.as_bytes()).is_some()
        || coded
            .iter()
            .any(|word| memchr::memmem::find(raw, word.as_bytes()).is_some());
    let armour = if may_be { armour(raw)? } else { return None };
    Some(unseal(&armour, house, devices))
}

/// The base64 between the lines, without its line ends.
fn armour(raw: &[u8]) -> Option<String> {
    let message = MessageParser::default().parse(raw)?;
    let texts = message.parts.iter().filter_map(|part| match &part.body {
        PartType::Text(text) => Some(text),
        _ => None,
    });
    for text in texts.take(MAX_PARTS) {
        if let Some((_, rest)) = text.split_once(BEGIN) {
            let (inside, _) = rest.split_once(END)?;
            return Some(inside.split_ascii_whitespace().collect());
        }
    }
    None
}

fn unseal(armour: &str, house: &HouseKey, devices: &Devices) -> Result<Opened, SealError> {
    const DAMAGED: SealError = SealError::Damaged;
    let bytes = decode(armour).ok_or(DAMAGED)?;
    let (signed, signature) = bytes
        .len()
        .checked_sub(SIGNATURE)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or(DAMAGED)?;
    let [VERSION, length, rest @ ..] = signed else {
        return Err(DAMAGED);
    };
    let (device, rest) = rest.split_at_checked(usize::from(*length)).ok_or(DAMAGED)?;
    let device = str::from_utf8(device).map_err(|_| DAMAGED)?;
    let (counter, rest) = rest.split_first_chunk::<8>().ok_or(DAMAGED)?;
    let (encapsulated, ciphertext) = rest.split_at_checked(ENCAPSULATED).ok_or(DAMAGED)?;
    let counter = u64::from_be_bytes(*counter);

    let key = devices.key(device).ok_or(SealError::UnknownDevice)?;
    let key = VerifyingKey::from_bytes(key).map_err(|_| SealError::UnknownDevice)?;
    let signature = Signature::from_slice(signature).map_err(|_| DAMAGED)?;
    key.verify_strict(&[CONTEXT, signed].concat(), &signature)
        .map_err(|_| SealError::Signature)?;
    let header = header(device, counter).ok_or(DAMAGED)?;
    let encapsulated =
        <Dhkem as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| DAMAGED)?;
    let message = hpke::single_shot_open::<Aead, Kdf, Dhkem>(
        &OpModeR::Base,
        &house.0,
        &encapsulated,
        CONTEXT,
        ciphertext,
        &header,
    )
    .map_err(|_| SealError::NotForUs)?;
    Ok(Opened {
        device: device.to_owned(),
        counter,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::super::device::Device;
    use super::*;

    fn signing() -> SigningKey {
        SigningKey::from_bytes(&[3; 32])
    }

    fn devices() -> Devices {
        Devices::new([Device {
            id: "ups-1".to_owned(),
            key: Some(signing().verifying_key().to_bytes()),
            ..Device::default()
        }])
    }

    fn house() -> HouseKey {
        HouseKey::new([1; 32])
    }

    const INNER: &[u8] = b"From: ups-1@hall.example\r\nSubject: on battery\r\n\r\n\xff 98 %\r\n";

    fn sealed(id: &str, signing: &SigningKey, house: &HouseKey) -> String {
        seal(&house.public(), id, signing, 7, INNER, [9; 32]).expect("sealed")
    }

    fn mail(body: &str) -> Vec<u8> {
        format!("Subject: x\r\n\r\nHello.\r\n{body}-- \r\nA relay's advertisement\r\n").into_bytes()
    }

    #[test]
    fn what_is_sealed_is_opened_whatever_relays_do_around_it() {
        let text = sealed("ups-1", &signing(), &house());
        let opened = Opened {
            device: "ups-1".to_owned(),
            counter: 7,
            message: INNER.to_vec(),
        };
        let rewrapped = text.replace("\r\n", "\r\n  ");
        let in_base64 = format!(
            "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            encode(text.as_bytes())
        );
        let quoted = format!(
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n{}",
            text.replace('=', "=3D")
        );
        let multipart = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n\r\n{text}\r\n--b--\r\n"
        );
        for raw in [
            mail(&text),
            mail(&rewrapped),
            in_base64.into_bytes(),
            quoted.into_bytes(),
            multipart.into_bytes(),
        ] {
            assert_eq!(open(&raw, &house(), &devices()), Some(Ok(opened.clone())));
        }
    }

    #[test]
    fn ordinary_mails_are_not_sealed() {
        for raw in [
            "",
            "Subject: x\r\n\r\nbody\r\n",
            "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n",
        ] {
            assert_eq!(open(raw.as_bytes(), &house(), &devices()), None);
        }
    }

    #[test]
    fn whatever_is_changed_is_noticed() {
        let text = sealed("ups-1", &signing(), &house());
        let bytes = decode(&armour(&mail(&text)).expect("armoured")).expect("base64");
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            unseal(&encode(&bytes), &house(), &devices()).expect_err("changed");
        }
        for cut in 0..bytes.len() {
            unseal(&encode(&bytes[..cut]), &house(), &devices()).expect_err("cut");
        }
    }

    #[test]
    fn only_known_devices_and_only_for_this_house() {
        let other = SigningKey::from_bytes(&[4; 32]);
        let table = [
            (
                sealed("ups-2", &signing(), &house()),
                SealError::UnknownDevice,
            ),
            (sealed("ups-1", &other, &house()), SealError::Signature),
            (
                sealed("ups-1", &signing(), &HouseKey::new([2; 32])),
                SealError::NotForUs,
            ),
            (format!("{BEGIN}\r\n%\r\n{END}\r\n"), SealError::Damaged),
            (format!("{BEGIN}\r\n{END}\r\n"), SealError::Damaged),
        ];
        for (text, error) in table {
            assert_eq!(open(&mail(&text), &house(), &devices()), Some(Err(error)));
        }
        assert_eq!(
            open(&mail(BEGIN), &house(), &devices()),
            None,
            "no end, no message"
        );
        assert_eq!(
            seal(&house().public(), "", &signing(), 1, INNER, [0; 32]),
            Err(SealError::Damaged)
        );
    }
}
