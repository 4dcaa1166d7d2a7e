//! Checkpoints as signed notes: fixed bytes, several signers, and everything that is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use ed25519_dalek::SigningKey;
use tlog::{
    Checkpoint, CheckpointError, Hash, KeyName, NoteError, NoteSigner, NoteVerifier, SignedNote,
    VerifierKeyError,
};

/// Made by the reference code of RFC 8032, appendix A, not by this crate. Ed25519 is
/// deterministic: a difference would be a change of format.
const FIXTURE: &str = include_str!("fixtures/checkpoint");
const FIXTURE_VKEY: &str = include_str!("fixtures/vkey");

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: name("glasshouse/demo"),
        size: 42,
        root: Hash([0xab; 32]),
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

#[test]
fn bytes_are_pinned() {
    let (log, signing) = (name("glasshouse/demo"), key(7));
    let signer = NoteSigner::new(&log, &signing);
    assert_eq!(checkpoint().sign(&[signer]).unwrap().encode(), FIXTURE);
    assert_eq!(signer.verifier().to_string(), FIXTURE_VKEY.trim_end());
}

#[test]
fn opens_with_the_log_key_and_with_a_cosigner() {
    let (log, node, log_key, node_key) = (name("glasshouse/demo"), name("node-b"), key(7), key(8));
    let (log, node) = (
        NoteSigner::new(&log, &log_key),
        NoteSigner::new(&node, &node_key),
    );
    let mut note = checkpoint().sign(&[log]).unwrap();
    note.cosign(node).unwrap();
    assert_eq!(
        note.cosign(node),
        Err(NoteError::SignedTwice {
            name: name("node-b")
        })
    );
    let bytes = note.encode();
    assert_eq!(SignedNote::parse(bytes.as_bytes()).unwrap(), note);

    let both = [node.verifier(), log.verifier()];
    let (opened, signers) = Checkpoint::open(bytes.as_bytes(), &both).unwrap();
    assert_eq!(opened, checkpoint());
    assert_eq!(signers, [&both[1], &both[0]]);
    for one in both {
        let trusted = [one];
        let (_, signers) = Checkpoint::open(bytes.as_bytes(), &trusted).unwrap();
        assert_eq!(signers, [&trusted[0]]);
    }
    let stranger = NoteVerifier::new(name("glasshouse/demo"), key(9).verifying_key());
    let refused = Checkpoint::open(bytes.as_bytes(), &[stranger]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "none of the trusted keys signed the note; it is signed by glasshouse/demo, node-b"
    );
}

#[test]
fn any_flipped_bit_is_noticed() {
    let trusted = [NoteVerifier::parse(FIXTURE_VKEY.trim_end()).unwrap()];
    Checkpoint::open(FIXTURE.as_bytes(), &trusted).unwrap();
    for at in 0..FIXTURE.len() {
        for bit in 0..8 {
            let mut bytes = FIXTURE.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            assert!(
                Checkpoint::open(&bytes, &trusted).is_err(),
                "byte {at} bit {bit}"
            );
        }
    }
    for end in 0..FIXTURE.len() {
        assert!(
            Checkpoint::open(&FIXTURE.as_bytes()[..end], &trusted).is_err(),
            "cut at {end}"
        );
    }
}

#[test]
fn verifier_keys() {
    let vkey = FIXTURE_VKEY.trim_end();
    let verifier = NoteVerifier::parse(vkey).unwrap();
    assert_eq!(
        verifier,
        NoteVerifier::new(name("glasshouse/demo"), key(7).verifying_key())
    );
    let (_, rest) = vkey.split_once('+').unwrap();
    let renamed = format!("other+{rest}");
    assert_eq!(
        NoteVerifier::parse(&renamed),
        Err(VerifierKeyError::WrongId(renamed.clone()))
    );
    for bad in [
        "",
        "a",
        "a+b",
        "a+00000000+AA==",
        "+00000000+AQ==",
        "a b+1+AQ==",
    ] {
        assert_eq!(
            NoteVerifier::parse(bad),
            Err(VerifierKeyError::Malformed(bad.to_owned()))
        );
    }
}

#[test]
fn names_that_cannot_name_a_key() {
    for bad in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
        assert!(KeyName::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn checkpoint_texts() {
    let root = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=";
    let good = format!("glasshouse/demo\n42\n{root}\n");
    assert_eq!(Checkpoint::parse_text(&good).unwrap(), checkpoint());
    let zero = Checkpoint::parse_text(&format!("o\n0\n{root}\n")).unwrap();
    assert_eq!(zero.size, 0);
    let bad = [
        String::new(),
        "glasshouse/demo\n42\n".into(),
        format!("\n42\n{root}\n"),
        format!("a b\n42\n{root}\n"),
        format!("o\n042\n{root}\n"),
        format!("o\n+42\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n42\n{root}"),
        format!("o\n42\n{root}\nextension\n"),
        format!("o\n42\n{}\n", &root[..43]),
        "o\n42\nAAAA\n".into(),
    ];
    for text in bad {
        let refused = Checkpoint::parse_text(&text);
        assert!(
            matches!(refused, Err(CheckpointError::Malformed(_))),
            "{text:?}: {refused:?}"
        );
    }
}

#[test]
fn notes_that_are_none() {
    let parse = |text: &str| SignedNote::parse(text.as_bytes()).unwrap_err();
    assert_eq!(parse(""), NoteError::NotText);
    assert_eq!(parse("a\r\n\n"), NoteError::NotText);
    assert_eq!(parse("a\n"), NoteError::Incomplete("empty line"));
    assert_eq!(parse("a\n\n"), NoteError::Incomplete("signature"));
    assert!(matches!(
        parse("a\n\nb\n"),
        NoteError::SignatureLine { line: 1, .. }
    ));
    assert!(matches!(
        parse("a\n\n\u{2014} n AAAAAA==\n"),
        NoteError::SignatureLine { line: 1, .. }
    ));
    let many = "\u{2014} n AAAAAAE=\n".repeat(101);
    assert_eq!(
        parse(&format!("a\n\n{many}")),
        NoteError::TooManySignatures { found: 101 }
    );
    assert_eq!(
        parse(&"a".repeat(70_000)),
        NoteError::TooLong { found: 70_000 }
    );
    let twice = format!("{FIXTURE}{}\n", FIXTURE.lines().last().unwrap());
    let trusted = [NoteVerifier::parse(FIXTURE_VKEY.trim_end()).unwrap()];
    let refused = SignedNote::parse(twice.as_bytes())
        .unwrap()
        .verify(&trusted)
        .unwrap_err();
    assert_eq!(
        refused,
        NoteError::SignedTwice {
            name: name("glasshouse/demo")
        }
    );
}

#[test]
fn another_logs_checkpoint() {
    checkpoint()
        .expect_origin(&name("glasshouse/demo"))
        .unwrap();
    let refused = checkpoint()
        .expect_origin(&name("glasshouse/prod"))
        .unwrap_err();
    assert!(matches!(refused, CheckpointError::Origin { .. }));
}

/// The message of <https://c2sp.org/tlog-cosignature>, from the specification's own example.
#[test]
fn cosignatures_are_those_of_the_specification() {
    use ed25519_dalek::Signer as _;
    use sha2::Digest as _;
    let text =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let message = format!("cosignature/v1\ntime 1679315147\n{text}");
    let (name, key) = (name("witness.example.com/w1"), key(9));
    let mut id = sha2::Sha256::new();
    id.update(b"witness.example.com/w1\n\x04");
    id.update(key.verifying_key().as_bytes());
    let mut blob = id.finalize()[..4].to_vec();
    blob.extend_from_slice(&1_679_315_147_u64.to_be_bytes());
    blob.extend_from_slice(&key.sign(message.as_bytes()).to_bytes());
    let encoded = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(blob)
    };
    let line = NoteSigner::new(&name, &key)
        .cosignature_line(text, 1_679_315_147)
        .unwrap();
    assert_eq!(line, format!("\u{2014} witness.example.com/w1 {encoded}"));

    // Verified with the cosigner's own vkey and with the key of a log that also cosigns.
    let log = KeyName::new("example.com/behind-the-sofa").unwrap();
    let log_key = SigningKey::from_bytes(&[1; 32]);
    let mut note = SignedNote::sign(text, &[NoteSigner::new(&log, &log_key)]).unwrap();
    note.add_line(&line).unwrap();
    assert!(matches!(
        note.add_line(&line),
        Err(NoteError::SignedTwice { .. })
    ));
    let vkey = NoteVerifier::cosigner(name.clone(), key.verifying_key()).to_string();
    let cosigner = NoteVerifier::parse(&vkey).unwrap();
    assert_eq!(cosigner.to_string(), vkey);
    for trusted in [
        cosigner.clone(),
        NoteVerifier::new(name.clone(), key.verifying_key()),
    ] {
        let trusted = [trusted];
        let (checkpoint, signers) = Checkpoint::open(note.encode().as_bytes(), &trusted).unwrap();
        assert_eq!((checkpoint.size, signers.len()), (20_852_163, 1));
    }
    // A cosigner's plain signature is not a cosignature, and the time is signed, too.
    let plain = SignedNote::sign(text, &[NoteSigner::new(&name, &key)]).unwrap();
    assert!(plain.verify(std::slice::from_ref(&cosigner)).is_err());
    for (flip, line) in [(9, &line), (30, &line)] {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD;
        let mut blob = base64.decode(line.rsplit(' ').next().unwrap()).unwrap();
        blob[flip] ^= 1;
        let mut forged = SignedNote::sign(text, &[NoteSigner::new(&log, &log_key)]).unwrap();
        let line = format!("\u{2014} witness.example.com/w1 {}", base64.encode(blob));
        forged.add_line(&line).unwrap();
        let refused = forged.verify(std::slice::from_ref(&cosigner));
        assert!(
            matches!(refused, Err(NoteError::BadSignature { .. })),
            "{refused:?}"
        );
    }
    assert!(note.add_line("no line").is_err());
}

#[test]
fn a_key_that_signs_and_cosigns_counts_once() {
    let (name, key) = (name("glasshouse/demo"), key(7));
    let signer = NoteSigner::new(&name, &key);
    let mut note = checkpoint().sign(&[signer]).unwrap();
    let line = signer.cosignature_line(note.text(), 1).unwrap();
    note.add_line(&line).unwrap();
    let trusted = [signer.verifier()];
    assert_eq!(note.verify(&trusted).unwrap(), [&trusted[0]]);
}
