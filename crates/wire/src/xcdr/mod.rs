//! XCDR2, the encoding that any DDS tool reads from an IDL (DDS-XTypes 1.3 §7.4.3): little endian,
//! delimited. Every appendable type stands behind its length (DHEADER), so an old reader passes over
//! members that are newer than it, and a new reader finds defaults for those that an old writer had not.
//!
//! What is needed of it and no more: booleans, enumerations, 4 and 8 byte numbers, strings, optional
//! members, sequences, appendable structures. No map, no union, no mutable type.

mod read;
mod write;

pub use read::{Reader, XcdrError};
pub use write::Writer;

/// Representation identifier DELIMITED_CDR2_LE (XTypes 1.3 Table 60) and two bytes of options, of which
/// the lowest two bits count the padding at the end.
pub const HEADER: [u8; 4] = [0x00, 0x09, 0x00, 0x00];

/// Largest encoded value, in bytes: what a sample may carry sealed, seal and signature included.
pub const MAX_ENCODED: usize = 1 << 20;

/// Largest alignment: XCDR2 aligns numbers of eight bytes to four.
const ALIGN_MAX: usize = 4;

/// A type that can be a member of an appendable structure, and so be encoded.
pub trait Member: Sized + Default {
    /// Numbers, booleans: a sequence of them needs no length of its own (XTypes 1.3 §7.4.3.5.3).
    const PRIMITIVE: bool = false;
    /// Bytes that it takes at least: bounds what a sequence may claim.
    const LEAST: usize;
    /// Appends it.
    fn put(&self, to: &mut Writer);
    /// Reads it.
    fn get(from: &mut Reader<'_>) -> Result<Self, XcdrError>;
}

/// Header and value.
pub fn encode<T: Member>(value: &T) -> Vec<u8> {
    let mut writer = Writer::new();
    value.put(&mut writer);
    writer.finish()
}

/// The inverse of [`encode`]; bytes behind the value are an error.
pub fn decode<T: Member>(bytes: &[u8]) -> Result<T, XcdrError> {
    let mut reader = Reader::new(bytes)?;
    let value = T::get(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

macro_rules! number {
    ($type:ty) => {
        impl Member for $type {
            const PRIMITIVE: bool = true;
            const LEAST: usize = size_of::<$type>();
            fn put(&self, to: &mut Writer) {
                to.number(&self.to_le_bytes());
            }
            fn get(from: &mut Reader<'_>) -> Result<Self, XcdrError> {
                from.number().map(Self::from_le_bytes)
            }
        }
    };
}
number!(u32);
number!(i32);
number!(u64);
number!(i64);
number!(f64);

impl Member for bool {
    const PRIMITIVE: bool = true;
    const LEAST: usize = 1;
    fn put(&self, to: &mut Writer) {
        to.number(&[u8::from(*self)]);
    }
    fn get(from: &mut Reader<'_>) -> Result<Self, XcdrError> {
        match from.number()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(XcdrError::Boolean { found }),
        }
    }
}

impl Member for String {
    /// Length and NUL.
    const LEAST: usize = 5;
    fn put(&self, to: &mut Writer) {
        to.string(self);
    }
    fn get(from: &mut Reader<'_>) -> Result<Self, XcdrError> {
        from.string().map(str::to_owned)
    }
}

impl<T: Member> Member for Option<T> {
    const LEAST: usize = 1;
    fn put(&self, to: &mut Writer) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }
    fn get(from: &mut Reader<'_>) -> Result<Self, XcdrError> {
        if bool::get(from)? {
            T::get(from).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<T: Member> Member for Vec<T> {
    const LEAST: usize = 4;
    fn put(&self, to: &mut Writer) {
        if T::PRIMITIVE {
            to.sequence(self);
        } else {
            to.delimited(|to| to.sequence(self));
        }
    }
    fn get(from: &mut Reader<'_>) -> Result<Self, XcdrError> {
        if T::PRIMITIVE {
            from.sequence()
        } else {
            from.delimited_exactly(Reader::sequence)
        }
    }
}

/// A structure of the IDL with `@appendable`, its members in the IDL's order.
macro_rules! appendable {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $member:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Debug, Default)]
        pub struct $name {
            $($(#[$what])* pub $member: $type,)*
        }
        impl $crate::xcdr::Member for $name {
            const LEAST: usize = 4;
            fn put(&self, to: &mut $crate::xcdr::Writer) {
                to.delimited(|to| {
                    $(self.$member.put(to);)*
                });
            }
            fn get(
                from: &mut $crate::xcdr::Reader<'_>,
            ) -> Result<Self, $crate::xcdr::XcdrError> {
                from.delimited(|from| Ok(Self { $($member: from.member()?,)* }))
            }
        }
    };
}

/// An enumeration of the IDL: four bytes on the wire. Its first enumerator is marked `#[default]`.
macro_rules! enumeration {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $item:ident = $number:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub enum $name {
            $($(#[$what])* $item = $number,)*
        }
        impl $crate::xcdr::Member for $name {
            const LEAST: usize = 4;
            fn put(&self, to: &mut $crate::xcdr::Writer) {
                (*self as i32).put(to);
            }
            fn get(
                from: &mut $crate::xcdr::Reader<'_>,
            ) -> Result<Self, $crate::xcdr::XcdrError> {
                match i32::get(from)? {
                    $($number => Ok(Self::$item),)*
                    found => Err($crate::xcdr::XcdrError::Enumerator {
                        of: stringify!($name),
                        found,
                    }),
                }
            }
        }
    };
}

pub(crate) use {appendable, enumeration};

#[cfg(test)]
mod tests;
