//! The dialogues: an opening, which both must take line by line, and the rest, which is sent in one piece;
//! then the client hangs up.

mod commands;
mod messages;
mod recipients;
mod senders;

use super::Outcome;

const NOTHING: &[&str] = &[];
const GREETED: &[&str] = &["EHLO client.example"];
const SENDER: &[&str] = &["EHLO client.example", "MAIL FROM:<ups@hall.example>"];
const RECIPIENT: &[&str] = &[
    "EHLO client.example",
    "MAIL FROM:<ups@hall.example>",
    "RCPT TO:<telemetry@house.example>",
];
const DATA: &[&str] = &[
    "EHLO client.example",
    "MAIL FROM:<ups@hall.example>",
    "RCPT TO:<telemetry@house.example>",
    "DATA",
];

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    let tables = [
        commands::TABLE,
        senders::TABLE,
        recipients::TABLE,
        messages::TABLE,
    ];
    tables.into_iter().flatten()
}

/// What is sent behind the opening.
enum Rest {
    Once(&'static [u8]),
    /// Pieces, and how often each is repeated.
    Pieces(&'static [(&'static [u8], usize)]),
}

/// Classes of the replies to the rest, and messages taken.
type Said = (&'static str, usize);

/// One dialogue.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) opening: &'static [&'static str],
    rest: Rest,
    /// What we say; and Postfix, if it does not differ.
    said: Said,
    pub(super) differs: Option<Differs>,
}

/// What Postfix 3.7 says instead, and why we do not.
pub(super) struct Differs {
    postfix: Said,
    pub(super) why: &'static str,
}

const fn same(
    name: &'static str,
    opening: &'static [&'static str],
    rest: Rest,
    said: Said,
) -> Case {
    Case {
        name,
        opening,
        rest,
        said,
        differs: None,
    }
}

const fn differ(
    name: &'static str,
    opening: &'static [&'static str],
    rest: Rest,
    said: Said,
    postfix: Said,
    why: &'static str,
) -> Case {
    Case {
        differs: Some(Differs { postfix, why }),
        ..same(name, opening, rest, said)
    }
}

impl Case {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self.rest {
            Rest::Once(bytes) => bytes.to_vec(),
            Rest::Pieces(pieces) => pieces
                .iter()
                .flat_map(|(piece, times)| piece.repeat(*times))
                .collect(),
        }
    }

    pub(super) fn ours(&self) -> Outcome {
        outcome(self.said)
    }

    pub(super) fn theirs(&self) -> Outcome {
        let differs = self.differs.as_ref();
        outcome(differs.map_or(self.said, |differs| differs.postfix))
    }
}

fn outcome((classes, messages): Said) -> Outcome {
    Outcome {
        classes: classes.to_owned(),
        messages,
    }
}
