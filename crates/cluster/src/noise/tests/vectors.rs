//! Public vectors for the suite: handshake through our resolver, transport through our records'
//! cipher and nonces. Sources: cacophony and snow, as published with snow.

use super::super::cipher::RecordCipher;
use super::super::resolver::Dalek;
use serde_json::Value;
use snow::{Builder, HandshakeState};

fn bytes(vector: &Value, key: &str) -> Vec<u8> {
    hex::decode(vector[key].as_str().unwrap_or_default()).unwrap()
}

fn side(vector: &Value, name: &str) -> HandshakeState {
    let part = |key: &str| bytes(vector, &format!("{name}_{key}"));
    let (static_key, ephemeral, prologue) = (part("static"), part("ephemeral"), part("prologue"));
    let builder = Builder::with_resolver(
        vector["protocol_name"].as_str().unwrap().parse().unwrap(),
        Box::new(Dalek),
    )
    .local_private_key(&static_key)
    .unwrap()
    .fixed_ephemeral_key_for_testing_only(&ephemeral)
    .prologue(&prologue)
    .unwrap();
    if name == "init" {
        builder.build_initiator().unwrap()
    } else {
        builder.build_responder().unwrap()
    }
}

#[test]
fn published_vectors_pass() {
    let file: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 2, "one of cacophony, one of snow");
    for vector in vectors {
        let (mut initiator, mut responder) = (side(vector, "init"), side(vector, "resp"));
        let mut counters = [0_u64; 2];
        let mut keys = None;
        let messages = vector["messages"].as_array().unwrap();
        assert!(messages.len() > 4, "no transport messages in the vector");
        for (turn, message) in messages.iter().enumerate() {
            let (payload, expected) = (bytes(message, "payload"), bytes(message, "ciphertext"));
            if initiator.is_handshake_finished() {
                let (first, second) =
                    *keys.get_or_insert_with(|| initiator.dangerously_get_raw_split());
                assert_eq!((first, second), responder.dangerously_get_raw_split());
                let (key, counter) = if turn % 2 == 0 {
                    (first, &mut counters[0])
                } else {
                    (second, &mut counters[1])
                };
                let mut sealed = payload;
                let tag = RecordCipher::new(&key).seal(*counter, &mut sealed);
                sealed.extend_from_slice(&tag);
                *counter += 1;
                assert_eq!(sealed, expected, "transport message {turn}");
                continue;
            }
            let (writer, reader) = if turn % 2 == 0 {
                (&mut initiator, &mut responder)
            } else {
                (&mut responder, &mut initiator)
            };
            let (mut sealed, mut opened) = (vec![0; 65535], vec![0; 65535]);
            let length = writer.write_message(&payload, &mut sealed).unwrap();
            assert_eq!(sealed[..length], expected, "handshake message {turn}");
            let length = reader.read_message(&expected, &mut opened).unwrap();
            assert_eq!(opened[..length], payload, "handshake payload {turn}");
        }
    }
}
