//! The algorithms that mls-rs asks for, from the crates that ours come from.
//!
//! What is compared here is the protocol. Its own providers would bring a second generation of the
//! dalek crates or an older aws-lc into the house; the algorithms are held against their RFCs and
//! the official vectors elsewhere (`provider::tests`, `vectors`).

use super::peer::SUITE;
use crate::{drbg::Drbg, provider::Provider};
use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxR, AeadCtxS, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use mls_rs::{
    CipherSuite, CipherSuiteProvider, CryptoProvider,
    crypto::{
        HpkeCiphertext, HpkeContextR, HpkeContextS, HpkePsk, HpkePublicKey, HpkeSecretKey,
        SignaturePublicKey, SignatureSecretKey,
    },
    error::IntoAnyError,
};
use openmls_traits::{
    OpenMlsProvider,
    crypto::OpenMlsCrypto,
    types::{
        self, AeadType, CryptoError, HashType, HpkeAeadType, HpkeConfig, HpkeKdfType, HpkeKemType,
        SignatureScheme,
    },
};
use std::sync::Arc;
use zeroize::Zeroizing;

const SHA256: HashType = HashType::Sha2_256;
const CHACHA: AeadType = AeadType::ChaCha20Poly1305;
const ED25519: SignatureScheme = SignatureScheme::ED25519;
const HPKE: HpkeConfig = HpkeConfig(
    HpkeKemType::DhKem25519,
    HpkeKdfType::HkdfSha256,
    HpkeAeadType::ChaCha20Poly1305,
);
type Dhkem = X25519HkdfSha256;
type Secret = Zeroizing<Vec<u8>>;

/// Of one client.
#[derive(Clone)]
pub(super) struct Algorithms {
    provider: Arc<Provider>,
    rng: Drbg,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0:?}")]
    Crypto(CryptoError),
    #[error("{0:?}")]
    Hpke(HpkeError),
    #[error("MLS itself never asks for HPKE with a pre-shared key")]
    NotNeeded,
}

impl IntoAnyError for Refused {}

impl From<CryptoError> for Refused {
    fn from(error: CryptoError) -> Self {
        Self::Crypto(error)
    }
}

impl From<HpkeError> for Refused {
    fn from(error: HpkeError) -> Self {
        Self::Hpke(error)
    }
}

impl Algorithms {
    pub(super) fn new(name: &str) -> Self {
        let mut seed = [0xa5; 32];
        seed[..name.len()].copy_from_slice(name.as_bytes());
        let rng = Drbg::new(seed);
        Self {
            provider: Arc::new(Provider::new(rng.clone())),
            rng,
        }
    }

    fn crypto(&self) -> &impl OpenMlsCrypto {
        self.provider.crypto()
    }
}

impl CryptoProvider for Algorithms {
    type CipherSuiteProvider = Self;

    fn supported_cipher_suites(&self) -> Vec<CipherSuite> {
        vec![SUITE]
    }

    fn cipher_suite_provider(&self, suite: CipherSuite) -> Option<Self> {
        (suite == SUITE).then(|| self.clone())
    }
}

pub(super) struct Sending(AeadCtxS<ChaCha20Poly1305, HkdfSha256, Dhkem>);

impl HpkeContextS for Sending {
    type Error = Refused;

    fn seal(&mut self, aad: Option<&[u8]>, data: &[u8]) -> Result<Vec<u8>, Refused> {
        Ok(self.0.seal(data, aad.unwrap_or_default())?)
    }

    fn export(&self, context: &[u8], len: usize) -> Result<Secret, Refused> {
        let mut out = Zeroizing::new(vec![0; len]);
        self.0.export(context, &mut out)?;
        Ok(out)
    }
}

pub(super) struct Receiving(AeadCtxR<ChaCha20Poly1305, HkdfSha256, Dhkem>);

impl HpkeContextR for Receiving {
    type Error = Refused;

    fn open(&mut self, aad: Option<&[u8]>, ciphertext: &[u8]) -> Result<Secret, Refused> {
        Ok(Zeroizing::new(
            self.0.open(ciphertext, aad.unwrap_or_default())?,
        ))
    }

    fn export(&self, context: &[u8], len: usize) -> Result<Secret, Refused> {
        let mut out = Zeroizing::new(vec![0; len]);
        self.0.export(context, &mut out)?;
        Ok(out)
    }
}

impl CipherSuiteProvider for Algorithms {
    type Error = Refused;
    type HpkeContextS = Sending;
    type HpkeContextR = Receiving;

    fn cipher_suite(&self) -> CipherSuite {
        SUITE
    }

    fn hash(&self, data: &[u8]) -> Result<Vec<u8>, Refused> {
        Ok(self.crypto().hash(SHA256, data)?)
    }

    fn mac(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Refused> {
        let mac = self.crypto().hmac(SHA256, key, data)?;
        Ok(mac.as_slice().to_vec())
    }

    fn aead_seal(
        &self,
        key: &[u8],
        data: &[u8],
        aad: Option<&[u8]>,
        nonce: &[u8],
    ) -> Result<Vec<u8>, Refused> {
        let aad = aad.unwrap_or_default();
        Ok(self.crypto().aead_encrypt(CHACHA, key, data, nonce, aad)?)
    }

    fn aead_open(
        &self,
        key: &[u8],
        ciphertext: &[u8],
        aad: Option<&[u8]>,
        nonce: &[u8],
    ) -> Result<Secret, Refused> {
        let aad = aad.unwrap_or_default();
        let opened = self
            .crypto()
            .aead_decrypt(CHACHA, key, ciphertext, nonce, aad)?;
        Ok(Zeroizing::new(opened))
    }

    fn aead_key_size(&self) -> usize {
        32
    }

    fn aead_nonce_size(&self) -> usize {
        12
    }

    fn kdf_extract(&self, salt: &[u8], ikm: &[u8]) -> Result<Secret, Refused> {
        let prk = self.crypto().hkdf_extract(SHA256, salt, ikm)?;
        Ok(Zeroizing::new(prk.as_slice().to_vec()))
    }

    fn kdf_expand(&self, prk: &[u8], info: &[u8], len: usize) -> Result<Secret, Refused> {
        let okm = self.crypto().hkdf_expand(SHA256, prk, info, len)?;
        Ok(Zeroizing::new(okm.as_slice().to_vec()))
    }

    fn kdf_extract_size(&self) -> usize {
        32
    }

    fn hpke_seal(
        &self,
        to: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
        text: &[u8],
    ) -> Result<HpkeCiphertext, Refused> {
        let aad = aad.unwrap_or_default();
        let sealed = self.crypto().hpke_seal(HPKE, to, info, aad, text)?;
        Ok(HpkeCiphertext {
            kem_output: sealed.kem_output.as_slice().to_vec(),
            ciphertext: sealed.ciphertext.as_slice().to_vec(),
        })
    }

    fn hpke_seal_psk(
        &self,
        _: &HpkePublicKey,
        _: &[u8],
        _: Option<&[u8]>,
        _: &[u8],
        _: HpkePsk<'_>,
    ) -> Result<HpkeCiphertext, Refused> {
        Err(Refused::NotNeeded)
    }

    fn hpke_open(
        &self,
        sealed: &HpkeCiphertext,
        secret: &HpkeSecretKey,
        _: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<Secret, Refused> {
        let sealed = types::HpkeCiphertext {
            kem_output: sealed.kem_output.clone().into(),
            ciphertext: sealed.ciphertext.clone().into(),
        };
        let aad = aad.unwrap_or_default();
        let opened = self.crypto().hpke_open(HPKE, &sealed, secret, info, aad)?;
        Ok(Zeroizing::new(opened))
    }

    fn hpke_open_psk(
        &self,
        _: &HpkeCiphertext,
        _: &HpkeSecretKey,
        _: &HpkePublicKey,
        _: &[u8],
        _: Option<&[u8]>,
        _: HpkePsk<'_>,
    ) -> Result<Secret, Refused> {
        Err(Refused::NotNeeded)
    }

    fn hpke_setup_s(&self, to: &HpkePublicKey, info: &[u8]) -> Result<(Vec<u8>, Sending), Refused> {
        let to = <Dhkem as Kem>::PublicKey::from_bytes(to)?;
        let (encapsulated, context) = self
            .rng
            .with(|rng| hpke::setup_sender_with_rng(&OpModeS::<Dhkem>::Base, &to, info, rng))?;
        Ok((encapsulated.to_bytes().to_vec(), Sending(context)))
    }

    fn hpke_setup_r(
        &self,
        encapsulated: &[u8],
        secret: &HpkeSecretKey,
        _: &HpkePublicKey,
        info: &[u8],
    ) -> Result<Receiving, Refused> {
        let secret = <Dhkem as Kem>::PrivateKey::from_bytes(secret)?;
        let encapsulated = <Dhkem as Kem>::EncappedKey::from_bytes(encapsulated)?;
        let mode = OpModeR::<Dhkem>::Base;
        let context = hpke::setup_receiver(&mode, &secret, &encapsulated, info)?;
        Ok(Receiving(context))
    }

    fn kem_derive(&self, ikm: &[u8]) -> Result<(HpkeSecretKey, HpkePublicKey), Refused> {
        let pair = self.crypto().derive_hpke_keypair(HPKE, ikm)?;
        Ok((pair.private.to_vec().into(), pair.public.into()))
    }

    fn kem_generate(&self) -> Result<(HpkeSecretKey, HpkePublicKey), Refused> {
        self.kem_derive(&self.rng.bytes::<32>())
    }

    fn kem_public_key_validate(&self, key: &HpkePublicKey) -> Result<(), Refused> {
        <Dhkem as Kem>::PublicKey::from_bytes(key)?;
        Ok(())
    }

    fn random_bytes(&self, out: &mut [u8]) -> Result<(), Refused> {
        out.copy_from_slice(&self.rng.vec(out.len()));
        Ok(())
    }

    fn signature_key_generate(&self) -> Result<(SignatureSecretKey, SignaturePublicKey), Refused> {
        let (secret, public) = self.crypto().signature_key_gen(ED25519)?;
        Ok((secret.into(), public.into()))
    }

    fn signature_key_derive_public(
        &self,
        secret: &SignatureSecretKey,
    ) -> Result<SignaturePublicKey, Refused> {
        let secret = ed25519_dalek::SigningKey::try_from(secret.as_bytes())
            .map_err(|_| CryptoError::InvalidLength)?;
        Ok(secret.verifying_key().to_bytes().to_vec().into())
    }

    fn sign(&self, secret: &SignatureSecretKey, data: &[u8]) -> Result<Vec<u8>, Refused> {
        Ok(self.crypto().sign(ED25519, data, secret)?)
    }

    fn verify(
        &self,
        public: &SignaturePublicKey,
        signature: &[u8],
        data: &[u8],
    ) -> Result<(), Refused> {
        Ok(self
            .crypto()
            .verify_signature(ED25519, data, public, signature)?)
    }
}
