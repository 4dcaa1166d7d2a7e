//! What is answered to what: scripts of `command → start of the reply`.

use super::*;

/// Plays the script, one command line at a time.
fn play(policy: Policy, script: &[(&str, &str)]) -> Shell {
    let mut shell = Shell::new(policy);
    for (line, expected) in script {
        let replies = shell.say(&format!("{line}\r\n"));
        let reply = replies.last().map_or("", String::as_str);
        assert!(
            reply.starts_with(expected),
            "`{line}`: expected `{expected}`, got {replies:?}"
        );
    }
    shell
}

#[test]
fn a_plain_delivery() {
    let shell = play(
        policy(),
        &[
            ("ehlo ups-1.hall.example", "250 ENHANCEDSTATUSCODES"),
            (
                "mail from:<ups@hall.example> size=100 body=8bitmime",
                "250 2.1.0",
            ),
            ("rcpt to:<Telemetry@House.EXAMPLE>", "250 2.1.5"),
            ("RCPT TO:<Telemetry@house.example>", "250 2.1.5"),
            ("RCPT TO:<OPS@other.example>", "250 2.1.5"),
            ("data", "354 "),
            ("Subject: x", ""),
            ("", ""),
            ("..dot", ""),
            ("b\u{e4}ttery", ""),
            (".", "250 2.0.0 stored as 1"),
            ("quit", "221 2.0.0"),
        ],
    );
    let Some(Output::Message(mail)) = shell.seen.iter().find(|o| matches!(o, Output::Message(_)))
    else {
        panic!("no message");
    };
    assert_eq!(
        mail.reverse_path.as_ref().map(Address::as_str),
        Some("ups@hall.example")
    );
    let paths: Vec<_> = mail.forward_paths.iter().map(Address::as_str).collect();
    assert_eq!(paths, ["Telemetry@house.example", "OPS@other.example"]);
    assert_eq!(
        mail.data,
        "Subject: x\r\n\r\n.dot\r\nb\u{e4}ttery\r\n".as_bytes()
    );
    assert_eq!(
        (mail.helo.as_str(), mail.peer, mail.tls),
        ("ups-1.hall.example", PEER, false)
    );
    assert_eq!(shell.seen.last(), Some(&Output::Close));
    assert!(shell.session.is_closed());
}

#[test]
fn the_extensions_offered() {
    let mut shell = Shell::new(policy());
    assert_eq!(replies(&shell.seen), ["220 house.example ESMTP Glasshouse"]);
    let offered = shell.say("EHLO c\r\n");
    let expected = [
        "250-house.example",
        "250-PIPELINING",
        "250-SIZE 4000",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-CHUNKING",
        "250-STARTTLS",
        "250 ENHANCEDSTATUSCODES",
    ];
    assert_eq!(offered, expected);
    assert_eq!(shell.say("HELO c\r\n"), ["250 house.example"]);
    shell.say("STARTTLS\r\n");
    assert!(!shell.say("EHLO c\r\n").contains(&"250-STARTTLS".to_owned()));
    let mut without = Shell::new(Policy {
        tls_available: false,
        ..policy()
    });
    assert!(
        !without
            .say("EHLO c\r\n")
            .contains(&"250-STARTTLS".to_owned())
    );
    assert_eq!(without.say("STARTTLS\r\n"), ["502 5.5.1 TLS not available"]);
}

#[test]
fn order_is_kept() {
    play(
        policy(),
        &[
            ("MAIL FROM:<a@b.example>", "503 5.5.1"),
            ("EHLO c", "250"),
            ("RCPT TO:<t@house.example>", "503 5.5.1"),
            ("DATA", "503 5.5.1"),
            ("MAIL FROM:<>", "250 2.1.0"),
            ("MAIL FROM:<>", "503 5.5.1"),
            ("DATA", "554 5.5.1"),
            ("RCPT TO:<postmaster>", "250 2.1.5"),
            ("RSET", "250 2.0.0"),
            ("DATA", "503 5.5.1"),
            ("MAIL FROM:<>", "250 2.1.0"),
            ("RCPT TO:<t@house.example>", "250 2.1.5"),
            ("EHLO c", "250"),
            ("RCPT TO:<t@house.example>", "503 5.5.1"),
            ("NOOP whatever", "250 2.0.0"),
            ("VRFY t", "252 2.5.2"),
            ("EXPN t", "502 5.5.1"),
            ("HELP", "214 2.0.0"),
            ("TURN", "500 5.5.1"),
            ("", "500 5.5.1"),
            ("QUIT now", "501 5.5.4"),
            ("RSET  ", "250 2.0.0"),
        ],
    );
}

#[test]
fn arguments_are_checked() {
    let table = [
        ("EHLO", "501 5.5.4"),
        ("HELO  ", "501 5.5.4"),
        ("EHLO two words", "501 5.5.4"),
        ("MAIL", "501 5.5.4"),
        ("MAIL FROM <a@b.example>", "501 5.5.4"),
        ("MAIL FROM: <a@b.example>", "553 5.1.7"),
        ("MAIL FROM:a@b.example", "553 5.1.7"),
        ("MAIL FROM:<a@b.example", "553 5.1.7"),
        ("MAIL FROM:<a>", "553 5.1.7"),
        ("MAIL FROM:<postmaster>", "553 5.1.7"),
        ("MAIL FROM:<a@b.example>SIZE=1", "501 5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE=4001", "552 5.3.4"),
        (
            "MAIL FROM:<a@b.example> SIZE=18446744073709551616",
            "555 5.5.4",
        ),
        ("MAIL FROM:<a@b.example> SIZE=-1", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE=+1", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE=", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE=1 SIZE=1", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> BODY=BINARYMIME", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> AUTH=<>", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> SMTPUTF8=1", "555 5.5.4"),
        ("MAIL FROM:<ä@b.example>", "553 5.6.7"),
        ("MAIL FROM:<a@ä.example>", "553 5.6.7"),
        ("MAIL FROM:<ä@b.example> SMTPUTF8", "250 2.1.0"),
        ("MAIL FROM:<a@[10.0.0.1]>", "250 2.1.0"),
        (
            "MAIL FROM:<@relay.example,@[10.0.0.1]:a@b.example>",
            "553 5.1.7",
        ),
        (
            "MAIL FROM:<@relay.example,@other.example:a@b.example>",
            "250 2.1.0",
        ),
    ];
    for (line, expected) in table {
        play(policy(), &[("EHLO c", "250"), (line, expected)]);
    }
}

#[test]
fn nothing_is_relayed() {
    let table = [
        ("<t@house.example>", "250"),
        ("<ops@other.example>", "250"),
        ("<Postmaster>", "250"),
        ("<@house.example:t@house.example>", "250"),
        ("<\"quoted local\"@house.example>", "250"),
        ("<t@other.example>", "550 5.7.1"),
        ("<t@sub.house.example>", "550 5.7.1"),
        ("<t@house.example.evil.example>", "550 5.7.1"),
        ("<@house.example:t@other.example>", "550 5.7.1"),
        ("<t%other.example@house.example>", "550 5.7.1"),
        ("<other.example!t@house.example>", "550 5.7.1"),
        ("<\"t@other.example\"@house.example>", "550 5.7.1"),
        ("<t@[127.0.0.1]>", "550 5.7.1"),
        ("<t@other.example@house.example>", "553 5.1.3"),
        ("<t@house.example@other.example>", "553 5.1.3"),
        ("<>", "553 5.1.3"),
        ("<t>", "553 5.1.3"),
        ("<tä@house.example>", "553 5.6.7"),
        ("<t@house.example> NOTIFY=NEVER", "250"),
        ("t@house.example", "553 5.1.3"),
    ];
    for (path, expected) in table {
        let rcpt = format!("RCPT TO:{path}");
        let script = [
            ("EHLO c", "250"),
            ("MAIL FROM:<>", "250"),
            (rcpt.as_str(), expected),
        ];
        play(policy(), &script);
    }
    // Without a domain only what is listed is ours.
    let exact = Policy {
        recipients: Recipients::new([], ["t@house.example"]),
        ..policy()
    };
    let script = [
        ("EHLO c", "250"),
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<t@house.example>", "250"),
        ("RCPT TO:<u@house.example>", "550"),
        ("RCPT TO:<postmaster>", "550"),
    ];
    play(exact, &script);
    // The postmaster is there whatever this host is called (§4.5.1).
    let elsewhere = Policy {
        hostname: "mail-7.internal".to_owned(),
        ..policy()
    };
    let script = [
        ("EHLO c", "250"),
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<postmaster>", "250"),
        ("RCPT TO:<postmaster@mail-7.internal>", "550"),
    ];
    play(elsewhere, &script);
}

#[test]
fn recipients_are_counted() {
    let mut shell = play(
        Policy {
            max_recipients: 2,
            ..policy()
        },
        &[("EHLO c", "250"), ("MAIL FROM:<>", "250")],
    );
    for (name, expected) in [
        ("a", "250"),
        ("b", "250"),
        ("c", "452 4.5.3"),
        ("d", "452 4.5.3"),
    ] {
        let replies = shell.say(&format!("RCPT TO:<{name}@house.example>\r\n"));
        assert!(replies[0].starts_with(expected), "{replies:?}");
    }
    assert_eq!(shell.say("DATA\r\n").len(), 1);
}

#[test]
fn errors_have_an_end_and_an_accepted_message_forgives() {
    let mut shell = Shell::new(Policy {
        max_errors: 3,
        ..policy()
    });
    shell.say(
        "EHLO c\r\nX\r\nX\r\nMAIL FROM:<>\r\nRCPT TO:<t@house.example>\r\nDATA\r\n.\r\nX\r\nX\r\n",
    );
    assert!(!shell.session.is_closed());
    let replies = shell.say("X\r\nNOOP\r\n");
    assert_eq!(
        replies,
        [
            "500 5.5.1 command not recognised",
            "421 4.7.0 too many errors"
        ]
    );
    assert_eq!(shell.seen.last(), Some(&Output::Close));
}

#[test]
fn other_protocols_are_shown_the_door() {
    for line in ["GET / HTTP/1.1", "POST / HTTP/1.1", "CONNECT a:25 HTTP/1.1"] {
        let mut shell = Shell::new(policy());
        shell.say(&format!("{line}\r\nEHLO c\r\nMAIL FROM:<>\r\n"));
        assert_eq!(shell.seen.last(), Some(&Output::Close));
        assert_eq!(shell.refusals(), [&Refusal::OtherProtocol]);
    }
}

#[test]
fn tls_can_be_required() {
    let strict = Policy {
        require_tls: true,
        ..policy()
    };
    let mut shell = play(
        strict.clone(),
        &[("EHLO c", "250"), ("MAIL FROM:<>", "530 5.7.0")],
    );
    assert_eq!(shell.say("STARTTLS\r\n"), ["220 2.0.0 ready to start TLS"]);
    // All that was said before is forgotten.
    assert!(shell.say("MAIL FROM:<>\r\n")[0].starts_with("503"));
    shell.say("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<t@house.example>\r\nDATA\r\nx\r\n.\r\n");
    let Some(Output::Message(mail)) = shell.seen.iter().find(|o| matches!(o, Output::Message(_)))
    else {
        panic!("no message");
    };
    assert!(mail.tls && mail.profile.is_none());
    assert!(shell.say("STARTTLS\r\n")[0].starts_with("503"));

    for (network, expected) in [
        ("192.0.2.0/24", "250"),
        ("192.0.2.8/29", "530"),
        ("::/0", "530"),
    ] {
        let network = Network::parse(network).expect("a network");
        let profiles = vec![Profile::allow_plaintext_from(vec![network])];
        let policy = Policy {
            profiles,
            ..strict.clone()
        };
        play(policy, &[("EHLO c", "250"), ("MAIL FROM:<>", expected)]);
    }
}

/// RFC 3207 §5, CVE-2011-0411: what was said in clear must not be taken as said under TLS.
#[test]
fn input_pipelined_behind_starttls_is_dropped() {
    let injected = "MAIL FROM:<evil@b.example>\r\nRCPT TO:<t@house.example>\r\nDATA\r\nx\r\n.\r\n";
    let mut out = Vec::new();
    let mut session = Session::new(Arc::new(policy()), arrival(), Instant::ZERO, &mut out);
    let opening = format!("EHLO c\r\nSTARTTLS\r\nEHLO c\r\n{injected}");
    session.feed(Instant::ZERO, opening.as_bytes(), &mut out);
    session.feed(Instant::ZERO, injected.as_bytes(), &mut out);
    assert_eq!(
        out.pop(),
        Some(Output::Refused(Refusal::PipelinedBeforeTls))
    );
    assert_eq!(out.pop(), Some(Output::StartTls));
    session.tls_established(Instant::ZERO, Tls::default());
    out.clear();
    session.feed(Instant::ZERO, b"MAIL FROM:<>\r\n", &mut out);
    assert!(
        replies(&out)[0].starts_with("503 5.5.1 bad sequence: EHLO first"),
        "{out:?}"
    );
}

#[test]
fn a_message_that_cannot_be_taken_now_is_put_off() {
    let table = [
        (Defer::Full, "452 4.3.1"),
        (Defer::Busy, "451 4.3.2"),
        (Defer::Failed, "451 4.3.0"),
    ];
    for (defer, expected) in table {
        let mut shell = Shell::new(policy());
        shell.room = Err(defer);
        let replies = shell.say("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<t@house.example>\r\n");
        assert!(replies[8].starts_with(expected), "{replies:?}");
        assert!(replies[9].starts_with("503"), "{replies:?}");

        shell.room = Ok(());
        shell.store = Err(defer);
        let mail = "MAIL FROM:<>\r\nRCPT TO:<t@house.example>\r\nDATA\r\nx\r\n.\r\n";
        assert!(shell.say(mail)[3].starts_with(expected));
        shell.store = Ok("7");
        assert_eq!(shell.say(mail)[3], "250 2.0.0 stored as 7");
    }
}

#[test]
fn a_pipelining_client_waits_for_nothing_but_the_verdicts() {
    let mut out = Vec::new();
    let mut session = Session::new(Arc::new(policy()), arrival(), Instant::ZERO, &mut out);
    let two = "MAIL FROM:<>\r\nRCPT TO:<t@house.example>\r\nDATA\r\nx\r\n.\r\n".repeat(2);
    session.feed(
        Instant::ZERO,
        format!("EHLO c\r\n{two}QUIT\r\n").as_bytes(),
        &mut out,
    );
    let mut verdicts = 0;
    while session.awaits_verdict() {
        verdicts += 1;
        let last = out.last().cloned();
        match last {
            Some(Output::Admit) => session.admitted(Instant::ZERO, Ok(()), &mut out),
            Some(Output::Message(_)) => session.stored(Instant::ZERO, Ok("1"), &mut out),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(verdicts, 4);
    let replies = replies(&out);
    assert_eq!(replies.last().map(String::as_str), Some("221 2.0.0 bye"));
    assert_eq!(
        replies
            .iter()
            .filter(|reply| reply.contains("stored as"))
            .count(),
        2
    );
}

#[test]
fn a_shell_that_reads_on_while_a_verdict_is_due_is_bounded() {
    let mut out = Vec::new();
    let mut session = Session::new(Arc::new(policy()), arrival(), Instant::ZERO, &mut out);
    session.feed(Instant::ZERO, b"EHLO c\r\nMAIL FROM:<>\r\n", &mut out);
    for _ in 0..1_000 {
        session.feed(Instant::ZERO, &[b'x'; 1_000], &mut out);
    }
    assert!(session.is_closed());
    assert!(out.contains(&Output::Refused(Refusal::TooMuchInput)));
}

#[test]
fn a_shutdown_lets_a_message_finish_and_nothing_begin() {
    let mut shell = Shell::ready(policy());
    shell.say("DATA\r\nx\r\n");
    let mut out = Vec::new();
    shell.session.shutdown(&mut out);
    assert_eq!(out, []);
    let replies = shell.say(".\r\nMAIL FROM:<>\r\n");
    assert_eq!(
        replies,
        ["250 2.0.0 stored as 1", "421 4.3.2 service shutting down"]
    );

    let mut idle = Shell::new(policy());
    idle.session.shutdown(&mut out);
    assert_eq!(out.pop(), Some(Output::Close));
}
