//! The message itself, byte by byte: where it ends, what must not be in it, how long it may be.

use super::refusal::Refusal;
use memchr::memchr3;

/// Octets of a text line without its CRLF (RFC 5321 §4.5.3.1.6, RFC 5322 §2.1.1).
pub(super) const MAX_TEXT_LINE: usize = 998;

/// Octets of a refused message that are still read, so that the client hears why, before the
/// connection is given up.
pub(super) const GRACE: u64 = 1 << 20;

/// How the message is framed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// DATA: ends with CRLF.CRLF; a dot that starts a line is doubled (RFC 5321 §4.5.2).
    Dots,
    /// BDAT: the length is announced (RFC 3030).
    Chunks,
}

/// Where in a line the next byte falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    LineStart,
    /// Behind a dot that started a line.
    Dot,
    /// Behind that and a CR.
    DotCr,
    /// Behind a LF that stood alone and was let through.
    LooseStart,
    /// Behind that and a dot.
    LooseDot,
    Text,
    Cr,
}

/// What became of some input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// All taken, more to come.
    More,
    /// The end of the data stood at this index; the rest is not the message's.
    End(usize),
    /// Nothing that follows can be trusted to be a message or a command.
    Broken(Refusal),
}

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Content {
    data: Vec<u8>,
    framing: Framing,
    /// A LF that stands alone becomes CRLF.
    loose: bool,
    /// It did.
    loosened: bool,
    place: Place,
    column: usize,
    max_size: u64,
    taken: u64,
    /// Why the message will be refused at its end. Nothing is kept from then on.
    fault: Option<Refusal>,
}

impl Content {
    pub(super) fn new(framing: Framing, max_size: u64) -> Self {
        Self {
            data: Vec::new(),
            framing,
            loose: false,
            loosened: false,
            place: Place::LineStart,
            column: 0,
            max_size,
            taken: 0,
            fault: None,
        }
    }

    /// Lets a LF stand alone, for gear that cannot do better. It never becomes part of an end of data:
    /// that is CRLF.CRLF for everybody.
    pub(super) fn loose(self, loose: bool) -> Self {
        Self { loose, ..self }
    }

    /// Whether that was needed.
    pub(super) const fn loosened(&self) -> bool {
        self.loosened
    }

    /// The message, or why it is refused.
    pub(super) fn finish(self) -> Result<Vec<u8>, Refusal> {
        match (self.fault, self.place) {
            (Some(fault), _) => Err(fault),
            (None, Place::Cr | Place::DotCr) => Err(Refusal::BareLineEnd),
            (
                None,
                Place::LineStart | Place::Dot | Place::LooseStart | Place::LooseDot | Place::Text,
            ) => Ok(self.data),
        }
    }

    pub(super) fn fault(&self) -> Option<&Refusal> {
        self.fault.as_ref()
    }

    /// Takes bytes up to the end of the data or of `input`.
    pub(super) fn take(&mut self, input: &[u8]) -> Step {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match (self.place, byte) {
                (Place::LineStart, b'.') if self.framing == Framing::Dots => {
                    self.place = Place::Dot;
                    at += 1;
                }
                (Place::Dot, b'\r') => {
                    self.place = Place::DotCr;
                    at += 1;
                }
                (Place::DotCr, b'\n') => {
                    self.place = Place::LineStart;
                    return Step::End(at + 1);
                }
                (Place::Cr, b'\n') => {
                    self.keep(b"\r\n");
                    self.place = Place::LineStart;
                    self.column = 0;
                    at += 1;
                }
                // LF.CRLF, LF.LF and CRLF.LF are what others may take for an end of data.
                (Place::LooseDot, b'\r' | b'\n') | (Place::Dot, b'\n') => {
                    return Step::Broken(Refusal::BareLineEnd);
                }
                (Place::LooseStart, b'.') if self.framing == Framing::Dots => {
                    self.keep(b".");
                    self.place = Place::LooseDot;
                    self.column += 1;
                    at += 1;
                }
                (Place::LineStart | Place::LooseStart | Place::Text, b'\n') if self.loose => {
                    self.loosened = true;
                    self.keep(b"\r\n");
                    self.place = Place::LooseStart;
                    self.column = 0;
                    at += 1;
                    if self.is_hopeless() {
                        return Step::Broken(Refusal::TooBig(self.max_size));
                    }
                }
                (Place::Cr | Place::DotCr, _) => return Step::Broken(Refusal::BareLineEnd),
                // A dot that started the line and is not the end stood there for transparency.
                (
                    Place::LineStart
                    | Place::Dot
                    | Place::LooseStart
                    | Place::LooseDot
                    | Place::Text,
                    _,
                ) => {
                    let rest = &input[at..];
                    let text = memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
                    self.text(&rest[..text]);
                    at += text;
                    if self.is_hopeless() {
                        return Step::Broken(Refusal::TooBig(self.max_size));
                    }
                    match input.get(at) {
                        None => {}
                        Some(b'\r') => {
                            self.place = Place::Cr;
                            at += 1;
                        }
                        // The next turn puts it right.
                        Some(b'\n') if self.loose => {}
                        Some(b'\n') => return Step::Broken(Refusal::BareLineEnd),
                        Some(_) => return Step::Broken(Refusal::Nul),
                    }
                }
            }
        }
        Step::More
    }

    /// Part of a line, without CR, LF and NUL.
    fn text(&mut self, text: &[u8]) {
        // Which limit is crossed first must not depend on how the input was cut into pieces.
        let to_long = MAX_TEXT_LINE.saturating_sub(self.column);
        let to_big = self.max_size.saturating_sub(self.taken);
        if text.len() > to_long && (to_long as u64) < to_big {
            self.refuse(Refusal::LongLine(MAX_TEXT_LINE));
        }
        self.column += text.len();
        self.place = Place::Text;
        self.keep(text);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        if self.taken > self.max_size {
            self.refuse(Refusal::TooBig(self.max_size));
        }
        if self.fault.is_none() {
            self.data.extend_from_slice(bytes);
        }
    }

    /// The first fault stands; what was kept is given back at once.
    fn refuse(&mut self, refusal: Refusal) {
        self.fault.get_or_insert(refusal);
        self.data = Vec::new();
    }

    /// Over even the grace: not worth reading on.
    fn is_hopeless(&self) -> bool {
        self.taken > self.max_size.saturating_add(GRACE)
    }
}
