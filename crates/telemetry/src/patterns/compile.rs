//! From a file's text to a [`Pattern`], with every complaint at its line.

use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;
use std::ops::Range;
use toml::Spanned;
use wire::Severity;

use super::error::PatternError;
use super::file;
use super::parts::{Conditions, EventRule, Grade, Place, ReadingRule, Rule, State, Words};
use super::template::Template;
use super::{MAX_FILE_BYTES, MAX_REGEX_BYTES, MAX_REGEX_DEPTH, MAX_RULES, Pattern};
use crate::sequence::NEVER_WRAPS;

/// Captures with a meaning of their own.
const MEANINGS: [&str; 10] = [
    "value",
    "unit",
    "metric",
    "condition",
    "text",
    "state",
    "severity",
    "time",
    "sequence",
    "device",
];

/// Compiles one file; all complaints at once.
pub(super) fn pattern(name: &str, text: &str) -> Result<Pattern, Vec<PatternError>> {
    if text.len() > MAX_FILE_BYTES {
        return Err(vec![PatternError::whole(
            name,
            format!(
                "it has {} bytes, over the limit of {MAX_FILE_BYTES}",
                text.len()
            ),
            "split it",
        )]);
    }
    let mut compiler = Compiler {
        file: name,
        text,
        rule: None,
        errors: Vec::new(),
    };
    let parsed: file::File = match toml::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let span = error.span().unwrap_or_default();
            compiler.complain(
                &span,
                error.message().trim_end().to_owned(),
                "docs/formats.md has all keys and an example",
            );
            return Err(compiler.errors);
        }
    };
    let pattern = compiler.pattern(parsed);
    if compiler.errors.is_empty() {
        Ok(pattern)
    } else {
        Err(compiler.errors)
    }
}

struct Compiler<'t> {
    file: &'t str,
    text: &'t str,
    rule: Option<String>,
    errors: Vec<PatternError>,
}

impl Compiler<'_> {
    fn complain(&mut self, span: &Range<usize>, problem: impl Into<String>, remedy: &str) {
        let before = self.text.get(..span.start).unwrap_or_default();
        self.errors.push(PatternError {
            file: self.file.to_owned(),
            line: Some(before.matches('\n').count() + 1),
            rule: self.rule.clone(),
            problem: problem.into(),
            remedy: remedy.to_owned(),
        });
    }

    fn pattern(&mut self, file: file::File) -> Pattern {
        let name = file.name.get_ref();
        let is_name = (1..=63).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_name {
            let span = file.name.span();
            let problem = format!("the name \"{name}\" is not usable");
            self.complain(&span, problem, "use 1 to 63 letters, digits or `-`");
        }
        if file.rules.is_empty() || file.rules.len() > MAX_RULES {
            let problem = format!("it has {} rules", file.rules.len());
            let remedy = format!("write 1 to {MAX_RULES} `[[rule]]`");
            self.complain(&file.name.span(), problem, &remedy);
        }
        let confined = !file.conditions.get_ref().devices.is_empty() && !file.speaks_for.is_empty();
        let conditions = self.conditions(file.conditions);
        let rules = file
            .rules
            .into_iter()
            .zip(1..)
            .map(|(rule, number)| {
                self.rule = Some(
                    rule.get_ref()
                        .name
                        .as_ref()
                        .map_or_else(|| number.to_string(), |name| format!("\"{name}\"")),
                );
                self.rule(rule, number, confined)
            })
            .collect::<Vec<_>>();
        self.rule = None;
        Pattern {
            name: file.name.into_inner(),
            about: file.about,
            conditions,
            words: words(file.words),
            speaks_for: file.speaks_for,
            rules: rules.into_iter().flatten().collect(),
        }
    }

    fn conditions(&mut self, table: Spanned<file::Match>) -> Conditions {
        let span = table.span();
        let table = table.into_inner();
        if table.subject.is_none()
            && table.from.is_none()
            && table.body.is_none()
            && table.headers.is_empty()
        {
            self.complain(
                &span,
                "`[match]` has no condition, so the format would take every mail",
                "give at least one of `subject`, `from`, `body` and `headers`",
            );
        }
        let mut regex =
            |pattern: Option<Spanned<String>>| pattern.and_then(|p| self.regex(&p, true));
        Conditions {
            subject: regex(table.subject),
            from: regex(table.from),
            body: regex(table.body),
            headers: table
                .headers
                .into_iter()
                .filter_map(|(name, pattern)| Some((name, regex(Some(pattern))?)))
                .collect(),
            devices: table.devices.iter().map(|id| id.as_str().into()).collect(),
        }
    }

    /// `lines`: `^` and `$` are those of every line, for texts of many.
    fn regex(&mut self, pattern: &Spanned<String>, lines: bool) -> Option<Regex> {
        let built = RegexBuilder::new(pattern.get_ref())
            .multi_line(lines)
            .crlf(true)
            .size_limit(MAX_REGEX_BYTES)
            .dfa_size_limit(MAX_REGEX_BYTES)
            .nest_limit(MAX_REGEX_DEPTH)
            .build();
        match built {
            Ok(regex) => Some(regex),
            Err(regex::Error::CompiledTooBig(_)) => {
                self.complain(
                    &pattern.span(),
                    "the expression is too large",
                    "repeat less: a line has no thousand words",
                );
                None
            }
            Err(error) => {
                // The parser draws an arrow under the place; a complaint is one line.
                let drawn = error.to_string();
                let why = drawn.lines().last().unwrap_or_default();
                let why = why.strip_prefix("error: ").unwrap_or(why);
                self.complain(
                    &pattern.span(),
                    format!("the expression `{}` is broken: {why}", pattern.get_ref()),
                    "https://docs.rs/regex has the syntax; there are no look-arounds and back-references",
                );
                None
            }
        }
    }

    fn rule(
        &mut self,
        spanned: Spanned<file::Rule>,
        number: usize,
        confined: bool,
    ) -> Option<Rule> {
        let span = spanned.span();
        let table = spanned.into_inner();
        let regex = self.regex(&table.regex, false)?;
        let captures: BTreeSet<String> =
            regex.capture_names().flatten().map(str::to_owned).collect();
        let has = |name: &str| captures.contains(name);
        let mut used: BTreeSet<String> = BTreeSet::new();
        let place = self.place(table.place.as_ref());
        let mut sources = Sources {
            captures: &captures,
            used: &mut used,
        };
        let metric = sources.find(self, "metric", table.metric.as_ref());
        let unit = sources.find(self, "unit", table.unit.as_ref());
        let condition = sources.find(self, "condition", table.condition.as_ref());
        let text = sources.find(self, "text", table.text.as_ref());

        let reading = metric.map(|metric| {
            if !has("value") {
                self.complain(
                    &span,
                    "it has a metric but catches no value",
                    "put the number into a group: `(?<value>[\\d.]+)`",
                );
            }
            ReadingRule {
                metric,
                unit,
                decimal_comma: self.decimal_comma(table.decimal.as_ref()),
                scale: self.scale(table.scale.as_ref()),
            }
        });
        if reading.is_none() && has("value") {
            self.complain(
                &span,
                "it catches a value but names no metric",
                "add `metric = \"…\"` or a group `(?<metric>…)`",
            );
        }
        let event = condition.map(|condition| EventRule {
            condition,
            text,
            state: self.state(&span, table.state.as_ref(), has("state")),
            severity: self.severity(table.severity.as_ref(), has("severity")),
        });
        if event.is_none() && (has("state") || table.state.is_some()) {
            self.complain(
                &span,
                "it has a state but names no condition",
                "add `condition = \"…\"` or a group `(?<condition>…)`",
            );
        }
        let (time, device) = (has("time"), has("device"));
        let sequence = has("sequence").then(|| self.modulus(table.wraps_at.as_ref()));
        if reading.is_none() && event.is_none() && !time && !device && sequence.is_none() {
            self.complain(
                &span,
                "it extracts nothing",
                "give it a `metric` with a group `value`, a `condition`, or a group `time`, `sequence` or `device`",
            );
        }
        if device && !confined {
            self.complain(
                &span,
                "it lets a mail speak for another device, and nothing says who may do so for whom",
                "list the senders as `devices = […]` in `[match]`, and the others as `speaks_for = […]` at the top",
            );
        }
        for (key, given, needs, there) in [
            ("unit", table.unit.is_some(), "a metric", reading.is_some()),
            (
                "decimal",
                table.decimal.is_some(),
                "a metric",
                reading.is_some(),
            ),
            (
                "scale",
                table.scale.is_some(),
                "a metric",
                reading.is_some(),
            ),
            ("text", table.text.is_some(), "a condition", event.is_some()),
            (
                "severity",
                table.severity.is_some(),
                "a condition",
                event.is_some(),
            ),
            (
                "wraps_at",
                table.wraps_at.is_some(),
                "a group `sequence`",
                sequence.is_some(),
            ),
        ] {
            if given && !there {
                let problem = format!("it has `{key}` without {needs}");
                self.complain(&span, problem, &format!("add {needs}, or drop `{key}`"));
            }
        }
        for name in &captures {
            if !MEANINGS.contains(&name.as_str()) && !used.contains(name) {
                self.complain(
                    &table.regex.span(),
                    format!("the group `{name}` is not used"),
                    &format!(
                        "name it `{{{name}}}` in `metric`, `unit`, `condition` or `text`, or take one of {}",
                        MEANINGS.join(", ")
                    ),
                );
            }
        }
        Some(Rule {
            name: table.name.unwrap_or_else(|| number.to_string()),
            place,
            regex,
            required: table.required,
            reading,
            event,
            time,
            device,
            sequence,
        })
    }

    fn place(&mut self, place: Option<&Spanned<String>>) -> Place {
        let Some(place) = place else {
            return Place::Body;
        };
        match place.get_ref().split_once(' ') {
            None if place.get_ref() == "body" => Place::Body,
            None if place.get_ref() == "subject" => Place::Subject,
            None if place.get_ref() == "attachments" => Place::Attachments,
            Some(("header", name)) if !name.trim().is_empty() => {
                Place::Header(name.trim().to_owned())
            }
            _ => {
                let problem = format!("`in = \"{}\"` is no place in a mail", place.get_ref());
                let remedy = "take \"body\", \"subject\", \"attachments\" or \"header X-Name\"";
                self.complain(&place.span(), problem, remedy);
                Place::Body
            }
        }
    }

    fn decimal_comma(&mut self, decimal: Option<&Spanned<String>>) -> bool {
        match decimal.map(|decimal| (decimal.get_ref().as_str(), decimal.span())) {
            None | Some((".", _)) => false,
            Some((",", _)) => true,
            Some((other, span)) => {
                let problem = format!("`decimal = \"{other}\"` is no decimal sign");
                self.complain(&span, problem, "take \".\" or \",\"");
                false
            }
        }
    }

    fn scale(&mut self, scale: Option<&Spanned<f64>>) -> f64 {
        let Some(scale) = scale else {
            return 1.0;
        };
        if !scale.get_ref().is_finite() || *scale.get_ref() == 0.0 {
            let problem = format!("`scale = {}` makes every value useless", scale.get_ref());
            self.complain(&scale.span(), problem, "take a finite number other than 0");
        }
        *scale.get_ref()
    }

    fn state(
        &mut self,
        span: &Range<usize>,
        state: Option<&Spanned<String>>,
        captured: bool,
    ) -> State {
        match (state, captured) {
            (Some(state), true) => {
                let problem = "it gives a `state` and has a group `state`, too";
                self.complain(&state.span(), problem, "drop one of them");
                State::Captured
            }
            (Some(state), false) => match state.get_ref().as_str() {
                "open" => State::Opens,
                "clear" => State::Clears,
                other => {
                    let problem = format!("`state = \"{other}\"` is no state");
                    self.complain(&state.span(), problem, "take \"open\" or \"clear\"");
                    State::Opens
                }
            },
            (None, true) => State::Captured,
            (None, false) => {
                self.complain(
                    span,
                    "nothing says whether its condition begins or ends",
                    "add `state = \"open\"`, `state = \"clear\"` or a group `(?<state>…)`",
                );
                State::Opens
            }
        }
    }

    /// Without any it is a warning: somebody found it worth a rule.
    fn severity(&mut self, severity: Option<&Spanned<String>>, captured: bool) -> Grade {
        match (severity, captured) {
            (None, true) => Grade::Captured,
            (None, false) => Grade::Fixed(Severity::Warning),
            (Some(severity), captured) => {
                let grade = match severity.get_ref().as_str() {
                    "info" => Some(Severity::Info),
                    "warning" => Some(Severity::Warning),
                    "critical" => Some(Severity::Critical),
                    _ => None,
                };
                if captured {
                    let problem = "it gives a `severity` and has a group `severity`, too";
                    self.complain(&severity.span(), problem, "drop one of them");
                } else if grade.is_none() {
                    let problem = format!("`severity = \"{}\"` is none", severity.get_ref());
                    let remedy = "take \"info\", \"warning\" or \"critical\"";
                    self.complain(&severity.span(), problem, remedy);
                }
                Grade::Fixed(grade.unwrap_or(Severity::Warning))
            }
        }
    }

    fn modulus(&mut self, wraps_at: Option<&Spanned<u64>>) -> u64 {
        let Some(wraps_at) = wraps_at else {
            return NEVER_WRAPS;
        };
        if !(2..=NEVER_WRAPS).contains(wraps_at.get_ref()) {
            let problem = format!("`wraps_at = {}` is no counter", wraps_at.get_ref());
            let remedy = "give how many numbers there are: 1000 for 000 to 999";
            self.complain(&wraps_at.span(), problem, remedy);
        }
        *wraps_at.get_ref()
    }
}

/// Where texts of a rule come from: the key, or the capture of the same name.
struct Sources<'c> {
    captures: &'c BTreeSet<String>,
    used: &'c mut BTreeSet<String>,
}

impl Sources<'_> {
    fn find(
        &mut self,
        compiler: &mut Compiler<'_>,
        name: &str,
        key: Option<&Spanned<String>>,
    ) -> Option<Template> {
        let captured = self.captures.contains(name);
        let Some(key) = key else {
            return captured.then(|| Template::capture(name));
        };
        if captured {
            let problem = format!("it gives `{name}` and has a group `{name}`, too");
            compiler.complain(&key.span(), problem, "drop one of them");
        }
        let Some(template) = Template::parse(key.get_ref()).filter(|_| !key.get_ref().is_empty())
        else {
            let problem = format!("`{name} = \"{}\"` is no text with groups", key.get_ref());
            let remedy = "write something, with a group's name in braces: `outlet.{outlet}`";
            compiler.complain(&key.span(), problem, remedy);
            return None;
        };
        for capture in template.captures() {
            if !self.captures.contains(capture) {
                let problem =
                    format!("`{name}` names the group `{capture}`, which the expression lacks");
                let remedy = format!("add `(?<{capture}>…)` to it");
                compiler.complain(&key.span(), problem, &remedy);
            }
            self.used.insert(capture.to_owned());
        }
        Some(template)
    }
}

fn words(table: file::Words) -> Words {
    let lower = |words: Vec<String>| words.iter().map(|word| word.to_lowercase()).collect();
    Words {
        open: lower(table.open),
        clear: lower(table.clear),
        info: lower(table.info),
        warning: lower(table.warning),
        critical: lower(table.critical),
    }
}
