//! Known answers for every primitive, straight from the RFCs, and the refusals.

use super::*;
use openmls_traits::{
    crypto::OpenMlsCrypto,
    types::{
        AeadType, CryptoError, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType,
        HpkeKemType,
    },
};

const SHA256: HashType = HashType::Sha2_256;
const HPKE: HpkeConfig = HpkeConfig(
    HpkeKemType::DhKem25519,
    HpkeKdfType::HkdfSha256,
    HpkeAeadType::ChaCha20Poly1305,
);

fn crypto() -> Crypto {
    Crypto {
        rng: Drbg::new([7; 32]),
    }
}

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).expect("test vectors are hex")
}

#[test]
fn sha256_fips_180_4() {
    assert_eq!(
        crypto().hash(SHA256, b"abc").unwrap(),
        hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
}

#[test]
fn hmac_rfc_4231_case_2() {
    assert_eq!(
        crypto()
            .hmac(SHA256, b"Jefe", b"what do ya want for nothing?")
            .unwrap()
            .as_slice(),
        hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
}

#[test]
fn hkdf_rfc_5869_case_1() {
    let prk = crypto()
        .hkdf_extract(SHA256, &hex("000102030405060708090a0b0c"), &[0x0b; 22])
        .unwrap();
    assert_eq!(
        prk.as_slice(),
        hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
    );
    let okm = crypto()
        .hkdf_expand(SHA256, prk.as_slice(), &hex("f0f1f2f3f4f5f6f7f8f9"), 42)
        .unwrap();
    assert_eq!(
        okm.as_slice(),
        hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    );
    assert_eq!(
        crypto()
            .hkdf_expand(SHA256, prk.as_slice(), b"", 255 * 32 + 1)
            .unwrap_err(),
        CryptoError::HkdfOutputLengthInvalid
    );
}

#[test]
fn aead_rfc_8439_section_2_8_2() {
    let key: Vec<u8> = (0x80..0xa0).collect();
    let nonce = hex("070000004041424344454647");
    let aad = hex("50515253c0c1c2c3c4c5c6c7");
    let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let sealed = crypto()
        .aead_encrypt(AeadType::ChaCha20Poly1305, &key, text, &nonce, &aad)
        .unwrap();
    assert_eq!(
        sealed,
        hex(concat!(
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da",
            "92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585",
            "808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"
        ))
    );
    let open = |sealed: &[u8]| {
        crypto().aead_decrypt(AeadType::ChaCha20Poly1305, &key, sealed, &nonce, &aad)
    };
    assert_eq!(open(&sealed).unwrap(), text);
    let mut changed = sealed.clone();
    changed[3] ^= 1;
    assert_eq!(
        open(&changed).unwrap_err(),
        CryptoError::AeadDecryptionError
    );
}

#[test]
fn ed25519_rfc_8032_test_1() {
    let secret = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let signature = crypto()
        .sign(SignatureScheme::ED25519, b"", &secret)
        .unwrap();
    assert_eq!(
        signature,
        hex(concat!(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c",
            "f9b46bd25bf5f0595bbe24655141438e7a100b"
        ))
    );
    let verify = |data: &[u8], key: &[u8]| {
        crypto().verify_signature(SignatureScheme::ED25519, data, key, &signature)
    };
    verify(b"", &public).unwrap();
    assert_eq!(
        verify(b"x", &public).unwrap_err(),
        CryptoError::InvalidSignature
    );
}

/// With the all-zero key of small order, R = 0 and s = 0 "sign" every message for a verifier that
/// is not strict.
#[test]
fn a_small_order_key_verifies_nothing() {
    let identity_point = hex("0100000000000000000000000000000000000000000000000000000000000000");
    let mut signature = identity_point.clone();
    signature.extend([0; 32]);
    let verdict = crypto().verify_signature(
        SignatureScheme::ED25519,
        b"any",
        &identity_point,
        &signature,
    );
    assert_eq!(verdict.unwrap_err(), CryptoError::InvalidSignature);
}

/// RFC 9180 appendix A.2.1: the very suite of this house, base mode.
#[test]
fn hpke_rfc_9180_a_2_1() {
    let info = hex("4f6465206f6e2061204772656369616e2055726e");
    let pair = crypto()
        .derive_hpke_keypair(
            HPKE,
            &hex("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df"),
        )
        .unwrap();
    assert_eq!(
        pair.public,
        hex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
    );
    let encapsulated = hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
    let sealed = HpkeCiphertext {
        kem_output: encapsulated.clone().into(),
        ciphertext: hex("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28").into(),
    };
    let private = hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
    for key in [private.as_slice(), &pair.private] {
        let opened = crypto()
            .hpke_open(HPKE, &sealed, key, &info, b"Count-0")
            .unwrap();
        assert_eq!(opened, b"Beauty is truth, truth beauty");
    }
    for (context, expected) in [
        (
            &b""[..],
            "4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e",
        ),
        (
            &[0][..],
            "8c1df14732580e5501b00f82b10a1647b40713191b7c1240ac80e2b68808ba69",
        ),
        (
            b"TestContext",
            "5acb09211139c43b3090489a9da433e8a30ee7188ba8b0a9a1ccf0c229283e53",
        ),
    ] {
        let exported = crypto()
            .hpke_setup_receiver_and_export(HPKE, &encapsulated, &private, &info, context, 32)
            .unwrap();
        assert_eq!(&exported[..], hex(expected));
    }
}

#[test]
fn hpke_sender_and_receiver_agree_and_the_seed_decides() {
    let crypto_a = crypto();
    let pair = crypto_a.derive_hpke_keypair(HPKE, &[1; 32]).unwrap();
    let (sent, secret) = crypto_a
        .hpke_setup_sender_and_export(HPKE, &pair.public, b"i", b"c", 32)
        .unwrap();
    let received = crypto_a
        .hpke_setup_receiver_and_export(HPKE, &sent, &pair.private, b"i", b"c", 32)
        .unwrap();
    assert_eq!(&secret[..], &received[..]);
    let (again, _) = crypto_a
        .hpke_setup_sender_and_export(HPKE, &pair.public, b"i", b"c", 32)
        .unwrap();
    assert_ne!(sent, again, "one generator never repeats itself");
    let (replayed, _) = crypto()
        .hpke_setup_sender_and_export(HPKE, &pair.public, b"i", b"c", 32)
        .unwrap();
    assert_eq!(sent, replayed, "equal seeds give equal runs");
}

/// Whatever the order in which threads ask.
#[test]
fn hpke_seal_depends_on_its_inputs_not_on_the_order_of_calls() {
    let pair = crypto().derive_hpke_keypair(HPKE, &[1; 32]).unwrap();
    let seal = |crypto: &Crypto, text: &[u8]| {
        crypto
            .hpke_seal(HPKE, &pair.public, b"i", b"a", text)
            .unwrap()
    };
    let (forth, back) = (crypto(), crypto());
    let (one, two) = (seal(&forth, b"one"), seal(&forth, b"two"));
    assert_eq!(
        (seal(&back, b"two"), seal(&back, b"one")),
        (two.clone(), one.clone())
    );
    assert_ne!(
        one.kem_output, two.kem_output,
        "no ephemeral key serves two plaintexts"
    );
    forth.rng.bytes::<1>();
    assert_ne!(
        seal(&forth, b"one").kem_output,
        one.kem_output,
        "nor two moments"
    );
    assert_eq!(
        crypto()
            .hpke_open(HPKE, &one, &pair.private, b"i", b"a")
            .unwrap(),
        b"one"
    );
}

/// RFC 7748 §6.1: a public key of small order contributes nothing and must be refused.
#[test]
fn hpke_refuses_a_public_key_that_contributes_nothing() {
    assert!(
        crypto()
            .hpke_seal(HPKE, &[0; 32], b"", b"", b"secret")
            .is_err()
    );
}

#[test]
fn other_algorithms_are_refused() {
    let c = crypto();
    assert_eq!(
        c.hash(HashType::Sha2_512, b"").unwrap_err(),
        CryptoError::UnsupportedHashAlgorithm
    );
    assert_eq!(
        c.aead_encrypt(AeadType::Aes128Gcm, &[0; 16], b"", &[0; 12], b"")
            .unwrap_err(),
        CryptoError::UnsupportedAeadAlgorithm
    );
    assert_eq!(
        c.sign(SignatureScheme::ECDSA_SECP256R1_SHA256, b"", &[1; 32])
            .unwrap_err(),
        CryptoError::UnsupportedSignatureScheme
    );
    let aes = HpkeConfig(
        HpkeKemType::DhKem25519,
        HpkeKdfType::HkdfSha256,
        HpkeAeadType::AesGcm128,
    );
    assert_eq!(
        c.derive_hpke_keypair(aes, &[0; 32]).unwrap_err(),
        CryptoError::UnsupportedCiphersuite
    );
    assert_eq!(c.supported_ciphersuites(), [SUITE]);
}
