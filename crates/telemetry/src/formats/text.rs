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
/// `Power Supply #1` → `power-supply-1`. Letters of any script stay, so that texts of two languages
/// never become one condition; what has none at all is an `event`.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().take(crate::mail::MAX_NAME_BYTES) {
        if c.is_alphanumeric() || matches!(c, '.' | '/' | '_') {
            slug.extend(c.to_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    match slug.trim_end_matches('-') {
        "" => "event".to_owned(),
        slug => slug.to_owned(),
    }
}

/// The severity words of the vendors, collapsed to what an operator acts on; in the languages that
/// network management cards of UPSes can be set to, and with accents left out as old firmware does.
pub(crate) fn severity(word: &str) -> Option<Severity> {
    const INFO: &[&str] = &[
        "informational",
        "information",
        "info",
        "normal",
        "ok",
        "notification",
        "notice",
        "debug",
        "informativ",
        "informatif",
        "informativo",
        "informativa",
        "informazione",
        "información",
        "informacion",
        "informação",
        "informacao",
        "информация",
        "информационное",
        "情報",
        "信息",
        "提示",
        "정보",
    ];
    const WARNING: &[&str] = &[
        "warning",
        "warning minor",
        "warning major",
        "minor",
        "non-critical",
        "major",
        "warnung",
        "avertissement",
        "advertencia",
        "aviso",
        "advertência",
        "avviso",
        "avvertenza",
        "avvertimento",
        "предупреждение",
        "警告",
        "경고",
    ];
    const CRITICAL: &[&str] = &[
        "severe",
        "critical",
        "fatal",
        "error",
        "failure",
        "non-recoverable",
        "emergency",
        "alert",
        "schwerwiegend",
        "schwer",
        "kritisch",
        "grave",
        "critique",
        "crítico",
        "critico",
        "crítica",
        "critica",
        "серьезное",
        "серьёзное",
        "критическое",
        "重大",
        "危険",
        "严重",
        "심각",
    ];
    let word = word.trim().to_lowercase();
    let named = |words: &[&str]| words.contains(&word.as_str());
    if named(INFO) {
        Some(Severity::Info)
    } else if named(WARNING) {
        Some(Severity::Warning)
    } else {
        named(CRITICAL).then_some(Severity::Critical)
    }
}

/// Text for people: one line, bounded.
pub(crate) fn sentence(text: &str) -> String {
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
