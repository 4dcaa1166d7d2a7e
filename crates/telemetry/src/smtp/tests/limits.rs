//! What a session may cost, and DSN's parameters.

use super::*;

#[test]
fn refusals_come_slower_and_slower() {
    let tarpit = Tarpit::default();
    let millis: Vec<_> = (1..=10)
        .map(|count| tarpit.delay(count).as_millis())
        .collect();
    assert_eq!(
        millis,
        [0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]
    );
    assert_eq!(tarpit.delay(u32::MAX), tarpit.most);

    let mut shell = Shell::new(policy());
    shell.say(&"X\r\n".repeat(5));
    let order: Vec<_> = shell.seen[1..]
        .iter()
        .filter(|output| !matches!(output, Output::Refused(_)))
        .map(|output| match output {
            Output::Pause(delay) => delay.as_millis(),
            _ => 0,
        })
        .collect();
    assert_eq!(
        order,
        [0, 0, 0, 250, 0, 500, 0],
        "each pause stands before its reply"
    );
}

#[test]
fn a_client_that_only_talks_is_sent_away() {
    let mut shell = Shell::new(Policy {
        max_idle_commands: 5,
        ..policy()
    });
    shell.say("EHLO c\r\nNOOP\r\nRSET\r\nVRFY x\r\n");
    shell.say("MAIL FROM:<>\r\nRCPT TO:<t@house.example>\r\nDATA\r\n.\r\n");
    assert_eq!(shell.messages().len(), 1, "a message forgives");
    let replies = shell.say("NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n");
    assert_eq!(replies.len(), 6);
    assert!(replies[5].starts_with("421 4.7.0"), "{replies:?}");
    assert!(shell.session.is_closed());
}

#[test]
fn a_session_brings_only_so_much() {
    let mut shell = Shell::new(Policy {
        max_session_octets: 3_000,
        ..policy()
    });
    let mail = format!(
        "MAIL FROM:<>\r\nRCPT TO:<t@house.example>\r\nDATA\r\n{}\r\n.\r\n",
        "x".repeat(900)
    );
    shell.say("EHLO c\r\n");
    let replies = shell.say(&mail.repeat(6));
    assert_eq!(shell.messages().len(), 4);
    assert_eq!(
        replies.last().map(String::as_str),
        Some("421 4.7.0 over 3000 octets in one session; connect again")
    );
}

#[test]
fn floods_within_a_message_are_refused_and_the_session_goes_on() {
    let mut shell = Shell::new(Policy {
        max_size: 100_000,
        ..policy()
    });
    let mail = |body: &str| {
        format!("MAIL FROM:<>\r\nRCPT TO:<t@house.example>\r\nDATA\r\n{body}\r\n.\r\n")
    };
    shell.say("EHLO c\r\n");
    for flood in [
        "X: y\r\n".repeat(300),
        format!("\r\n{}", "--\r\n".repeat(2_000)),
    ] {
        let replies = shell.say(&mail(&flood));
        assert!(
            replies[3].starts_with("554 5.6.0 message with too much"),
            "{replies:?}"
        );
    }
    assert!(shell.say(&mail("X: y\r\n"))[3].starts_with("250"));
}

#[test]
fn parameters_of_notifications_are_understood() {
    let mail = [
        ("RET=FULL", "250"),
        ("ret=hdrs ENVID=QQ314159", "250"),
        ("ENVID=a+2Bb", "250"),
        ("ENVID=a+2b", "555"),
        ("ENVID=a=b", "555"),
        ("ENVID=", "555"),
        ("RET=ALL", "555"),
        ("RET=FULL RET=FULL", "555"),
    ];
    for (parameters, expected) in mail {
        let line = format!("MAIL FROM:<a@b.example> {parameters}");
        Shell::new(policy()).play(&[("EHLO c", "250"), (&line, expected)]);
    }
    let long = format!("ENVID={}", "x".repeat(101));
    Shell::new(policy()).play(&[("EHLO c", "250"), (&format!("MAIL FROM:<> {long}"), "555")]);
    let rcpt = [
        ("NOTIFY=NEVER", "250"),
        ("NOTIFY=success,FAILURE,delay", "250"),
        ("NOTIFY=NEVER,DELAY", "555"),
        ("NOTIFY=", "555"),
        ("NOTIFY=NEVER NOTIFY=NEVER", "555"),
        ("ORCPT=rfc822;t@house.example NOTIFY=FAILURE", "250"),
        ("ORCPT=rfc822;t+40house.example", "250"),
        ("ORCPT=t@house.example", "555"),
        ("ORCPT=;t", "555"),
        ("RET=FULL", "555"),
        ("SIZE=1", "555"),
    ];
    for (parameters, expected) in rcpt {
        let line = format!("RCPT TO:<t@house.example> {parameters}");
        Shell::new(policy()).play(&[
            ("EHLO c", "250"),
            ("MAIL FROM:<>", "250"),
            (&line, expected),
        ]);
    }
}
