//! Deadlines (RFC 5321 §4.5.3.2).

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Lets time pass; whether the session gave up.
fn wait(shell: &mut Shell, span: Duration) -> bool {
    shell.now = shell.now + span;
    let mut out = Vec::new();
    shell.session.tick(shell.now, &mut out);
    let gave_up = out.contains(&Output::Refused(Refusal::Timeout));
    if gave_up {
        assert_eq!(replies(&out), ["421 4.4.2 timeout"]);
        assert_eq!(out.last(), Some(&Output::Close));
        assert_eq!(shell.session.deadline(), None);
    }
    gave_up
}

#[test]
fn a_command_has_five_minutes_however_it_drips() {
    let mut shell = Shell::new(policy());
    assert!(!wait(&mut shell, 4 * MINUTE));
    shell.say("NOOP\r\n");
    assert_eq!(shell.session.deadline(), Some(shell.now + 5 * MINUTE));
    for _ in 0..4 {
        assert!(!wait(&mut shell, MINUTE));
        shell.say("N");
    }
    assert!(wait(&mut shell, MINUTE));
}

#[test]
fn a_block_of_data_has_three_minutes_and_a_message_thirty() {
    for opening in ["DATA\r\n", "BDAT 3999\r\n"] {
        let mut shell = Shell::ready(policy());
        shell.say(opening);
        assert!(!wait(&mut shell, 2 * MINUTE));
        shell.say("y");
        assert!(!wait(&mut shell, 2 * MINUTE));
        assert!(wait(&mut shell, MINUTE), "{opening}");

        let mut dripping = Shell::ready(policy());
        dripping.say(opening);
        for _ in 0..14 {
            assert!(!wait(&mut dripping, 2 * MINUTE));
            dripping.say("y");
        }
        assert!(wait(&mut dripping, 2 * MINUTE), "{opening}");
    }
}

#[test]
fn the_shell_is_not_hurried() {
    let mut out = Vec::new();
    let mut session = Session::new(Arc::new(policy()), PEER, Instant::ZERO, &mut out);
    session.feed(Instant::ZERO, b"EHLO c\r\nMAIL FROM:<>\r\n", &mut out);
    assert_eq!(session.deadline(), None);
    let later = Instant::ZERO + 60 * MINUTE;
    session.admitted(later, Ok(()), &mut out);
    assert_eq!(session.deadline(), Some(later + 5 * MINUTE));
    session.feed(later, b"STARTTLS\r\n", &mut out);
    assert_eq!(session.deadline(), None);
}
