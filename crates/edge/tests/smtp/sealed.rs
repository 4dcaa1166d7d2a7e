//! Sealed messages through the door and the journal: each counts once, also after restarts.

use crate::house::*;
use edge::smtp::*;
use std::sync::Arc;
use tempfile::TempDir;
use wire::Proof;

const INNER: &[u8] = b"From: ups-1@hall.example\r\nSubject: sealed\r\n\r\n98 %\r\n";

fn house() -> Policy {
    let device = Device {
        id: "ups-1".to_owned(),
        addresses: vec!["ups-1@hall.example".to_owned()],
        key: Some(key().verifying_key().to_bytes()),
        ..Device::default()
    };
    Policy {
        devices: Arc::new(Devices::new([device])),
        house_key: Some(Arc::new(HouseKey::new([1; 32]))),
        ..relaxed()
    }
}

fn key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[3; 32])
}

/// Delivers the sealed message with this counter; the reply.
async fn deliver(house: &House, counter: u64, wrapper: &str) -> String {
    let public = HouseKey::new([1; 32]).public();
    let entropy = [counter as u8; 32];
    let text = seal(&public, "ups-1", &key(), counter, INNER, entropy).expect("sealed");
    let mut client = Client::connect(house.port()).await;
    client.play(OPENING).await;
    client.play(&[("DATA", "354")]).await;
    client.send(format!("{wrapper}\r\n\r\n{text}.\r\n")).await;
    client.reply().await
}

#[tokio::test]
async fn a_sealed_message_counts_once() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, self::house()).await;
    for counter in [7, 9, 8] {
        assert!(
            deliver(&house, counter, "Subject: x")
                .await
                .starts_with("250")
        );
        let stored = house.next().await;
        let device = stored.mail.device.clone().expect("known");
        assert_eq!(
            (device.proof, device.counter),
            (Proof::Sealed, Some(counter))
        );
        assert!(stored.mail.is_trusted() && stored.mail.profile.is_some());
        assert_eq!(stored.mail.data, INNER);
    }
    // Whoever kept it may wrap it as he likes.
    for wrapper in [
        "Subject: x",
        "Subject: y\r\nMessage-ID: <new@relay.example>",
    ] {
        let reply = deliver(&house, 8, wrapper).await;
        assert!(reply.starts_with("554 5.7.1"), "{reply}");
    }
    // The journal forgets what is worked off; the counters do not.
    house.sink.mark_processed(2).await.expect("marked");
    house.close().await;
    let mut house = House::start(&dir, self::house()).await;
    assert_eq!(
        house.next().await.seq,
        3,
        "what was not worked off comes again"
    );
    for counter in [7, 8, 9] {
        let reply = deliver(&house, counter, "Subject: z").await;
        assert!(reply.starts_with("554 5.7.1"), "{counter}: {reply}");
    }
    assert!(deliver(&house, 10, "Subject: x").await.starts_with("250"));
    assert_eq!(house.sink.journal().last(), 4);
}
