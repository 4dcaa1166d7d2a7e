//! What the text layouts share: `Key : value` lines and words to names.

use wire::Severity;

/// The value of the first `key: value` line; keys compare without case, blanks around the colon
/// do not matter.
pub(super) fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        (name.trim().eq_ignore_ascii_case(key) && !value.is_empty()).then_some(value)
    })
}

/// Lower case, everything but letters, digits, `.`, `/` and `_` to single dashes:
/// `Power Supply #1` → `power-supply-1`.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().take(crate::mail::MAX_NAME_BYTES) {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_') {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// The severity words of the vendors, collapsed to what an operator acts on.
pub(super) fn severity(word: &str) -> Option<Severity> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "informational" | "information" | "info" | "normal" | "ok" | "notification" => {
            Severity::Info
        }
        "warning" | "warning minor" | "warning major" | "minor" | "non-critical" | "major" => {
            Severity::Warning
        }
        "severe" | "critical" | "fatal" | "error" | "failure" | "non-recoverable" | "emergency" => {
            Severity::Critical
        }
        _ => return None,
    })
}

/// Text for people: one line, bounded.
pub(super) fn sentence(text: &str) -> String {
    /// Fits an alert mail's subject and a phone's screen.
    const MAX_CHARS: usize = 200;
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !c.is_control()));
        if line.chars().count() >= MAX_CHARS {
            return line.chars().take(MAX_CHARS).collect();
        }
    }
    line
}
