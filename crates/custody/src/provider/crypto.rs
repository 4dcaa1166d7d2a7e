//! [`OpenMlsCrypto`] on the dalek crates: checks the algorithm asked for, then calls the library.

use super::{Crypto, SUITE};
use chacha20poly1305::{
    ChaCha20Poly1305,
    aead::{Aead, KeyInit, Payload},
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable,
    aead::ChaCha20Poly1305 as Aead3, kdf::HkdfSha256, kem::X25519HkdfSha256,
};
use openmls_traits::{
    crypto::OpenMlsCrypto,
    types::{
        AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext,
        HpkeConfig, HpkeKdfType, HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
    },
};
use sha2::{Digest, Sha256};
use tls_codec::SecretVLBytes;

type Dhkem = X25519HkdfSha256;
type PublicKey = <Dhkem as Kem>::PublicKey;
type PrivateKey = <Dhkem as Kem>::PrivateKey;
type Encapsulated = <Dhkem as Kem>::EncappedKey;

fn sha256_only(hash: HashType) -> Result<(), CryptoError> {
    if hash == HashType::Sha2_256 {
        Ok(())
    } else {
        Err(CryptoError::UnsupportedHashAlgorithm)
    }
}

fn chacha_only(aead: AeadType) -> Result<(), CryptoError> {
    if aead == AeadType::ChaCha20Poly1305 {
        Ok(())
    } else {
        Err(CryptoError::UnsupportedAeadAlgorithm)
    }
}

fn ed25519_only(scheme: SignatureScheme) -> Result<(), CryptoError> {
    if scheme == SignatureScheme::ED25519 {
        Ok(())
    } else {
        Err(CryptoError::UnsupportedSignatureScheme)
    }
}

fn suite_only(config: &HpkeConfig) -> Result<(), CryptoError> {
    let HpkeConfig(kem, kdf, aead) = config;
    if (*kem, *kdf, *aead)
        == (
            HpkeKemType::DhKem25519,
            HpkeKdfType::HkdfSha256,
            HpkeAeadType::ChaCha20Poly1305,
        )
    {
        Ok(())
    } else {
        Err(CryptoError::UnsupportedCiphersuite)
    }
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        if suite == SUITE {
            Ok(())
        } else {
            Err(CryptoError::UnsupportedCiphersuite)
        }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![SUITE]
    }

    fn hkdf_extract(
        &self,
        hash: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        sha256_only(hash)?;
        Ok(Hkdf::<Sha256>::extract(Some(salt), ikm).0.as_slice().into())
    }

    fn hmac(
        &self,
        hash: HashType,
        key: &[u8],
        message: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        sha256_only(hash)?;
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key)
            .map_err(|_| CryptoError::InvalidLength)?;
        mac.update(message);
        Ok(mac.finalize().into_bytes().as_slice().into())
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        sha256_only(hash)?;
        let kdf =
            Hkdf::<Sha256>::from_prk(prk).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        let mut okm = vec![0; okm_len];
        kdf.expand(info, &mut okm)
            .map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        Ok(okm.into())
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        sha256_only(hash)?;
        Ok(Sha256::digest(data).to_vec())
    }

    fn aead_encrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        msg: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        chacha_only(aead)?;
        let nonce = nonce.try_into().map_err(|_| CryptoError::InvalidLength)?;
        ChaCha20Poly1305::new_from_slice(key)
            .map_err(|_| CryptoError::InvalidLength)?
            .encrypt(nonce, Payload { msg, aad })
            .map_err(|_| CryptoError::CryptoLibraryError)
    }

    fn aead_decrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        msg: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        chacha_only(aead)?;
        let nonce = nonce.try_into().map_err(|_| CryptoError::InvalidLength)?;
        ChaCha20Poly1305::new_from_slice(key)
            .map_err(|_| CryptoError::InvalidLength)?
            .decrypt(nonce, Payload { msg, aad })
            .map_err(|_| CryptoError::AeadDecryptionError)
    }

    fn signature_key_gen(
        &self,
        scheme: SignatureScheme,
    ) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        ed25519_only(scheme)?;
        let key = SigningKey::from_bytes(&self.rng.bytes());
        Ok((
            key.to_bytes().to_vec(),
            key.verifying_key().to_bytes().to_vec(),
        ))
    }

    /// Strict (no small-order keys, one encoding per signature), so that two implementations
    /// never disagree about one commit.
    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        public: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        ed25519_only(scheme)?;
        let signature =
            Signature::from_slice(signature).map_err(|_| CryptoError::InvalidSignature)?;
        VerifyingKey::try_from(public)
            .map_err(|_| CryptoError::InvalidPublicKey)?
            .verify_strict(data, &signature)
            .map_err(|_| CryptoError::InvalidSignature)
    }

    fn sign(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        key: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        ed25519_only(scheme)?;
        let key = SigningKey::try_from(key).map_err(|_| CryptoError::InvalidLength)?;
        Ok(key.sign(data).to_bytes().to_vec())
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        suite_only(&config)?;
        // OpenMLS encrypts a path to its recipients on several threads.
        let mut rng = self.rng.derived(&[public, info, aad, plaintext]);
        let public = PublicKey::from_bytes(public).map_err(|_| CryptoError::InvalidPublicKey)?;
        let (encapsulated, ciphertext) =
            hpke::single_shot_seal_with_rng::<Aead3, HkdfSha256, Dhkem>(
                &OpModeS::Base,
                &public,
                info,
                plaintext,
                aad,
                &mut rng,
            )
            .map_err(|_| CryptoError::HpkeEncryptionError)?;
        Ok(HpkeCiphertext {
            kem_output: encapsulated.to_bytes().to_vec().into(),
            ciphertext: ciphertext.into(),
        })
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        private: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        suite_only(&config)?;
        let failed = |_: HpkeError| CryptoError::HpkeDecryptionError;
        hpke::single_shot_open::<Aead3, HkdfSha256, Dhkem>(
            &OpModeR::Base,
            &PrivateKey::from_bytes(private).map_err(failed)?,
            &Encapsulated::from_bytes(input.kem_output.as_slice()).map_err(failed)?,
            info,
            input.ciphertext.as_slice(),
            aad,
        )
        .map_err(failed)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        len: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        suite_only(&config)?;
        let failed = |_: HpkeError| CryptoError::SenderSetupError;
        let public = PublicKey::from_bytes(public).map_err(failed)?;
        let (encapsulated, context) = self
            .rng
            .with(|rng| {
                hpke::setup_sender_with_rng::<Aead3, HkdfSha256, Dhkem>(
                    &OpModeS::Base,
                    &public,
                    info,
                    rng,
                )
            })
            .map_err(failed)?;
        let mut secret = vec![0; len];
        context
            .export(exporter_context, &mut secret)
            .map_err(|_| CryptoError::ExporterError)?;
        Ok((encapsulated.to_bytes().to_vec(), secret.into()))
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        encapsulated: &[u8],
        private: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        len: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        suite_only(&config)?;
        let failed = |_: HpkeError| CryptoError::ReceiverSetupError;
        let context = hpke::setup_receiver::<Aead3, HkdfSha256, Dhkem>(
            &OpModeR::Base,
            &PrivateKey::from_bytes(private).map_err(failed)?,
            &Encapsulated::from_bytes(encapsulated).map_err(failed)?,
            info,
        )
        .map_err(failed)?;
        let mut secret = vec![0; len];
        context
            .export(exporter_context, &mut secret)
            .map_err(|_| CryptoError::ExporterError)?;
        Ok(secret.into())
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        ikm: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        suite_only(&config)?;
        let (private, public) = Dhkem::derive_keypair(ikm);
        Ok(HpkeKeyPair {
            private: private.to_bytes().to_vec().into(),
            public: public.to_bytes().to_vec(),
        })
    }
}
