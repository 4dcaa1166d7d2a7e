//! A copybook's layout as a table.

use telemetry::copybook::{Copybook, Entry};

/// Offset, length, picture, usage and name of every entry, slack bytes and condition names included.
pub(super) fn rendered(copybook: &Copybook) -> String {
    let entries = copybook.entries();
    let width = |of: &dyn Fn(&Entry) -> usize, least: usize| {
        entries.iter().map(of).max().unwrap_or(0).max(least)
    };
    let pictures = width(&|entry| picture(entry).len(), "picture".len());
    let usages = width(&|entry| usage(entry).len(), "usage".len());
    let mut out = format!(
        "{:>6} {:>6}  {:pictures$}  {:usages$}  name\n",
        "offset", "length", "picture", "usage"
    );
    let blank = "";
    for entry in entries {
        let (offset, len) = (entry.offset, entry.len);
        if entry.slack > 0 {
            let (before, slack) = (offset - entry.slack, entry.slack);
            out.push_str(&format!(
                "{before:>6} {slack:>6}  {blank:pictures$}  {blank:usages$}  (slack bytes)\n"
            ));
        }
        let indent = " ".repeat(indent(entries, entry));
        let name = entry.name.as_deref().unwrap_or("FILLER");
        out.push_str(&format!(
            "{offset:>6} {len:>6}  {:pictures$}  {:usages$}  {indent}{:02} {name}{}\n",
            picture(entry),
            usage(entry),
            entry.level,
            notes(entry)
        ));
        for condition in &entry.conditions {
            let values: Vec<String> = condition
                .ranges
                .iter()
                .map(|(from, to)| match to {
                    None => from.to_string(),
                    Some(to) => format!("{from} thru {to}"),
                })
                .collect();
            let (name, values) = (&condition.name, values.join(", "));
            out.push_str(&format!(
                "{blank:>6} {blank:>6}  {blank:pictures$}  {blank:usages$}  {indent}   88 {name}: {values}\n"
            ));
        }
    }
    let (name, longest, least) = (copybook.name(), copybook.record_len(), copybook.least_len());
    out.push_str(&match copybook.is_fixed() {
        true => format!("{name}: {longest} bytes\n"),
        false => format!("{name}: {least} to {longest} bytes; offsets behind a table of variable length are those of full tables\n"),
    });
    out
}

/// Two columns for each level around.
fn indent(entries: &[Entry], entry: &Entry) -> usize {
    let mut levels: Vec<u8> = Vec::new();
    for other in entries {
        while levels.last().is_some_and(|level| *level >= other.level) {
            levels.pop();
        }
        if std::ptr::eq(other, entry) {
            break;
        }
        levels.push(other.level);
    }
    2 * levels.len()
}

fn picture(entry: &Entry) -> &str {
    entry.picture.as_deref().unwrap_or_default()
}

fn usage(entry: &Entry) -> &'static str {
    entry.kind.map_or("", |kind| kind.usage())
}

fn notes(entry: &Entry) -> String {
    let mut notes = String::new();
    if let Some(other) = &entry.redefines {
        notes.push_str(&format!(", redefines {other}"));
    }
    if let Some(occurs) = &entry.occurs {
        notes.push_str(&match &occurs.depending {
            None => format!(", {} times", occurs.max),
            Some(field) => format!(", {} to {} times by {field}", occurs.min, occurs.max),
        });
    }
    if entry.tail > 0 {
        notes.push_str(&format!(", {} slack bytes behind each", entry.tail));
    }
    if entry.justified {
        notes.push_str(", right-justified");
    }
    notes
}
