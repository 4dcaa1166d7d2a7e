//! Device profiles: each relaxes what it names, and nothing else.

use super::*;
use std::collections::BTreeSet;

fn strict() -> Policy {
    Policy {
        require_tls: true,
        require_date: true,
        ..policy()
    }
}

fn with(relaxes: &[Relaxation]) -> Policy {
    let here = Network::parse("192.0.2.0/24").expect("a network");
    Policy {
        profiles: vec![Profile {
            name: "old".to_owned(),
            networks: vec![here],
            relaxes: relaxes.iter().copied().collect::<BTreeSet<_>>(),
        }],
        ..strict()
    }
}

/// One dialogue per rule that only the rule's relaxation lets through.
fn faulty(relaxation: Relaxation) -> (&'static [u8], &'static str) {
    let (greeting, sender, message): (&str, &str, &str) = match relaxation {
        Relaxation::Plaintext | Relaxation::NoDate => ("c", "<a@b.example>", "x\r\n"),
        Relaxation::EmptyHelo => ("", "<a@b.example>", "Date: x\r\n"),
        Relaxation::AddressLiterals => ("c", "<a@10.0.0.1>", "Date: x\r\n"),
        Relaxation::MissingBrackets => ("c", " a@b.example", "Date: x\r\n"),
        Relaxation::BareLf => ("c", "<a@b.example>", "Date: x\nSubject: y\n\nz\r\n"),
    };
    let message = match relaxation {
        Relaxation::Plaintext => "Date: x\r\n",
        _ => message,
    };
    let dialogue = format!(
        "EHLO {greeting}\r\nMAIL FROM:{sender}\r\nRCPT TO:<t@house.example>\r\nDATA\r\n{message}.\r\n"
    );
    let kept = match relaxation {
        Relaxation::BareLf => "Date: x\r\nSubject: y\r\n\r\nz\r\n",
        _ => message,
    };
    (dialogue.into_bytes().leak(), kept)
}

#[test]
fn each_relaxation_lets_through_what_it_names_and_tags_it() {
    for needed in Relaxation::ALL {
        let (dialogue, kept) = faulty(needed);
        for given in Relaxation::ALL {
            // All dialogues but one come through TLS.
            let tls = (needed != Relaxation::Plaintext).then(Tls::default);
            let mut shell = Shell::of(with(&[given]), Arrival { tls, ..arrival() });
            shell.feed(dialogue);
            if given == needed {
                let mail = shell.mail();
                assert_eq!(mail.profile.as_deref(), Some("old"), "{given:?}");
                assert_eq!(mail.data, kept.as_bytes(), "{given:?}");
            } else {
                assert!(shell.messages().is_empty(), "{needed:?} by {given:?}");
                assert!(!shell.refusals().is_empty());
            }
        }
    }
}

#[test]
fn what_needs_no_relaxation_is_not_tagged() {
    let arrival = Arrival {
        tls: Some(Tls::default()),
        ..arrival()
    };
    let mut shell = Shell::of(with(&Relaxation::ALL), arrival);
    let mail = "MAIL FROM:<a@b.example>\r\nRCPT TO:<t@house.example>\r\nDATA\r\nDate: x\r\n.\r\n";
    shell.say("EHLO\r\n");
    shell.say(mail);
    assert_eq!(
        shell.mail().profile.as_deref(),
        Some("old"),
        "an empty greeting"
    );
    shell.say("EHLO c\r\n");
    shell.say(mail);
    assert_eq!(shell.mail().profile, None, "another greeting");
    shell.say(&mail.replace("<t@house.example>", "t@house.example"));
    assert_eq!(
        shell.mail().profile.as_deref(),
        Some("old"),
        "a recipient in bare"
    );
    shell.say(mail);
    assert_eq!(shell.mail().profile, None, "that was the last message");
}

#[test]
fn elsewhere_nothing_is_relaxed() {
    let far = "203.0.113.9".parse().expect("an address");
    for needed in Relaxation::ALL {
        let tls = (needed != Relaxation::Plaintext).then(Tls::default);
        let arrival = Arrival {
            peer: far,
            tls,
            ..arrival()
        };
        let mut shell = Shell::of(with(&Relaxation::ALL), arrival);
        shell.feed(faulty(needed).0);
        assert!(shell.messages().is_empty(), "{needed:?}");
    }
}

/// With bare LF let through, the end of data is CRLF.CRLF as for everybody.
#[test]
fn a_loose_lf_smuggles_nothing() {
    let smuggled =
        "MAIL FROM:<evil@b.example>\r\nRCPT TO:<t@house.example>\r\nDATA\r\nevil\r\n.\r\n";
    let ends = [
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\n",
        "\r\n.\r\r\n",
        "\n\n.\r\n",
        "\r.\n",
    ];
    for end in ends {
        let mut shell = Shell::ready(Policy {
            require_tls: false,
            require_date: false,
            ..with(&[Relaxation::BareLf])
        });
        shell.say("DATA\r\n");
        let replies = shell.say(&format!("honest{end}{smuggled}"));
        assert!(replies[0].starts_with("554 5.6.0"), "{end:?}: {replies:?}");
        assert!(
            shell.session.is_closed() && shell.messages().is_empty(),
            "{end:?}"
        );
    }
    // Dots behind a LF were doubled by nobody we know: they stay.
    for (sent, kept) in [
        ("a\n..b\r\n.\r\n", "a\r\n..b\r\n"),
        ("a\n.b\r\n.\r\n", "a\r\n.b\r\n"),
        ("a\r\n..b\n\r\n.\r\n", "a\r\n.b\r\n\r\n"),
        ("\n\n\r\n.\r\n", "\r\n\r\n\r\n"),
    ] {
        let mut shell = Shell::ready(Policy {
            require_tls: false,
            require_date: false,
            ..with(&[Relaxation::BareLf])
        });
        shell.say("DATA\r\n");
        shell.say(sent);
        assert_eq!(shell.messages(), [kept.as_bytes()], "{sent:?}");
    }
}

#[test]
fn names_are_read_back() {
    for relaxation in Relaxation::ALL {
        assert_eq!(Relaxation::named(relaxation.name()), Some(relaxation));
    }
    assert_eq!(Relaxation::named("everything"), None);
}
