//! Whole fields and records.

use super::error::HexBytes;
use super::{Copybook, Decimal, Field, FieldError, Kind, RecordError, Value, number};
use crate::ebcdic::CodePage;

pub(super) fn check_len(copybook: &Copybook, record: &[u8]) -> Result<(), RecordError> {
    let (needed, found) = (copybook.record_len, record.len());
    if found > needed {
        return Err(RecordError::OverLong {
            record: copybook.name.clone(),
            needed,
            found,
        });
    }
    match copybook
        .fields
        .iter()
        .find(|field| field.offset + field.len > found)
    {
        None => Ok(()),
        Some(cut) => Err(RecordError::Truncated {
            record: copybook.name.clone(),
            needed,
            found,
            field: cut.path.clone(),
            offset: cut.offset,
        }),
    }
}

pub(super) fn decode_field(
    field: &Field,
    page: CodePage,
    record: &[u8],
) -> Result<Value, RecordError> {
    let bytes = &record[field.offset..field.offset + field.len];
    match field.kind {
        Kind::Text => Ok(Value::Text(page.decode(bytes))),
        Kind::Number(shape) => match number::decode(shape, bytes) {
            Ok(mantissa) => Ok(Value::Number(Decimal::new(mantissa, shape.scale))),
            Err(rule) => Err(RecordError::Field {
                field: field.path.clone(),
                offset: field.offset,
                bytes: HexBytes(bytes.to_vec()),
                rule,
            }),
        },
    }
}

pub(super) fn encode(
    copybook: &Copybook,
    page: CodePage,
    values: &[Value],
) -> Result<Vec<u8>, FieldError> {
    let mut record = vec![page.blank(); copybook.record_len];
    let mut values = values.iter();
    for field in copybook.fields.iter().filter(|field| !field.filler) {
        let Some(value) = values.next() else {
            return Err(refuse(
                field,
                "nothing".to_owned(),
                "there is one value for each field that is not FILLER",
            ));
        };
        encode_field(
            field,
            page,
            value,
            &mut record[field.offset..field.offset + field.len],
        )?;
    }
    match values.next() {
        None => Ok(record),
        Some(extra) => Err(FieldError {
            field: copybook.name.clone(),
            value: format!("{extra:?}"),
            rule: "there is one value for each field that is not FILLER",
        }),
    }
}

fn encode_field(
    field: &Field,
    page: CodePage,
    value: &Value,
    out: &mut [u8],
) -> Result<(), FieldError> {
    match (field.kind, value) {
        (Kind::Text, Value::Text(text)) => {
            let bytes = page
                .encode(text)
                .map_err(|_| refuse(field, text.clone(), "a character is not in the code page"))?;
            if bytes.len() > out.len() {
                return Err(refuse(
                    field,
                    text.clone(),
                    "the text is longer than the field",
                ));
            }
            out[..bytes.len()].copy_from_slice(&bytes);
            Ok(())
        }
        (Kind::Number(shape), Value::Number(decimal)) => {
            let scaled = decimal.rescale(shape.scale).ok_or_else(|| {
                refuse(
                    field,
                    decimal.to_string(),
                    "the picture has fewer digits behind the point",
                )
            })?;
            number::encode(shape, scaled.mantissa, out)
                .map_err(|rule| refuse(field, decimal.to_string(), rule))
        }
        (Kind::Text, Value::Number(decimal)) => {
            Err(refuse(field, decimal.to_string(), "the field holds text"))
        }
        (Kind::Number(_), Value::Text(text)) => {
            Err(refuse(field, text.clone(), "the field holds a number"))
        }
    }
}

fn refuse(field: &Field, value: String, rule: &'static str) -> FieldError {
    FieldError {
        field: field.path.clone(),
        value,
        rule,
    }
}
