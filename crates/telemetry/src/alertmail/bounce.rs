//! Mail that comes back: delivery status notifications (RFC 3464) about our own alert mails.
//!
//! A notification carries the returned message, and the general decoder does not open messages in
//! messages. Here only headers are read, part by part, so that nothing nests.

use super::id_domain;
use super::text::shortened;
use mail_parser::{HeaderValue, Message, MessageParser, MimeHeaders};

/// Longest notification read; relays return headers, or a short message like ours whole.
pub const MAX_BYTES: usize = 256 << 10;
/// Most recipients told of; more than an operator configures.
pub const MAX_RECIPIENTS: usize = 64;
/// How much of the other side's words is told; a reply line of SMTP has 512 octets.
const MAX_WORDS: usize = 200;
/// Parts of a notification: a text, the status, what is returned, and a footer of some relay.
const MAX_PARTS: usize = 8;

/// What became of the mail for one recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It did not arrive and will not.
    Failed,
    /// Not yet; the relay goes on trying.
    Delayed,
    /// It arrived, or went on to where no notifications are made.
    Passed,
}

/// What a notification says of one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Returned {
    /// Who.
    pub recipient: String,
    /// What became of it.
    pub action: Action,
    /// Enhanced status code (RFC 3463).
    pub status: String,
    /// What the other side said; empty if the relay does not tell.
    pub diagnostic: String,
}

/// A notification about one of our mails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// Message-ID of our mail, without brackets.
    pub id: String,
    /// By recipient.
    pub returned: Vec<Returned>,
}

/// Reads a notification about an alert mail of the cluster; `None` for any other mail.
pub fn read(raw: &[u8], cluster: &str) -> Option<Notification> {
    if raw.len() > MAX_BYTES {
        return None;
    }
    let top = headers(raw)?;
    let kind = top.content_type()?;
    let is_report = kind.ctype().eq_ignore_ascii_case("multipart")
        && kind.subtype()?.eq_ignore_ascii_case("report")
        && kind
            .attribute("report-type")?
            .eq_ignore_ascii_case("delivery-status");
    if !is_report {
        return None;
    }
    let (mut returned, mut id) = (Vec::new(), None);
    for part in parts(raw, kind.attribute("boundary")?) {
        let Some(head) = headers(part) else { continue };
        let Some(kind) = head.content_type() else {
            continue;
        };
        let name = format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default());
        match name.to_ascii_lowercase().as_str() {
            "message/delivery-status" => returned = statuses(body(part)),
            "message/rfc822" | "text/rfc822-headers" => {
                let original = headers(body(part));
                id = original.and_then(|mail| mail.message_id().map(str::to_owned));
            }
            _ => {}
        }
    }
    // Who returns nothing at least answers.
    let id = id.or_else(|| answered(&top))?;
    let ours = id.ends_with(&format!("@{}", id_domain(cluster)));
    (ours && !returned.is_empty()).then_some(Notification { id, returned })
}

fn answered(top: &Message<'_>) -> Option<String> {
    match top.in_reply_to() {
        HeaderValue::Text(id) => Some(id.to_string()),
        HeaderValue::TextList(ids) => ids.first().map(ToString::to_string),
        _ => None,
    }
}

fn headers(raw: &[u8]) -> Option<Message<'_>> {
    MessageParser::default().parse_headers(raw)
}

/// What stands behind the first empty line.
fn body(part: &[u8]) -> &[u8] {
    let mut at = 0;
    for line in part.split_inclusive(|&b| b == b'\n') {
        at += line.len();
        if line.trim_ascii().is_empty() {
            break;
        }
    }
    &part[at..]
}

/// The parts between the lines of `boundary` (RFC 2046 §5.1.1).
fn parts<'a>(raw: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let delimiter = format!("--{boundary}");
    let (mut parts, mut begin, mut at) = (Vec::new(), None, 0);
    for line in raw.split_inclusive(|&b| b == b'\n') {
        let bare = line.trim_ascii_end();
        let is_end = bare.strip_suffix(b"--") == Some(delimiter.as_bytes());
        if is_end || bare == delimiter.as_bytes() {
            if let Some(begin) = begin.filter(|_| parts.len() < MAX_PARTS) {
                parts.push(&raw[begin..at]);
            }
            begin = (!is_end).then_some(at + line.len());
        }
        at += line.len();
    }
    parts
}

/// Fields of the message in the first block, of one recipient in each further one.
fn statuses(text: &[u8]) -> Vec<Returned> {
    let mut returned = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && returned.len() < MAX_RECIPIENTS {
        let next = body(rest);
        let block = &rest[..rest.len() - next.len()];
        if let Some(status) = headers(block).and_then(|fields| status(&fields)) {
            returned.push(status);
        }
        rest = next;
    }
    returned
}

fn status(fields: &Message<'_>) -> Option<Returned> {
    let raw = |name: &str| fields.header_raw(name.to_owned());
    let action = match raw("Action")?.trim().to_ascii_lowercase().as_str() {
        "failed" => Action::Failed,
        "delayed" => Action::Delayed,
        "delivered" | "relayed" | "expanded" => Action::Passed,
        _ => return None,
    };
    // `rfc822; somebody@example`: the type of the address, then the address.
    let typed = |value: &str| {
        let value = value.split_once(';').map_or(value, |(_, value)| value);
        shortened(value, MAX_WORDS)
    };
    Some(Returned {
        recipient: raw("Final-Recipient").map(typed)?,
        action,
        status: shortened(raw("Status").unwrap_or_default(), MAX_WORDS),
        diagnostic: raw("Diagnostic-Code").map(typed).unwrap_or_default(),
    })
}
