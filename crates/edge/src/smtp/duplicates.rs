//! Recognising a message that came before: a client that lost our 250 sends it again.

use std::collections::{HashMap, VecDeque};
use wire::Digest;

/// What makes two deliveries the same message: Message-ID (RFC 5322 §3.6.4) and body. `None` for
/// a message without an id: two identical alarms of a simple device are two alarms.
pub(super) fn identity(message: &[u8]) -> Option<Digest> {
    let (header, body) = split(message);
    let id = message_id(header)?;
    let mut both = Vec::with_capacity(id.len() + 1 + 32);
    both.extend_from_slice(id);
    both.push(0);
    both.extend_from_slice(&Digest::of(body).0);
    Some(Digest::of(&both))
}

/// Header and body, without the empty line between. The session lets only CRLF through.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = message.strip_prefix(b"\r\n") {
        return (&[], body);
    }
    match message.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => (&message[..at + 2], &message[at + 4..]),
        None => (message, &[]),
    }
}

/// The first Message-ID field's value; it may stand on a folded line (RFC 5322 §2.2.3).
fn message_id(header: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"message-id:";
    let mut rest = header;
    while !rest.is_empty() {
        let end = end_of_field(rest);
        let field = &rest[..end];
        if field
            .get(..NAME.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
        {
            let id = field[NAME.len()..].trim_ascii();
            return (!id.is_empty()).then_some(id);
        }
        rest = &rest[end..];
    }
    None
}

/// Index behind the line end that no blank follows.
fn end_of_field(rest: &[u8]) -> usize {
    let mut lines = rest
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == b"\r\n");
    lines
        .find(|(at, _)| !matches!(rest.get(at + 2), Some(b' ' | b'\t')))
        .map_or(rest.len(), |(at, _)| at + 2)
}

/// The newest messages by identity, a bounded number of them.
#[derive(Debug)]
pub(super) struct Remembered {
    limit: usize,
    order: VecDeque<Digest>,
    seqs: HashMap<Digest, u64>,
}

impl Remembered {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            order: VecDeque::new(),
            seqs: HashMap::new(),
        }
    }

    /// Under which sequence number we have it.
    pub(super) fn get(&self, identity: &Digest) -> Option<u64> {
        self.seqs.get(identity).copied()
    }

    /// Remembers it; the oldest is forgotten.
    pub(super) fn insert(&mut self, identity: Digest, seq: u64) {
        if self.limit == 0 || self.seqs.insert(identity, seq).is_some() {
            return;
        }
        self.order.push_back(identity);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.seqs.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_message_id_and_body() {
        let message = |text: &str| identity(text.replace('\n', "\r\n").as_bytes());
        let one = message("From: a@b\nMessage-ID: <1@b>\nSubject: x\n\nbody\n");
        assert!(one.is_some());
        let same = [
            "Message-Id: <1@b>\n\nbody\n",
            "Received: from a by b;\n now\nMESSAGE-ID:\n <1@b>\nSubject: y\n\nbody\n",
        ];
        for text in same {
            assert_eq!(message(text), one, "{text}");
        }
        let other = [
            "Message-ID: <2@b>\n\nbody\n",
            "Message-ID: <1@b>\n\nbody 2\n",
            "Message-ID: <1@b>\n",
        ];
        for text in other {
            assert_ne!(message(text), one, "{text}");
        }
        let none = [
            "",
            "\nMessage-ID: <1@b>\n\nbody\n",
            "Subject: x\n Message-ID: <1@b>\n\nbody\n",
            "Subject: x\n\nMessage-ID: <1@b>\n",
            "Message-ID: \n\nbody\n",
            "X-Message-ID: <1@b>\n\nbody\n",
        ];
        for text in none {
            assert_eq!(message(text), None, "{text}");
        }
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest() {
        let mut remembered = Remembered::new(2);
        let digest = |number: u8| Digest([number; 32]);
        for number in 1..=3 {
            remembered.insert(digest(number), u64::from(number));
            remembered.insert(digest(number), u64::from(number));
        }
        assert_eq!(remembered.get(&digest(1)), None);
        assert_eq!(remembered.get(&digest(2)), Some(2));
        assert_eq!(remembered.get(&digest(3)), Some(3));
        assert_eq!(remembered.order.len(), 2);
    }
}
