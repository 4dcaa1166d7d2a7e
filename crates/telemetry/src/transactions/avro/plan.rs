//! A schema as a table of types that point at each other.

use super::SchemaError;
use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, NamespaceRef, UuidSchema};
use std::collections::BTreeMap;

/// Types of a schema. Records of some thousand fields exist; this many are a mistake or an attack.
pub(super) const MAX_TYPES: usize = 20_000;
/// Bytes of a field's name or an enum's symbol; each value has a copy.
pub(super) const MAX_NAME: usize = 256;
/// Digits behind the point: amounts have 31 digits in all.
pub(super) const MAX_SCALE: usize = 31;

/// Place of a type in its plan.
pub(super) type Index = usize;

/// A type, as far as reading cares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    Array(Index),
    Map(Index),
    Union(Vec<Index>),
    Record(Vec<(String, Index)>),
    /// Two's complement, big-endian, of so many bytes, or of a length that comes first.
    Decimal {
        fixed: Option<usize>,
        scale: u8,
    },
    Date,
    /// Since 1970, in so many parts of a second.
    Timestamp {
        per_second: i64,
        local: bool,
    },
}

/// All types of a schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    types: Vec<Type>,
    pub(super) root: Index,
}

impl Plan {
    pub(super) fn of(schema: &Schema) -> Result<Self, SchemaError> {
        let mut planner = Planner::default();
        let root = planner.add(schema, None)?;
        let types = planner.types;
        Ok(Self { types, root })
    }

    pub(super) fn get(&self, index: Index) -> &Type {
        &self.types[index]
    }
}

#[derive(Default)]
struct Planner {
    types: Vec<Type>,
    names: BTreeMap<String, Index>,
}

impl Planner {
    /// The parser of JSON has bounded how deep a schema goes.
    fn add(&mut self, schema: &Schema, space: NamespaceRef<'_>) -> Result<Index, SchemaError> {
        let new = match schema {
            Schema::Null => Type::Null,
            Schema::Boolean => Type::Boolean,
            Schema::Int | Schema::TimeMillis => Type::Int,
            Schema::Long | Schema::TimeMicros => Type::Long,
            Schema::Float => Type::Float,
            Schema::Double => Type::Double,
            Schema::Bytes | Schema::Uuid(UuidSchema::Bytes) => Type::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Type::Text,
            Schema::Date => Type::Date,
            Schema::TimestampMillis => timestamp(1_000, false),
            Schema::TimestampMicros => timestamp(1_000_000, false),
            Schema::TimestampNanos => timestamp(1_000_000_000, false),
            Schema::LocalTimestampMillis => timestamp(1_000, true),
            Schema::LocalTimestampMicros => timestamp(1_000_000, true),
            Schema::LocalTimestampNanos => timestamp(1_000_000_000, true),
            Schema::BigDecimal => return Err(SchemaError::BigDecimal),
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                return self.named(&fixed.name, space, Type::Fixed(fixed.size));
            }
            Schema::Decimal(decimal) => {
                let scale = u8::try_from(decimal.scale).ok();
                let scale = scale.filter(|scale| usize::from(*scale) <= MAX_SCALE);
                let scale = scale.ok_or(SchemaError::Scale {
                    scale: decimal.scale,
                })?;
                match &decimal.inner {
                    InnerDecimalSchema::Bytes => Type::Decimal { fixed: None, scale },
                    InnerDecimalSchema::Fixed(inner) => {
                        let fixed = Some(inner.size);
                        return self.named(&inner.name, space, Type::Decimal { fixed, scale });
                    }
                }
            }
            Schema::Enum(symbols) => {
                symbols
                    .symbols
                    .iter()
                    .try_for_each(|symbol| short(symbol))?;
                let kind = Type::Enum(symbols.symbols.clone());
                return self.named(&symbols.name, space, kind);
            }
            Schema::Array(array) => Type::Array(self.add(&array.items, space)?),
            Schema::Map(map) => Type::Map(self.add(&map.types, space)?),
            Schema::Union(union) => {
                let branches = union.variants().iter();
                let branches = branches.map(|branch| self.add(branch, space));
                Type::Union(branches.collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => {
                // Known before its fields, which may hold others of it.
                let index = self.named(&record.name, space, Type::Null)?;
                let name = record.name.fully_qualified_name(space).into_owned();
                let fields = record.fields.iter().map(|field| {
                    short(&field.name)?;
                    Ok((
                        field.name.clone(),
                        self.add(&field.schema, name.namespace())?,
                    ))
                });
                let fields = fields.collect::<Result<_, _>>()?;
                self.types[index] = Type::Record(fields);
                return Ok(index);
            }
            Schema::Ref { name } => {
                let name = name.fullname(space);
                let known = self.names.get(&name).copied();
                return known.ok_or(SchemaError::Undefined(name));
            }
        };
        self.push(new)
    }

    fn push(&mut self, new: Type) -> Result<Index, SchemaError> {
        if self.types.len() == MAX_TYPES {
            return Err(SchemaError::TooManyTypes);
        }
        self.types.push(new);
        Ok(self.types.len() - 1)
    }

    fn named(
        &mut self,
        name: &Name,
        space: NamespaceRef<'_>,
        new: Type,
    ) -> Result<Index, SchemaError> {
        let index = self.push(new)?;
        self.names.insert(name.fullname(space), index);
        Ok(index)
    }
}

fn timestamp(per_second: i64, local: bool) -> Type {
    Type::Timestamp { per_second, local }
}

fn short(name: &str) -> Result<(), SchemaError> {
    match name.len() {
        0..=MAX_NAME => Ok(()),
        bytes => Err(SchemaError::LongName { bytes }),
    }
}
