//! Sealed messages at the door.

use super::*;
use ed25519_dalek::SigningKey;
use wire::Proof;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

fn house() -> (Policy, HouseKey) {
    let house = HouseKey::new([1; 32]);
    let device = Device {
        id: "ups-1".to_owned(),
        addresses: vec!["ups-1@hall.example".to_owned()],
        key: Some(key().verifying_key().to_bytes()),
        ..Device::default()
    };
    let policy = Policy {
        devices: Arc::new(Devices::new([device])),
        house_key: Some(Arc::new(house.clone())),
        ..policy()
    };
    (policy, house)
}

fn say(sender: &str, body: &str) -> (Shell, String) {
    let mut shell = Shell::new(house().0);
    shell.say(&format!(
        "EHLO c\r\nMAIL FROM:<{sender}>\r\nRCPT TO:<t@house.example>\r\nDATA\r\n"
    ));
    let reply = shell
        .say(&format!("Subject: x\r\n\r\n{body}.\r\n"))
        .remove(0);
    (shell, reply)
}

#[test]
fn a_sealed_message_is_its_devices_whoever_brings_it() {
    let inner = "From: ups-1@hall.example\r\nSubject: inner\r\n\r\n98 %\r\n";
    let (_, house) = house();
    let sealed = |device| {
        seal(
            &house.public(),
            device,
            &key(),
            42,
            inner.as_bytes(),
            [6; 32],
        )
    };
    let text = sealed("ups-1").expect("sealed");
    for sender in ["ups-1@hall.example", "", "relay@untrusted.example"] {
        let (shell, reply) = say(sender, &text);
        assert!(reply.starts_with("250"), "{reply}");
        let mail = shell.mail();
        assert_eq!(mail.data, inner.as_bytes());
        assert_eq!(mail.counter, Some(42));
        let identity = mail.identity.clone().expect("known");
        assert_eq!(
            (identity.device.as_str(), identity.proof),
            ("ups-1", Proof::Sealed)
        );
    }
    let bad = text.replacen("\r\n", "\r\nAAAA", 1);
    let unknown = sealed("ups-2").expect("sealed");
    for (sender, body, expected) in [
        ("ups-1@hall.example", "in clear\r\n", "550 5.7.1"),
        ("ups-1@hall.example", bad.as_str(), "550 5.7.7"),
        ("ups-1@hall.example", unknown.as_str(), "550 5.7.7"),
        ("other@hall.example", bad.as_str(), "550 5.7.7"),
    ] {
        let (shell, reply) = say(sender, body);
        assert!(reply.starts_with(expected), "{reply}");
        assert!(shell.messages().is_empty());
    }
    // Whose address is nobody's may speak in clear, and is nobody.
    assert_eq!(say("other@hall.example", "hi\r\n").0.mail().identity, None);
}
