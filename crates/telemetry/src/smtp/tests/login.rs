//! AUTH, and who may send as whom.

use super::super::scram::{decode, encode};
use super::*;
use wire::Proof;

const SALTED: [u8; SALT] = [1; SALT];

fn house() -> Policy {
    let login = |password| Some(Verifier::new(password, SALTED, MIN_ITERATIONS).expect("good"));
    let device = |id: &str| Device {
        id: id.to_owned(),
        addresses: vec![format!("{id}@hall.example")],
        ..Device::default()
    };
    let devices = [
        Device {
            login: login("pencil"),
            ..device("ups-1")
        },
        Device {
            certificate: Some([7; 32]),
            ..device("pdu-1")
        },
        Device {
            networks: vec![Network::parse("192.0.2.0/24").expect("a network")],
            ..device("bmc-1")
        },
        Device {
            networks: vec![Network::parse("198.51.100.0/24").expect("a network")],
            ..device("bmc-2")
        },
        device("plain-1"),
    ];
    Policy {
        require_tls: true,
        devices: Arc::new(Devices::new(devices)),
        ..policy()
    }
}

fn under_tls(tls: Tls) -> Shell {
    let arrival = Arrival {
        tls: Some(tls),
        ..arrival()
    };
    let mut shell = Shell::of(house(), arrival);
    shell.play(&[("EHLO c", "250")]);
    shell
}

const BOUND: Tls = Tls {
    exporter: Some([9; 32]),
    certificate: None,
};

fn plain(text: &str) -> String {
    format!("AUTH PLAIN {}", encode(text.as_bytes()))
}

const NEXT: &[(&str, &str)] = &[
    ("RCPT TO:<t@house.example>", "250"),
    ("DATA", "354"),
    ("x", ""),
    (".", "250 2.0.0"),
];

#[test]
fn mechanisms_are_offered_under_tls_only() {
    let mut clear = Shell::new(house());
    let offered = clear.say("EHLO c\r\n");
    assert!(
        !offered.iter().any(|line| line.contains("AUTH")),
        "{offered:?}"
    );
    clear.play(&[
        (&plain("\0ups-1\0pencil"), "538 5.7.11"),
        ("AUTH LOGIN", "538 5.7.11"),
    ]);
    let offers = |tls| {
        let mut shell = under_tls(tls);
        let offered = shell.say("EHLO c\r\n");
        offered.into_iter().find(|line| line.contains("AUTH"))
    };
    let basic = "250-AUTH PLAIN LOGIN SCRAM-SHA-256";
    assert_eq!(offers(Tls::default()).as_deref(), Some(basic));
    assert_eq!(offers(BOUND), Some(format!("{basic} SCRAM-SHA-256-PLUS")));
    let nobody = Arrival {
        tls: Some(BOUND),
        ..arrival()
    };
    let mut shell = Shell::of(policy(), nobody);
    assert!(
        !shell
            .say("EHLO c\r\n")
            .iter()
            .any(|line| line.contains("AUTH"))
    );
    shell.play(&[("AUTH PLAIN", "500"), ("MAIL FROM:<> AUTH=<>", "555")]);
}

#[test]
fn passwords() {
    let good: &[&[(&str, &str)]] = &[
        &[(&plain("\0ups-1\0pencil"), "235 2.7.0")],
        &[(&plain("ups-1\0ups-1\0pencil"), "235 2.7.0")],
        &[("auth plain", "334 "), (&encode(b"\0ups-1\0pencil"), "235")],
        &[
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            (&encode(b"ups-1"), "334 UGFzc3dvcmQ6"),
            (&encode(b"pencil"), "235"),
        ],
        &[
            (
                &format!("AUTH LOGIN {}", encode(b"ups-1")),
                "334 UGFzc3dvcmQ6",
            ),
            (&encode(b"pencil"), "235"),
            ("AUTH LOGIN", "503"),
        ],
    ];
    for script in good {
        let mut shell = under_tls(Tls::default());
        shell.play(script);
        shell.play(&[("MAIL FROM:<ups-1@hall.example> AUTH=<>", "250")]);
        shell.play(NEXT);
        let identity = shell.mail().identity.clone().expect("known");
        assert_eq!(
            (identity.device.as_str(), identity.proof),
            ("ups-1", Proof::Sasl)
        );
    }
    let bad: &[&[(&str, &str)]] = &[
        &[(&plain("\0ups-1\0Pencil"), "535 5.7.8")],
        &[(&plain("\0ups-1\0"), "535 5.7.8")],
        &[(&plain("\0nobody\0pencil"), "535 5.7.8")],
        &[(&plain("\0pdu-1\0pencil"), "535 5.7.8")],
        &[(&plain("root\0ups-1\0pencil"), "535 5.7.8")],
        &[(&plain("ups-1\0pencil"), "501 5.5.2")],
        &[("AUTH PLAIN =", "501 5.5.2")],
        &[("AUTH PLAIN ????", "501 5.5.2")],
        &[("AUTH PLAIN", "334 "), ("*", "501 5.7.0")],
        &[("AUTH PLAIN", "334 "), ("\u{e4}", "501 5.5.2")],
        &[("AUTH CRAM-MD5", "504 5.5.4")],
        &[("AUTH SCRAM-SHA-256-PLUS", "504 5.5.4")],
        &[("AUTH", "501 5.5.4")],
        &[("AUTH PLAIN  ", "334 ")],
        &[("AUTH PLAIN a b", "501 5.5.4")],
        &[("MAIL FROM:<>", "250"), (&plain("\0ups-1\0pencil"), "503")],
        &[("HELO c", "250"), (&plain("\0ups-1\0pencil"), "503")],
    ];
    for script in bad {
        under_tls(Tls::default()).play(script);
    }
}

#[test]
fn guessing_is_slow_and_short() {
    let mut shell = under_tls(Tls::default());
    let attempt = format!("{}\r\n", plain("\0ups-1\0guess"));
    let replies = shell.say(&attempt.repeat(5));
    assert_eq!(replies.len(), 4, "{replies:?}");
    assert!(replies[..3].iter().all(|reply| reply.starts_with("535")));
    assert!(replies[3].starts_with("421 4.7.0 too many failed logins"));
    let pauses: Vec<_> = shell
        .seen
        .iter()
        .filter_map(|output| match output {
            Output::Pause(delay) => Some(delay.as_millis()),
            _ => None,
        })
        .collect();
    assert_eq!(pauses, [250, 500, 1_000]);
}

#[test]
fn answers_may_be_long_but_not_without_end() {
    let mut shell = under_tls(Tls::default());
    shell.play(&[("AUTH PLAIN", "334 ")]);
    let long = encode(&vec![b'x'; 9_000]);
    shell.play(&[
        (&long, "501 5.5.2"),
        ("NOOP", "250"),
        ("AUTH PLAIN", "334 "),
    ]);
    let replies = shell.say(&"x".repeat(12_288));
    assert_eq!(replies, ["500 5.5.2 command line over 12288 octets"]);
}

/// Our own client's dialogue, up to the server's proof.
fn scram(shell: &mut Shell, binding: Option<[u8; 32]>, password: &str) -> String {
    let client = ScramClient::new("ups-1", [2; 18], binding);
    let first = encode(client.first().as_bytes());
    let reply = shell
        .say(&format!("AUTH {} {first}\r\n", client.mechanism()))
        .remove(0);
    let challenge = decode(reply.strip_prefix("334 ").expect("a challenge")).expect("base64");
    let challenge = String::from_utf8(challenge).expect("text");
    let proof = client.answer(&challenge, password).expect("well-formed");
    let reply = shell
        .say(&format!("{}\r\n", encode(proof.message.as_bytes())))
        .remove(0);
    if let Some(server_final) = reply.strip_prefix("334 ") {
        assert_eq!(server_final, encode(proof.server_final.as_bytes()));
    }
    reply
}

#[test]
fn scram_with_and_without_binding() {
    for (tls, binding) in [
        (Tls::default(), None),
        (BOUND, None),
        (BOUND, Some([9; 32])),
    ] {
        let mut shell = under_tls(tls);
        assert!(scram(&mut shell, binding, "pencil").starts_with("334 "));
        shell.play(&[("", "235 2.7.0"), ("MAIL FROM:<ups-1@hall.example>", "250")]);
    }
    for (binding, password) in [(None, "Pencil"), (Some([8; 32]), "pencil")] {
        let mut shell = under_tls(BOUND);
        let reply = scram(&mut shell, binding, password);
        assert!(reply.starts_with("535 5.7.8"), "{reply}");
    }
    // Nonces differ from attempt to attempt, names that do not exist look like others.
    let mut shell = under_tls(BOUND);
    let first = |name: &str| {
        format!(
            "AUTH SCRAM-SHA-256 {}",
            encode(format!("n,,n={name},r=x").as_bytes())
        )
    };
    let mut challenges = Vec::new();
    for name in ["nobody", "nobody"] {
        let reply = shell.say(&format!("{}\r\n", first(name))).remove(0);
        let text = decode(&reply[4..]).expect("base64");
        challenges.push(String::from_utf8(text).expect("text"));
        shell.play(&[("x", "501 5.5.2")]);
    }
    let tail = |text: &str| text.split_once(',').map(|(_, tail)| tail.to_owned());
    assert_eq!(
        tail(&challenges[0]),
        tail(&challenges[1]),
        "salt and iterations"
    );
    assert_ne!(challenges[0], challenges[1], "nonce");
}

#[test]
fn who_may_send_as_whom() {
    let certified = Tls {
        certificate: Some([7; 32]),
        ..BOUND
    };
    let stranger = Tls {
        certificate: Some([8; 32]),
        ..BOUND
    };
    let table = [
        (BOUND, "ups-1@hall.example", "530 5.7.0"),
        (BOUND, "UPS-1@hall.example", "530 5.7.0"),
        (BOUND, "pdu-1@hall.example", "530 5.7.0"),
        (stranger, "pdu-1@hall.example", "530 5.7.0"),
        (certified, "pdu-1@hall.example", "250 certificate"),
        (certified, "other@hall.example", "250 certificate"),
        (certified, "ups-1@hall.example", "550 5.7.1"),
        (certified, "bmc-1@hall.example", "550 5.7.1"),
        (BOUND, "bmc-1@hall.example", "250 address"),
        (BOUND, "bmc-2@hall.example", "550 5.7.1"),
        (BOUND, "plain-1@hall.example", "250 nobody"),
        (BOUND, "other@hall.example", "250 nobody"),
    ];
    for (tls, sender, expected) in table {
        let mut shell = under_tls(tls);
        let (code, proof) = expected.split_once(' ').expect("two words");
        shell.play(&[(&format!("MAIL FROM:<{sender}>"), code)]);
        if code != "250" {
            assert!(shell.say("RSET\r\n")[0].starts_with("250"));
            continue;
        }
        shell.play(NEXT);
        let mail = shell.mail();
        let found = match mail.identity.as_ref().map(|identity| identity.proof) {
            Some(Proof::Certificate) => "certificate",
            Some(Proof::Address) => "address",
            Some(Proof::Sasl | Proof::Sealed | Proof::Operator) => "something else",
            None => "nobody",
        };
        assert_eq!(found, proof, "{sender}");
    }
    // A certificate of one device and the password of another.
    under_tls(certified).play(&[(&plain("\0ups-1\0pencil"), "535")]);
}

/// RFC 3207 §5: what was dropped marks the session.
#[test]
fn a_session_with_injected_bytes_proves_nothing_by_its_address() {
    for (injected, known) in [("", true), ("NOOP\r\n", false)] {
        let mut shell = Shell::new(house());
        shell.handshakes = false;
        shell.say(&format!("EHLO c\r\nSTARTTLS\r\n{injected}"));
        shell.session.tls_established(shell.now, BOUND);
        shell.play(&[("EHLO c", "250"), ("MAIL FROM:<bmc-1@hall.example>", "250")]);
        shell.play(NEXT);
        assert_eq!(shell.mail().identity.is_some(), known);
        // A password proves the same as ever.
        shell.play(&[(&plain("\0ups-1\0pencil"), "235"), ("MAIL FROM:<>", "250")]);
        shell.play(NEXT);
        assert!(shell.mail().identity.is_some());
    }
}

/// What the fuzzer starts from gets as far as a session can.
#[test]
fn the_stored_logins_open_the_door() {
    const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/smtp_login");
    for (name, succeeds) in [
        ("plain", true),
        ("login", true),
        ("scram", true),
        ("scram_plus", true),
        ("wrong", false),
    ] {
        let input = std::fs::read(format!("{CORPUS}/{name}")).unwrap();
        assert_eq!(harness::logs_in(&input), succeeds, "{name}");
    }
}

/// Guessing is counted over sessions, and a held-back client is told for how long.
#[test]
fn failed_logins_count_over_sessions_and_come_back_with_time() {
    let guesses = Rc::new(RefCell::new(Guesses::new(5)));
    let session = |now: u64| {
        let mut shell = under_tls(BOUND);
        shell.guesses = Rc::clone(&guesses);
        shell.now = Instant::ZERO + Duration::from_secs(now);
        shell
    };
    let wrong = plain("\0ups-1\0pen");
    let mut reasons = Vec::new();
    for _ in 0..4 {
        let mut shell = session(0);
        let replies: Vec<String> = (0..2)
            .flat_map(|_| shell.say(&format!("{wrong}\r\n")))
            .collect();
        reasons.extend(replies.iter().map(|reply| reply[..9].to_owned()));
    }
    assert_eq!(reasons[..5], ["535 5.7.8"; 5]);
    assert_eq!(reasons[5..], ["454 4.7.0"; 3]);

    // The right password has to wait as well, and is told how long. SCRAM is held back at its first step.
    let mut shell = session(10);
    let right = plain("\0ups-1\0pencil");
    let replies = shell.say(&format!("{right}\r\n"));
    assert_eq!(
        replies,
        ["454 4.7.0 too many failed logins from your address; try again in 20 seconds"]
    );
    let first = encode(b"n,,n=ups-1,r=nonce");
    shell.play(&[(&format!("AUTH SCRAM-SHA-256 {first}"), "454 4.7.0")]);
    let refused = shell.refusals();
    assert_eq!(
        refused,
        [&Refusal::LoginsHeldBack(20), &Refusal::LoginsHeldBack(20)]
    );
    session(30).play(&[(&right, "235")]);

    // From now on others' failures from this address are not its own.
    let mut other = session(30);
    let guess = plain("\0pdu-1\0x");
    other.play(&[(&guess, "535 5.7.8"), (&guess, "454 4.7.0")]);
    session(31).play(&[(&right, "235"), ("MAIL FROM:<ups-1@hall.example>", "250")]);
    // What is pipelined behind an attempt waits for it.
    let replies = session(32).say(&format!("{right}\r\nMAIL FROM:<ups-1@hall.example>\r\n"));
    assert!(
        replies[0].starts_with("235") && replies[1].starts_with("250"),
        "{replies:?}"
    );
}
