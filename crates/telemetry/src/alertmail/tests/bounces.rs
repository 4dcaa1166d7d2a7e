//! Notifications as mail servers write them.

use super::super::bounce::{Action, Notification, Returned, read};
use proptest::prelude::*;

/// As Postfix writes it.
const POSTFIX: &str = "Return-Path: <>\r
Date: Sat, 28 Nov 2026 22:15:02 +0000 (UTC)\r
From: MAILER-DAEMON@mx.hall.example (Mail Delivery System)\r
Subject: Undelivered Mail Returned to Sender\r
To: glasshouse@hall.example\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status;\r
\tboundary=\"4F2A.1764/mx.hall.example\"\r
Message-Id: <20261128221502.4F2B@mx.hall.example>\r
\r
This is a MIME-encapsulated message.\r
\r
--4F2A.1764/mx.hall.example\r
Content-Description: Notification\r
Content-Type: text/plain; charset=us-ascii\r
\r
I'm sorry to have to inform you that your message could not be delivered.\r
\r
--4F2A.1764/mx.hall.example\r
Content-Description: Delivery report\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.hall.example\r
Arrival-Date: Sat, 28 Nov 2026 22:15:01 +0000 (UTC)\r
\r
Final-Recipient: rfc822; gone@ops.example\r
Original-Recipient: rfc822;gone@ops.example\r
Action: failed\r
Status: 5.1.1\r
Remote-MTA: dns; mx.ops.example\r
Diagnostic-Code: smtp; 550 5.1.1 <gone@ops.example>: Recipient address\r
    rejected: User unknown\r
\r
Final-Recipient: rfc822; slow@ops.example\r
Action: delayed\r
Status: 4.4.1\r
\r
--4F2A.1764/mx.hall.example\r
Content-Description: Undelivered Message Headers\r
Content-Type: text/rfc822-headers\r
\r
From: glasshouse@hall.example\r
Subject: [CRITICAL] hall-a ups-1: on-battery\r
Message-ID: <raised.17@hall.glasshouse>\r
\r
--4F2A.1764/mx.hall.example--\r
";

fn expected() -> Notification {
    Notification {
        id: "raised.17@hall.glasshouse".to_owned(),
        returned: vec![
            Returned {
                recipient: "gone@ops.example".to_owned(),
                action: Action::Failed,
                status: "5.1.1".to_owned(),
                diagnostic:
                    "550 5.1.1 <gone@ops.example>: Recipient address rejected: User unknown"
                        .to_owned(),
            },
            Returned {
                recipient: "slow@ops.example".to_owned(),
                action: Action::Delayed,
                status: "4.4.1".to_owned(),
                diagnostic: String::new(),
            },
        ],
    }
}

#[test]
fn a_notification_with_the_headers_of_our_mail() {
    assert_eq!(read(POSTFIX.as_bytes(), "hall"), Some(expected()));
}

#[test]
fn line_feeds_whole_messages_and_other_spellings() {
    let whole = POSTFIX
        .replace('\r', "")
        .replace("text/rfc822-headers", "Message/RFC822")
        .replace(
            "report-type=delivery-status",
            "Report-Type=\"Delivery-Status\"",
        )
        .replace("Final-Recipient", "final-recipient")
        .replace("Action: failed", "Action: Failed");
    assert_eq!(read(whole.as_bytes(), "hall"), Some(expected()));
}

#[test]
fn a_notification_that_returns_nothing_is_known_by_what_it_answers() {
    let bare = POSTFIX
        .replace("Message-ID: <raised", "X-Was: <raised")
        .replace(
            "Auto-Submitted: auto-replied",
            "In-Reply-To: <raised.17@hall.glasshouse>",
        );
    assert_eq!(read(bare.as_bytes(), "hall"), Some(expected()));
}

#[test]
fn all_other_mail_is_none() {
    let broken = [
        ("raised.17@hall.glasshouse", "raised.17@other.glasshouse"),
        ("multipart/report", "multipart/mixed"),
        ("delivery-status;", "disposition-notification;"),
        ("message/delivery-status", "text/plain"),
        ("Final-Recipient", "Recipient"),
        ("boundary=", "border="),
    ];
    for (from, to) in broken {
        assert_eq!(
            read(POSTFIX.replace(from, to).as_bytes(), "hall"),
            None,
            "{to}"
        );
    }
    let long = format!("{POSTFIX}{}", "x".repeat(super::super::bounce::MAX_BYTES));
    assert_eq!(read(long.as_bytes(), "hall"), None);
}

proptest! {
    #[test]
    fn no_damage_is_too_much(at in 0..POSTFIX.len(), with in any::<[u8; 3]>()) {
        let mut bytes = POSTFIX.as_bytes().to_vec();
        bytes.splice(at..(at + 2).min(POSTFIX.len()), with);
        let _ = read(&bytes, "hall");
        let _ = read(&bytes[..at], "hall");
    }
}
