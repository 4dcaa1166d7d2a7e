//! Rules that say which of several alternatives (REDEFINES) a record holds.

use super::plan::{Arm, Part, When};
use super::{ChoiceError, Copybook};

/// The parts of a rule `ALTERNATIVE when FIELD is VALUE, VALUE`.
fn parsed(rule: &str) -> Option<(&str, &str, Vec<String>)> {
    let (name, rest) = rule.split_once(" when ")?;
    let (field, values) = rest.split_once(" is ")?;
    let values: Vec<String> = values
        .split(',')
        .map(|value| value.trim().to_owned())
        .collect();
    Some((name.trim(), field.trim(), values))
}

/// A table on the way to an alternative: its first field, and fields of one occurrence.
type Around = (usize, usize);

impl Copybook {
    /// Adds a rule, `ALTERNATIVE when FIELD is VALUE, VALUE`: where the field has one of the values
    /// (text without blanks around it, numbers as they are printed), this alternative is read and no
    /// other. Alternatives without a rule are read where no rule holds.
    pub fn choose(&mut self, rule: &str) -> Result<(), ChoiceError> {
        let form = || ChoiceError::Form {
            rule: rule.to_owned(),
        };
        let (name, field, values) = parsed(rule).ok_or_else(form)?;
        let name = name.to_ascii_uppercase();
        // A field within a table is named without its subscript: it is the one of the same occurrence.
        let slot = self
            .find(field)
            .or_else(|error| self.first_occurrence(field).ok_or(error))?;
        let order = ChoiceError::Order {
            name: name.clone(),
            field: field.to_owned(),
        };
        let mut known = Vec::new();
        let mut plan = std::mem::take(&mut self.plan);
        let found = attach(&mut plan, &mut Vec::new(), &name, slot, &values, &mut known);
        self.plan = plan;
        match found {
            Some(true) => Ok(()),
            Some(false) => Err(order),
            None => Err(ChoiceError::NoAlternative {
                name,
                known: match known.is_empty() {
                    true => "none".to_owned(),
                    false => known.join(", "),
                },
            }),
        }
    }

    fn first_occurrence(&self, name: &str) -> Option<usize> {
        let wanted = name.to_ascii_uppercase();
        self.fields.iter().position(|field| {
            let last = field.path.rsplit('.').next().unwrap_or_default();
            let plain: String = field.path.replace("(1)", "");
            !field.filler
                && (last == wanted || plain == wanted || plain.ends_with(&format!(".{wanted}")))
        })
    }
}

/// `None`: no alternative has the name; `Some(false)`: the field cannot decide about it.
fn attach(
    parts: &mut [Part],
    around: &mut Vec<Around>,
    name: &str,
    slot: usize,
    values: &[String],
    known: &mut Vec<String>,
) -> Option<bool> {
    for part in parts {
        let found = match part {
            Part::Run(_) => None,
            Part::Table(table) => {
                around.push((table.first_slot, table.slots));
                let found = attach(&mut table.body, around, name, slot, values, known);
                around.pop();
                found
            }
            Part::Choice(choice) => {
                let mut found = None;
                for arm in &mut choice.arms {
                    known.extend(arm.name.clone());
                    if arm.name.as_deref() == Some(name) {
                        return Some(decide(arm, choice.first_slot, around, slot, values));
                    }
                    let inner = attach(&mut arm.parts, around, name, slot, values, known);
                    found = found.or(inner);
                }
                found
            }
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn decide(arm: &mut Arm, first: usize, around: &[Around], slot: usize, values: &[String]) -> bool {
    let within = |(first, slots): &Around| (*first..first + slots).contains(&slot);
    let depth = around.iter().take_while(|table| within(table)).count();
    if slot >= first {
        return false;
    }
    match &mut arm.when {
        Some(when) if when.slot == slot => when.values.extend_from_slice(values),
        Some(_) => return false,
        when @ None => {
            *when = Some(When {
                slot,
                depth,
                values: values.to_vec(),
            });
        }
    }
    true
}
