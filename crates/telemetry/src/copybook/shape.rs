//! What a copybook says of its fields and entries.

use super::Condition;

/// One elementary item; an `OCCURS` item appears once per occurrence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Qualified name below the record, outermost first, with subscripts from 1:
    /// `TERMINAL.REGION`, `STEP(2).ELAPSED`.
    pub path: String,
    /// First byte within the record, from 0, where all tables before it are full.
    pub offset: usize,
    /// Bytes taken.
    pub len: usize,
    /// How the bytes are read.
    pub kind: Kind,
    /// A `FILLER`: takes room, carries no value.
    pub filler: bool,
    /// Index of its entry in [`Copybook::entries`](super::Copybook::entries).
    pub entry: usize,
}

/// One data description entry with its clauses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Level number.
    pub level: u8,
    /// `None`: `FILLER`.
    pub name: Option<String>,
    /// First byte of the first occurrence, from 0, where all tables before it are full.
    pub offset: usize,
    /// Bytes of one occurrence at the greatest length.
    pub len: usize,
    /// The picture, as written.
    pub picture: Option<String>,
    /// How its bytes are read; `None` for groups.
    pub kind: Option<Kind>,
    /// How often it stands in a row.
    pub occurs: Option<Repetition>,
    /// Whose bytes it describes, too.
    pub redefines: Option<String>,
    /// Its condition names (level 88).
    pub conditions: Vec<Condition>,
    /// Text stands at the right end.
    pub justified: bool,
    /// Slack bytes before it.
    pub slack: usize,
    /// Slack bytes behind each occurrence.
    pub tail: usize,
}

/// An `OCCURS` clause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repetition {
    /// Least number.
    pub min: usize,
    /// Greatest number.
    pub max: usize,
    /// The field that holds the number, where it varies.
    pub depending: Option<String>,
}

/// How a field's bytes are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `PIC X(n)` and edited pictures: characters of the code page.
    Text,
    /// An exact number.
    Number(Number),
    /// Hexadecimal floating point (COMP-1, COMP-2).
    Float(FloatSize),
}

/// Length of a floating-point number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FloatSize {
    /// COMP-1: 4 bytes.
    Short,
    /// COMP-2: 8 bytes.
    Long,
}

/// The shape of a numeric field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Number {
    /// Digits that take room, 1 to 31.
    pub digits: u8,
    /// Digits behind the implied decimal point; negative: zeros (`P`) between the digits and the point.
    pub scale: i8,
    /// The picture has an `S`.
    pub signed: bool,
    /// Representation.
    pub usage: Usage,
    /// Where a DISPLAY number has its sign.
    pub sign: SignPlace,
    /// Zero is written as blanks.
    pub blank_when_zero: bool,
}

/// Representation of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// DISPLAY, zoned decimal: a digit per byte.
    Display,
    /// COMP, COMP-4, BINARY: big-endian two's complement of 2, 4 or 8 bytes.
    Binary,
    /// COMP-5: the same in the mainframe's own order, which is big-endian, with all bits used.
    Native,
    /// COMP-3, packed decimal: two digits a byte, the sign in the last half-byte.
    Packed,
    /// COMP-6: packed decimal without a sign.
    UnsignedPacked,
}

/// Where a DISPLAY number has its sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignPlace {
    /// In the zone of the last digit: what there is without a SIGN clause.
    Trailing,
    /// In the zone of the first digit.
    Leading,
    /// A character behind the digits.
    TrailingSeparate,
    /// A character before the digits.
    LeadingSeparate,
}

impl Kind {
    /// The usage as COBOL names it.
    pub const fn usage(self) -> &'static str {
        match self {
            Self::Text => "DISPLAY",
            Self::Float(FloatSize::Short) => "COMP-1",
            Self::Float(FloatSize::Long) => "COMP-2",
            Self::Number(number) => match (number.usage, number.sign) {
                (Usage::Display, SignPlace::Trailing) => "DISPLAY",
                (Usage::Display, SignPlace::Leading) => "DISPLAY, sign leading",
                (Usage::Display, SignPlace::TrailingSeparate) => "DISPLAY, sign trailing separate",
                (Usage::Display, SignPlace::LeadingSeparate) => "DISPLAY, sign leading separate",
                (Usage::Binary, _) => "COMP",
                (Usage::Native, _) => "COMP-5",
                (Usage::Packed, _) => "COMP-3",
                (Usage::UnsignedPacked, _) => "COMP-6",
            },
        }
    }
}
