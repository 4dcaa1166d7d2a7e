//! LMTP (RFC 2033): the same, with a reply for each recipient.

use super::*;

fn lmtp(policy: Policy) -> Shell {
    let arrival = Arrival {
        protocol: Protocol::Lmtp,
        ..arrival()
    };
    Shell::of(policy, arrival)
}

const TO: &[(&str, &str)] = &[
    ("LHLO c", "250 ENHANCEDSTATUSCODES"),
    ("MAIL FROM:<a@b.example>", "250"),
    ("RCPT TO:<t@house.example>", "250"),
    ("RCPT TO:<t@elsewhere.example>", "550"),
    ("RCPT TO:<u@house.example>", "250"),
    ("RCPT TO:<t@house.example>", "250"),
];

#[test]
fn each_recipient_has_its_reply() {
    let strict = Policy {
        require_tls: true,
        ..policy()
    };
    let mut shell = lmtp(strict);
    assert_eq!(replies(&shell.seen), ["220 house.example LMTP Glasshouse"]);
    shell.play(TO);
    shell.play(&[("DATA", "354")]);
    assert_eq!(shell.say("x\r\n.\r\n"), ["250 2.0.0 stored as 1"; 3]);
    assert_eq!(
        shell.mail().forward_paths.len(),
        2,
        "a repeated one counts once"
    );
    shell.play(TO);
    shell.store = Err(Defer::Full);
    assert_eq!(shell.say("BDAT 1\r\nx").len(), 1);
    let replies = shell.say("BDAT 1 LAST\r\ny");
    assert_eq!(
        replies,
        ["452 4.3.1 insufficient system storage, try again later"; 3]
    );
    assert_eq!(shell.say("NOOP\r\n").len(), 1);
}

#[test]
fn refusals_as_well() {
    for opening in ["DATA\r\n", "BDAT 4510 LAST\r\n"] {
        let mut shell = lmtp(policy());
        shell.play(TO);
        shell.say(opening);
        let message = "x".repeat(900) + "\r\n";
        let end = if opening.starts_with('D') {
            ".\r\n"
        } else {
            ""
        };
        let replies = shell.say(&format!("{}{end}", message.repeat(5)));
        assert_eq!(replies.len(), 3, "{replies:?}");
        assert!(replies.iter().all(|reply| reply.starts_with("552 5.3.4")));
    }
    let mut shell = lmtp(policy());
    shell.play(&[
        ("LHLO c", "250"),
        ("MAIL FROM:<>", "250"),
        ("DATA", "503"),
        ("EHLO c", "500"),
        ("HELO c", "500"),
        ("STARTTLS", "502"),
    ]);
    Shell::new(policy()).play(&[("LHLO c", "500")]);
}
