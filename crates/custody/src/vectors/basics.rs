use super::*;
use openmls_traits::types::{
    HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType, SignatureScheme,
};

const HPKE: HpkeConfig = HpkeConfig(
    HpkeKemType::DhKem25519,
    HpkeKdfType::HkdfSha256,
    HpkeAeadType::ChaCha20Poly1305,
);
const ED25519: SignatureScheme = SignatureScheme::ED25519;

#[test]
fn crypto_basics() {
    let provider = provider();
    let crypto = provider.crypto();
    for scenario in scenarios(include_str!("../../vectors/crypto-basics.json")) {
        let v = &scenario["ref_hash"];
        // RFC 9420 §5.2: the label as it is, without the prefix of the others.
        let input = [
            opaque(text(v, "label").as_bytes()),
            opaque(&hex(v, "value")),
        ]
        .concat();
        assert_eq!(crypto.hash(SHA256, &input).unwrap(), hex(v, "out"));

        let v = &scenario["expand_with_label"];
        let (secret, context) = (hex(v, "secret"), hex(v, "context"));
        let len = number(v, "length") as u16;
        assert_eq!(
            expand_with_label(&provider, &secret, text(v, "label"), &context, len),
            hex(v, "out")
        );

        let v = &scenario["derive_secret"];
        assert_eq!(
            derive_secret(&provider, &hex(v, "secret"), text(v, "label")),
            hex(v, "out")
        );

        let v = &scenario["derive_tree_secret"];
        let (generation, len) = (number(v, "generation") as u32, number(v, "length") as u16);
        let secret = hex(v, "secret");
        assert_eq!(
            derive_tree_secret(&provider, &secret, text(v, "label"), generation, len),
            hex(v, "out")
        );

        let v = &scenario["sign_with_label"];
        let content = [label(text(v, "label")), opaque(&hex(v, "content"))].concat();
        let (private, public) = (hex(v, "priv"), hex(v, "pub"));
        let signature = crypto.sign(ED25519, &content, &private).unwrap();
        assert_eq!(signature, hex(v, "signature"), "Ed25519 has one signature");
        crypto
            .verify_signature(ED25519, &content, &public, &signature)
            .unwrap();

        let v = &scenario["encrypt_with_label"];
        let info = [label(text(v, "label")), opaque(&hex(v, "context"))].concat();
        let (private, public) = (hex(v, "priv"), hex(v, "pub"));
        let given = HpkeCiphertext {
            kem_output: hex(v, "kem_output").into(),
            ciphertext: hex(v, "ciphertext").into(),
        };
        let plaintext = hex(v, "plaintext");
        let own = crypto
            .hpke_seal(HPKE, &public, &info, b"", &plaintext)
            .unwrap();
        for sealed in [given, own] {
            let opened = crypto.hpke_open(HPKE, &sealed, &private, &info, b"");
            assert_eq!(opened.unwrap(), plaintext);
        }
    }
}
