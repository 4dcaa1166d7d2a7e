//! CBOR (RFC 8949) as far as SenML uses it, to the values that the JSON decoders read.

use serde_json::{Map, Number, Value};

/// How deep arrays, maps and tags may nest. A SenML pack is an array of maps of scalars; the tag
/// of self-described CBOR may stand around it.
const MAX_DEPTH: usize = 8;
/// Most items in one value: two thousand rows of two hundred and fifty metrics are refused later
/// anyway, and every item costs memory before that.
const MAX_ITEMS: usize = 100_000;

/// Why bytes are no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum CborError {
    #[error("its CBOR ends in the middle of an item")]
    CutOff,
    #[error("its CBOR has {0} bytes behind its end")]
    Trailing(usize),
    #[error("its CBOR has the reserved initial byte {0:#04x}")]
    Reserved(u8),
    #[error("its CBOR nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("its CBOR has more than {MAX_ITEMS} items")]
    TooMany,
    #[error("one of its CBOR texts is not UTF-8")]
    NotUtf8,
    #[error("one of its CBOR map keys is neither a text nor an integer")]
    BadKey,
    #[error("one of its CBOR maps has the key \"{0}\" twice")]
    TwiceTheKey(String),
    #[error("one of its CBOR numbers is not finite")]
    NotFinite,
}

/// One value and nothing behind it. Integer keys become texts through `key`; byte strings and
/// undefined become null, since no reading is made of them.
pub(crate) fn parse(bytes: &[u8], key: impl Fn(i64) -> String) -> Result<Value, CborError> {
    let mut reader = Reader {
        bytes,
        items: 0,
        key: &key,
    };
    let value = reader.value(MAX_DEPTH)?;
    match reader.bytes.len() {
        0 => Ok(value),
        more => Err(CborError::Trailing(more)),
    }
}

struct Reader<'b, 'k> {
    bytes: &'b [u8],
    items: usize,
    key: &'k dyn Fn(i64) -> String,
}

/// Major type and argument of an item's head (§3). `None`: indefinite length, or "break".
struct Head {
    major: u8,
    info: u8,
    argument: Option<u64>,
}

impl<'b> Reader<'b, '_> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], CborError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(CborError::CutOff)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, CborError> {
        let &[byte] = self.take(1)? else {
            return Err(CborError::CutOff);
        };
        self.items += 1;
        if self.items > MAX_ITEMS {
            return Err(CborError::TooMany);
        }
        let (major, info) = (byte >> 5, byte & 0x1F);
        let argument = match info {
            0..=23 => Some(u64::from(info)),
            24..=27 => {
                let field = self.take(1 << (info - 24))?;
                Some(field.iter().fold(0, |n, &b| n << 8 | u64::from(b)))
            }
            // Integers and tags have no indefinite form.
            31 if !matches!(major, 0 | 1 | 6) => None,
            _ => return Err(CborError::Reserved(byte)),
        };
        Ok(Head {
            major,
            info,
            argument,
        })
    }

    fn value(&mut self, depth: usize) -> Result<Value, CborError> {
        let head = self.head()?;
        self.value_of(&head, depth)
    }

    fn value_of(&mut self, head: &Head, depth: usize) -> Result<Value, CborError> {
        if depth == 0 {
            return Err(CborError::TooDeep);
        }
        match (head.major, head.argument) {
            (0, Some(n)) => Ok(Value::Number(n.into())),
            // -1 - n; beyond 63 bits only a float can hold it.
            (1, Some(n)) => match i64::try_from(n) {
                Ok(n) => Ok(Value::Number((-1 - n).into())),
                Err(_) => float(-1.0 - n as f64),
            },
            (2, _) => {
                self.string(head)?;
                Ok(Value::Null)
            }
            (3, _) => Ok(Value::String(self.text(head)?)),
            (4, length) => self.array(length, depth),
            (5, length) => self.map(length, depth),
            (6, Some(tag)) => self.tagged(tag, depth),
            (7, Some(argument)) => simple(head.info, argument),
            _ => Err(CborError::Reserved(head.major << 5 | head.info)),
        }
    }

    /// The bytes of a byte or text string; chunks of an indefinite one are definite and of its
    /// own kind (§3.2.3).
    fn string(&mut self, head: &Head) -> Result<Vec<u8>, CborError> {
        if let Some(length) = head.argument {
            let length = usize::try_from(length).map_err(|_| CborError::CutOff)?;
            return Ok(self.take(length)?.to_vec());
        }
        let mut whole = Vec::new();
        loop {
            let chunk = self.head()?;
            match (chunk.major, chunk.argument) {
                (7, None) => return Ok(whole),
                (major, Some(length)) if major == head.major => {
                    let length = usize::try_from(length).map_err(|_| CborError::CutOff)?;
                    whole.extend(self.take(length)?);
                }
                (major, _) => return Err(CborError::Reserved(major << 5 | chunk.info)),
            }
        }
    }

    fn text(&mut self, head: &Head) -> Result<String, CborError> {
        String::from_utf8(self.string(head)?).map_err(|_| CborError::NotUtf8)
    }

    /// Whether another element follows, and its head.
    fn next(&mut self, left: &mut Option<u64>) -> Result<Option<Head>, CborError> {
        match left {
            Some(0) => Ok(None),
            Some(n) => {
                *n -= 1;
                self.head().map(Some)
            }
            None => self
                .head()
                .map(|head| Some(head).filter(|head| (head.major, head.argument) != (7, None))),
        }
    }

    fn array(&mut self, mut left: Option<u64>, depth: usize) -> Result<Value, CborError> {
        let mut elements = Vec::new();
        while let Some(head) = self.next(&mut left)? {
            elements.push(self.value_of(&head, depth - 1)?);
        }
        Ok(Value::Array(elements))
    }

    fn map(&mut self, mut left: Option<u64>, depth: usize) -> Result<Value, CborError> {
        let mut map = Map::new();
        while let Some(head) = self.next(&mut left)? {
            let key = match (head.major, head.argument) {
                (0, Some(n)) => (self.key)(i64::try_from(n).map_err(|_| CborError::BadKey)?),
                (1, Some(n)) => (self.key)(-1 - i64::try_from(n).map_err(|_| CborError::BadKey)?),
                (3, _) => self.text(&head)?,
                _ => return Err(CborError::BadKey),
            };
            let value = self.value(depth - 1)?;
            if map.contains_key(&key) {
                return Err(CborError::TwiceTheKey(crate::mail::quoted(&key)));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    /// Decimal fractions (tag 4: ten to the exponent) and bigfloats (tag 5: two) are what RFC
    /// 8428 §6 adds for numbers; other tags only say more about the value behind them.
    fn tagged(&mut self, tag: u64, depth: usize) -> Result<Value, CborError> {
        let value = self.value(depth - 1)?;
        let base: f64 = match tag {
            4 => 10.0,
            5 => 2.0,
            _ => return Ok(value),
        };
        let pair = value.as_array().map(Vec::as_slice);
        let Some([exponent, mantissa]) = pair else {
            return Err(CborError::NotFinite);
        };
        match (exponent.as_i64(), mantissa.as_f64()) {
            (Some(exponent), Some(mantissa)) => {
                let exponent = i32::try_from(exponent).map_err(|_| CborError::NotFinite)?;
                // Dividing by ten is exact where multiplying by 0.1 is not.
                float(if exponent < 0 {
                    mantissa / base.powi(exponent.saturating_neg())
                } else {
                    mantissa * base.powi(exponent)
                })
            }
            _ => Err(CborError::NotFinite),
        }
    }
}

/// Major type 7: booleans, null, undefined and floats (§3.3).
fn simple(info: u8, argument: u64) -> Result<Value, CborError> {
    match info {
        20 => Ok(Value::Bool(false)),
        21 => Ok(Value::Bool(true)),
        25 => float(half(argument as u16)),
        26 => float(f64::from(f32::from_bits(argument as u32))),
        27 => float(f64::from_bits(argument)),
        _ => Ok(Value::Null),
    }
}

fn float(number: f64) -> Result<Value, CborError> {
    Number::from_f64(number)
        .map(Value::Number)
        .ok_or(CborError::NotFinite)
}

/// IEEE 754 binary16, after RFC 8949 appendix D.
fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1F);
    let mantissa = f64::from(bits & 0x3FF);
    let size = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(hex: &str) -> Result<Value, CborError> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        parse(&bytes, |key| key.to_string())
    }

    /// Examples of RFC 8949 appendix A.
    #[test]
    fn reads_the_examples_of_the_standard() {
        for (hex, expected) in [
            ("00", json!(0)),
            ("1818", json!(24)),
            ("1bffffffffffffffff", json!(18_446_744_073_709_551_615u64)),
            ("20", json!(-1)),
            ("3903e7", json!(-1000)),
            ("3bffffffffffffffff", json!(-18_446_744_073_709_551_616.0)),
            ("f93e00", json!(1.5)),
            ("f97bff", json!(65504.0)),
            ("f90001", json!(5.960464477539063e-8)),
            ("f9c400", json!(-4.0)),
            ("fa47c35000", json!(100_000.0)),
            ("fb3ff199999999999a", json!(1.1)),
            ("f4", json!(false)),
            ("f5", json!(true)),
            ("f6", json!(null)),
            ("f7", json!(null)),
            ("c48221196ab3", json!(273.15)),
            ("c5822003", json!(1.5)),
            ("c11a514b67b0", json!(1_363_896_240)),
            ("4401020304", json!(null)),
            ("6449455446", json!("IETF")),
            ("5f42010243030405ff", json!(null)),
            ("7f657374726561646d696e67ff", json!("streaming")),
            ("8301820203820405", json!([1, [2, 3], [4, 5]])),
            ("9f018202039f0405ffff", json!([1, [2, 3], [4, 5]])),
            ("a201020304", json!({"1": 2, "3": 4})),
            ("bf6346756ef563416d7421ff", json!({"Fun": true, "Amt": -2})),
        ] {
            assert_eq!(read(hex), Ok(expected), "{hex}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (hex, expected) in [
            ("", CborError::CutOff),
            ("19", CborError::CutOff),
            ("62ff", CborError::CutOff),
            ("9bffffffffffffffff", CborError::CutOff),
            ("5bffffffffffffffff", CborError::CutOff),
            ("0000", CborError::Trailing(1)),
            ("1c", CborError::Reserved(0x1C)),
            ("1f", CborError::Reserved(0x1F)),
            ("ff", CborError::Reserved(0xFF)),
            ("7f00ff", CborError::Reserved(0)),
            ("61ff", CborError::NotUtf8),
            ("a1f500", CborError::BadKey),
            ("a2010201ff", CborError::Reserved(0xFF)),
            ("a201020103", CborError::TwiceTheKey("1".into())),
            ("f97c00", CborError::NotFinite),
            ("f97e00", CborError::NotFinite),
            ("fb7ff0000000000000", CborError::NotFinite),
            ("c4821b7fffffffffffffff01", CborError::NotFinite),
            ("818181818181818100", CborError::TooDeep),
            ("c1c1c1c1c1c1c1c100", CborError::TooDeep),
        ] {
            assert_eq!(read(hex), Err(expected), "{hex}");
        }
        assert_eq!(
            parse(&vec![0x9F; 1 << 20], |_| String::new()),
            Err(CborError::TooDeep)
        );
        let flood = [&[0x9F][..], &vec![0; MAX_ITEMS]].concat();
        assert_eq!(parse(&flood, |_| String::new()), Err(CborError::TooMany));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, |key| key.to_string());
        }
    }
}
