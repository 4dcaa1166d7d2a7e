//! Where a message ends, and what must not be in it.

use super::*;

/// What became of a message.
#[derive(Debug, PartialEq)]
enum Fate {
    /// Stored with this content, and the command behind it was obeyed.
    Stored(&'static str),
    /// Not ended yet.
    Open,
    /// Refused for this reason and the session closed: no command behind it was obeyed.
    Closed(Refusal),
    /// Refused for this reason; the session goes on.
    Refused(Refusal),
}

/// After DATA: the text, then a command that must or must not be seen as one.
fn check(text: &str, expected: &Fate) {
    for piece in [1, 2, 3, text.len().max(1)] {
        let mut shell = Shell::ready(policy());
        shell.say("DATA\r\n");
        shell.seen.clear();
        for bytes in text.as_bytes().chunks(piece) {
            shell.feed(bytes);
        }
        let ended = !shell.seen.is_empty();
        shell.feed(b"NOOP\r\n");
        let obeyed = shell.seen.last() == Some(&Output::Reply(b"250 2.0.0 ok\r\n".to_vec()));
        let fate = match (&shell.messages()[..], &shell.refusals()[..]) {
            ([data], []) => {
                assert!(obeyed, "{text:?}");
                let Fate::Stored(expected) = expected else {
                    panic!("{text:?} was stored")
                };
                assert_eq!(str::from_utf8(data), Ok(*expected), "{text:?}");
                continue;
            }
            ([], []) if !ended => {
                assert!(!obeyed, "{text:?}");
                Fate::Open
            }
            ([], [refusal]) => {
                let refusal = (*refusal).clone();
                assert_ne!(obeyed, shell.session.is_closed(), "{text:?}");
                if obeyed {
                    Fate::Refused(refusal)
                } else {
                    Fate::Closed(refusal)
                }
            }
            other => panic!("{text:?}: {other:?}"),
        };
        assert_eq!(&fate, expected, "{text:?} in pieces of {piece}");
    }
}

/// CVE-2023-51764 and its kin: each of these is the end of the data for some server.
#[test]
fn the_data_ends_with_crlf_dot_crlf_and_nothing_else() {
    check("x\r\n.\r\n", &Fate::Stored("x\r\n"));
    check(".\r\n", &Fate::Stored(""));
    check("\r\n.\r\n", &Fate::Stored("\r\n"));
    let bare = [
        "x\n.\n",
        "x\n.\r\n",
        "x\r\n.\n",
        "x\r.\r",
        "x\r.\r\n",
        "x\n.\r",
        "x\r.\n",
        "x\r\n\n.\r\n",
        "x\r\n\r.\r\n",
        "x\n\n.\n\n",
        "x\r\r\n.\r\n",
        "x\r\n.\r\r\n",
        "x\n\r.\r\n",
        "x\r\n.\r.\r\n",
        "\n.\n",
        "\r.\r",
        ".\n",
        "x\ny\r\n.\r\n",
        "x\ry\r\n.\r\n",
    ];
    for text in bare {
        check(text, &Fate::Closed(Refusal::BareLineEnd));
    }
    for text in ["x\r\n.\r\0\n", "x\r\n.\0\r\n", "x\0\r\n.\r\n", "\0"] {
        let refusal = if text.contains(".\r\0") {
            Refusal::BareLineEnd
        } else {
            Refusal::Nul
        };
        check(text, &Fate::Closed(refusal));
    }
}

#[test]
fn a_cr_at_the_end_of_a_piece_waits_for_its_lf() {
    let mut shell = Shell::ready(policy());
    shell.say("DATA\r\nx\r\n.\r");
    assert_eq!(shell.messages(), Vec::<&[u8]>::new());
    assert_eq!(shell.say("\n"), ["250 2.0.0 stored as 1"]);
}

#[test]
fn these_do_not_end_the_data() {
    for text in [
        "x\r\n..\r\n",
        "x\r\n. \r\n",
        "x\r\n.x\r\n",
        "x.\r\n",
        "x\r\n..\r\n.",
        "\u{85}.\r\n",
        "x\r\n\u{2028}.\r\n",
    ] {
        check(text, &Fate::Open);
    }
}

/// RFC 5321 §4.5.2
#[test]
fn dots_are_unstuffed() {
    check("..\r\n.\r\n", &Fate::Stored(".\r\n"));
    check("...\r\n.\r\n", &Fate::Stored("..\r\n"));
    check(
        "x\r\n..y\r\n.z\r\na.b\r\n.\r\n",
        &Fate::Stored("x\r\n.y\r\nz\r\na.b\r\n"),
    );
}

#[test]
fn bare_line_ends_in_commands_end_the_session() {
    let table = [
        "NOOP\nNOOP\r\n",
        "NOOP\rNOOP\r\n",
        "NO\0OP\r\n",
        "\nNOOP\r\n",
        "NOOP\r\r\n",
        "\0\r\n",
    ];
    for text in table {
        let mut shell = Shell::new(policy());
        shell.feed(text.as_bytes());
        assert_eq!(shell.refusals(), [&Refusal::CommandControl], "{text:?}");
        assert!(shell.session.is_closed());
    }
}

#[test]
fn command_lines_are_bounded() {
    let line = |len: usize| format!("NOOP {}\r\n", "x".repeat(len - 7));
    let mut shell = Shell::new(policy());
    assert_eq!(shell.say(&line(1_024)), ["250 2.0.0 ok"]);
    assert_eq!(
        shell.say(&line(1_025)),
        ["500 5.5.2 command line over 1024 octets"]
    );
    assert!(shell.session.is_closed());
}

#[test]
fn long_lines_and_large_messages_are_refused_at_their_end() {
    let line = |len: usize| "y".repeat(len);
    let text = format!("{}\r\n.{}\r\n.\r\n", line(998), line(998));
    let mut shell = Shell::ready(policy());
    assert!(
        shell
            .say(&format!("DATA\r\n{text}"))
            .pop()
            .is_some_and(|reply| reply.starts_with("250"))
    );

    check(
        &format!("{}\r\n.\r\n", line(999)),
        &Fate::Refused(Refusal::LongLine(998)),
    );
    let large = format!("{}\r\n", line(98)).repeat(40);
    let mut shell = Shell::ready(policy());
    shell.say(&format!("DATA\r\n{large}.\r\n"));
    assert_eq!(shell.messages(), [large.as_bytes()], "exactly the limit");
    check(
        &format!("{large}z\r\n.\r\n"),
        &Fate::Refused(Refusal::TooBig(4_000)),
    );
}

#[test]
fn a_message_without_end_is_given_up() {
    let mut shell = Shell::ready(policy());
    shell.say("DATA\r\n");
    let line = format!("{}\r\n", "y".repeat(900));
    let mut fed = 0;
    while !shell.session.is_closed() {
        fed += line.len();
        shell.feed(line.as_bytes());
        assert!(fed < 2 << 20, "a limit");
    }
    assert_eq!(shell.refusals(), [&Refusal::TooBig(4_000)]);
}

/// RFC 3030
#[test]
fn chunks() {
    // Each case: what follows MAIL and RCPT, the starts of the replies, the stored message.
    let table: &[(&str, &[&str], Option<&str>)] = &[
        (
            "BDAT 6 LAST\r\nx\r\ny\r\n",
            &["250 2.0.0 stored"],
            Some("x\r\ny\r\n"),
        ),
        (
            "bdat 3\r\nx\r\nBDAT 3 last\r\n.\r\n",
            &["250 2.0.0 3", "250 2.0.0 stored"],
            Some("x\r\n.\r\n"),
        ),
        (
            "BDAT 5\r\nx\r\n.\rBDAT 1\r\n\nBDAT 0 LAST\r\n",
            &["250", "250", "250"],
            Some("x\r\n.\r\n"),
        ),
        ("BDAT 4 LAST\r\n..\r\n", &["250"], Some("..\r\n")),
        ("BDAT 0 LAST\r\n", &["250"], Some("")),
        ("BDAT 1 LAST\r\nx", &["250"], Some("x")),
        ("BDAT 2 LAST\r\nx\rNOOP\r\n", &["554 5.6.0", "250"], None),
        ("BDAT 3\r\nx\r\nDATA\r\n", &["250", "503"], None),
        (
            "BDAT 3\r\nx\r\nRCPT TO:<t@house.example>\r\n",
            &["250", "503"],
            None,
        ),
        (
            "BDAT 3\r\nx\r\nRSET\r\nBDAT 3 LAST\r\nx\r\nNOOP\r\n",
            &["250", "250", "503", "250"],
            None,
        ),
        (
            "RSET\r\nBDAT 12 LAST\r\nMAIL FROM:<>NOOP\r\n",
            &["250", "503", "250"],
            None,
        ),
        (
            "BDAT 4500\r\n{4500}BDAT 2 LAST\r\n\r\nNOOP\r\n",
            &["552", "503", "250"],
            None,
        ),
        (
            "BDAT 1001 LAST\r\n{1001}NOOP\r\n",
            &["554 5.6.0", "250"],
            None,
        ),
        // What cannot be framed closes the session: the rest could be message or command.
        ("BDAT\r\nNOOP\r\n", &["501"], None),
        ("BDAT x\r\nNOOP\r\n", &["501"], None),
        ("BDAT -1\r\nNOOP\r\n", &["501"], None),
        ("BDAT +3\r\nNOOP\r\n", &["501"], None),
        ("BDAT 3 LATEST\r\nNOOP\r\n", &["501"], None),
        ("BDAT 18446744073709551616\r\nNOOP\r\n", &["501"], None),
        ("BDAT 18446744073709551615 LAST\r\nNOOP\r\n", &["552"], None),
        ("BDAT 1073741824 LAST\r\nNOOP\r\n", &["552"], None),
        ("BDAT 3 LAST\r\nx\nyNOOP\r\n", &["554"], None),
        ("BDAT 3 LAST\r\nx\0yNOOP\r\n", &["554"], None),
    ];
    for (text, expected, stored) in table {
        let filler = |count: usize| ("z".repeat(498) + "\r\n").repeat(count / 500);
        let text = text
            .replace("{4500}", &filler(4_500))
            .replace("{1001}", &"z".repeat(1_001));
        let mut shell = Shell::ready(policy());
        let replies = shell.say(&text);
        assert_eq!(replies.len(), expected.len(), "{text:?}: {replies:?}");
        for (reply, start) in replies.iter().zip(*expected) {
            assert!(reply.starts_with(start), "{text:?}: {replies:?}");
        }
        let messages: Vec<_> = shell.messages().into_iter().map(str::from_utf8).collect();
        assert_eq!(
            messages,
            stored.iter().map(|text| Ok(*text)).collect::<Vec<_>>(),
            "{text:?}"
        );
    }
}
