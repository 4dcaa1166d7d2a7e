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
    let timeouts = Timeouts {
        min_rate: 1,
        ..Timeouts::default()
    };
    for opening in ["DATA\r\n", "BDAT 3999\r\n"] {
        let mut shell = Shell::ready(Policy {
            timeouts,
            ..policy()
        });
        shell.say(opening);
        assert!(!wait(&mut shell, 2 * MINUTE));
        shell.say(&"y".repeat(180));
        assert!(!wait(&mut shell, 2 * MINUTE));
        assert!(wait(&mut shell, MINUTE), "{opening}");

        let mut slow = Shell::ready(Policy {
            timeouts,
            ..policy()
        });
        slow.say(opening);
        for _ in 0..14 {
            assert!(!wait(&mut slow, 2 * MINUTE));
            slow.say(&format!("{}\r\n", "y".repeat(178)));
        }
        assert!(wait(&mut slow, 2 * MINUTE), "{opening}");
    }
}

#[test]
fn a_message_that_drips_is_cut_off() {
    for opening in ["DATA\r\n", "BDAT 3999\r\n"] {
        let mut shell = Shell::ready(policy());
        shell.say(opening);
        let begun = shell.now;
        for _ in 0..179 {
            shell.now = shell.now + Duration::from_secs(1);
            shell.say("y");
        }
        // Three minutes for nothing, and two seconds for 179 octets.
        let limit = begun + Duration::from_secs(182);
        assert_eq!(shell.session.deadline(), Some(limit), "{opening}");
        shell.now = limit;
        let mut out = Vec::new();
        shell.session.tick(shell.now, &mut out);
        assert!(out.contains(&Output::Refused(Refusal::TooSlow)));
        assert_eq!(replies(&out), ["421 4.4.2 message too slow"]);
        assert_eq!(out.last(), Some(&Output::Close));
    }
}

#[test]
fn many_small_chunks_have_no_more_time_than_one() {
    let mut shell = Shell::ready(policy());
    for _ in 0..10 {
        assert!(shell.say("BDAT 1\r\ny")[0].starts_with("250"));
        assert!(!wait(&mut shell, 3 * MINUTE - Duration::from_secs(1)));
    }
    assert!(wait(&mut shell, MINUTE));
}

#[test]
fn the_shell_is_not_hurried() {
    let mut out = Vec::new();
    let mut session = Session::new(Arc::new(policy()), arrival(), Instant::ZERO, &mut out);
    session.feed(Instant::ZERO, b"EHLO c\r\nMAIL FROM:<>\r\n", &mut out);
    assert_eq!(session.deadline(), None);
    let later = Instant::ZERO + 60 * MINUTE;
    session.admitted(later, Ok(()), &mut out);
    assert_eq!(session.deadline(), Some(later + 5 * MINUTE));
    session.feed(later, b"STARTTLS\r\n", &mut out);
    assert_eq!(session.deadline(), None);
}
