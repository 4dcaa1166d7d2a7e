//! A pattern at work on one mail.

use regex::Captures;
use std::collections::BTreeMap;
use wire::{DeviceEvent, DeviceId, Reading, Severity, UnixMillis};

use super::parts::{EventRule, Grade, Place, ReadingRule, Rule, State};
use super::{MAX_LINE_BYTES, MAX_SCANNED_BYTES, Pattern};
use crate::formats::{Draft, Letter, sentence, severity, slug};
use crate::mail::{MAX_ROWS_PER_MAIL, quoted};
use crate::moment;
use crate::quarantine::Reason;
use crate::sequence::Sequence;

/// Words that tell of an end where `[words]` has none for it.
const ENDS: [&str; 6] = ["normal", "ok", "restored", "recovered", "cleared", "good"];

/// A line that a rule fits.
pub(super) struct Hit<'l, 'r> {
    pub(super) rule: &'r Rule,
    /// From 1, within the rule's place.
    pub(super) line: usize,
    pub(super) captures: Captures<'l>,
}

/// Whom and when a report is about; readings of one key stand together.
type Key = (Option<DeviceId>, Option<UnixMillis>);

impl Pattern {
    /// The reports of a letter that fits.
    pub(crate) fn decode(&self, letter: &Letter) -> Result<Vec<Draft>, Reason> {
        let hits = self.hits(letter)?;
        if let Some(missing) = self
            .rules
            .iter()
            .find(|rule| rule.required && !hits.iter().any(|hit| std::ptr::eq(hit.rule, *rule)))
        {
            return Err(self.problem(format!("no line fits its required rule {}", missing.name)));
        }
        let drafts = self.drafts(letter, &hits)?;
        if drafts.is_empty() {
            return Err(self.problem("none of its rules finds a number or an event"));
        }
        Ok(drafts)
    }

    fn problem(&self, problem: impl Into<String>) -> Reason {
        Reason::Pattern {
            pattern: self.name.clone(),
            problem: problem.into(),
        }
    }

    /// All lines that rules fit, rule by rule.
    pub(super) fn hits<'l, 'r>(&'r self, letter: &'l Letter) -> Result<Vec<Hit<'l, 'r>>, Reason> {
        let mut hits = Vec::new();
        for rule in &self.rules {
            let texts = texts(letter, &rule.place);
            let bytes: usize = texts.iter().map(|text| text.len()).sum();
            if bytes > MAX_SCANNED_BYTES {
                return Err(self.problem(format!(
                    "has {bytes} bytes of text, over the {MAX_SCANNED_BYTES} that rules look at; have the device send tables as CSV"
                )));
            }
            let lines = texts.iter().flat_map(|text| text.lines());
            for (line, number) in lines.zip(1..) {
                if let Some(captures) = rule.regex.captures(shortened(line)) {
                    hits.push(Hit {
                        rule,
                        line: number,
                        captures,
                    });
                }
            }
        }
        Ok(hits)
    }

    fn drafts(&self, letter: &Letter, hits: &[Hit<'_, '_>]) -> Result<Vec<Draft>, Reason> {
        let zone = letter.zone();
        let mut whole: Key = (None, None);
        let mut sequence = None;
        for hit in hits {
            if let Some(modulus) = hit.rule.sequence {
                sequence = sequence.or(self.sequence(hit, modulus)?);
            }
            if hit.rule.reading.is_none() && hit.rule.event.is_none() {
                let (device, time) = self.key(hit, zone)?;
                whole = (whole.0.or(device), whole.1.or(time));
            }
        }
        let mut rows: BTreeMap<Key, usize> = BTreeMap::new();
        let mut drafts: Vec<Draft> = Vec::new();
        for hit in hits {
            if hit.rule.reading.is_none() && hit.rule.event.is_none() {
                continue;
            }
            let (device, time) = self.key(hit, zone)?;
            let key = (device.or(whole.0.clone()), time.or(whole.1));
            let row = *rows.entry(key.clone()).or_insert_with(|| {
                drafts.push(draft(&key));
                drafts.len() - 1
            });
            if let Some(rule) = &hit.rule.reading {
                drafts[row].readings.push(self.reading(hit, rule)?);
            }
            if let Some(rule) = &hit.rule.event {
                let event = Some(self.event(hit, rule)?);
                if drafts[row].event.is_none() {
                    drafts[row].event = event;
                } else {
                    drafts.push(Draft {
                        event,
                        ..draft(&key)
                    });
                }
            }
            if drafts.len() > MAX_ROWS_PER_MAIL {
                return Err(Reason::TooManyRows);
            }
        }
        if let Some(first) = drafts.first_mut() {
            first.sequence = sequence;
        }
        Ok(drafts)
    }

    /// Device and time that a line names itself. An unreadable time is none: an alarm must not
    /// wait for a clock.
    fn key(&self, hit: &Hit<'_, '_>, zone: i64) -> Result<Key, Reason> {
        let time = hit
            .caught("time")
            .filter(|_| hit.rule.time)
            .and_then(|text| moment::parse_any(text, zone));
        let device = match hit.caught("device").filter(|_| hit.rule.device) {
            Some(name) if self.may_speak_for(name) => Some(DeviceId::from(name)),
            Some(name) => {
                return Err(self.problem(format!(
                    "speaks for the device \"{}\", which is not in its `speaks_for`",
                    quoted(name)
                )));
            }
            None => None,
        };
        Ok((device, time))
    }

    pub(super) fn may_speak_for(&self, name: &str) -> bool {
        self.speaks_for
            .iter()
            .any(|allowed| match allowed.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == allowed,
            })
    }

    fn sequence(&self, hit: &Hit<'_, '_>, modulus: u64) -> Result<Option<Sequence>, Reason> {
        let Some(text) = hit.caught("sequence") else {
            return Ok(None);
        };
        let number = moment::number(text).and_then(|number| Sequence::new(number, modulus));
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(self.problem(format!(
                "rule {} caught \"{}\", which is no number below {modulus}",
                hit.rule.name,
                quoted(text)
            ))),
        }
    }

    fn reading(&self, hit: &Hit<'_, '_>, rule: &ReadingRule) -> Result<Reading, Reason> {
        let text = hit.caught("value").unwrap_or_default();
        let number = if rule.decimal_comma {
            text.replace('.', "").replace(',', ".")
        } else {
            text.to_owned()
        };
        let value: f64 = number.parse().map_err(|_| {
            self.problem(format!(
                "rule {} caught the value \"{}\", which is no number",
                hit.rule.name,
                quoted(text)
            ))
        })?;
        let unit = rule.unit.as_ref().map(|unit| unit.render(&hit.captures));
        Ok(Reading {
            name: rule.metric.render(&hit.captures),
            value: value * rule.scale,
            unit: unit.filter(|unit| !unit.is_empty()),
        })
    }

    fn event(&self, hit: &Hit<'_, '_>, rule: &EventRule) -> Result<DeviceEvent, Reason> {
        let clears = match rule.state {
            State::Opens => false,
            State::Clears => true,
            State::Captured => self.clears(hit)?,
        };
        let severity = match rule.severity {
            Grade::Fixed(severity) => severity,
            Grade::Captured => self.severity(hit)?,
        };
        let text = match &rule.text {
            Some(text) => text.render(&hit.captures),
            None => hit.captures.get(0).map_or("", |m| m.as_str()).to_owned(),
        };
        Ok(DeviceEvent {
            condition: slug(&rule.condition.render(&hit.captures)),
            severity: if clears { Severity::Info } else { severity },
            text: sentence(&text),
            clears,
        })
    }

    /// A state begins with one of the words: `Normal (27 °C)`.
    fn clears(&self, hit: &Hit<'_, '_>) -> Result<bool, Reason> {
        let state = hit.caught("state").unwrap_or_default().to_lowercase();
        let any = |words: &[String]| words.iter().any(|word| state.starts_with(word.as_str()));
        let ends = if self.words.clear.is_empty() {
            ENDS.iter().any(|word| state.starts_with(word))
        } else {
            any(&self.words.clear)
        };
        if ends || self.words.open.is_empty() || any(&self.words.open) {
            return Ok(ends);
        }
        Err(self.problem(format!(
            "rule {} caught the state \"{}\", which is neither in `words.open` nor in `words.clear`",
            hit.rule.name,
            quoted(&state)
        )))
    }

    fn severity(&self, hit: &Hit<'_, '_>) -> Result<Severity, Reason> {
        let word = hit.caught("severity").unwrap_or_default();
        let lower = word.to_lowercase();
        let graded = [
            (&self.words.info, Severity::Info),
            (&self.words.warning, Severity::Warning),
            (&self.words.critical, Severity::Critical),
        ];
        let own = graded.iter().find(|(words, _)| words.contains(&lower));
        own.map(|(_, severity)| *severity)
            .or_else(|| severity(word))
            .ok_or_else(|| {
                self.problem(format!(
                    "rule {} caught the severity \"{}\", which is in no list of `[words]`",
                    hit.rule.name,
                    quoted(word)
                ))
            })
    }
}

impl<'l> Hit<'l, '_> {
    fn caught(&self, name: &str) -> Option<&'l str> {
        let text = self.captures.name(name)?.as_str().trim();
        (!text.is_empty()).then_some(text)
    }
}

fn draft((device, device_time): &Key) -> Draft {
    Draft {
        device: device.clone(),
        device_time: *device_time,
        ..Draft::default()
    }
}

fn texts<'l>(letter: &'l Letter, place: &Place) -> Vec<&'l str> {
    match place {
        Place::Subject => vec![letter.subject.as_str()],
        Place::Body => vec![letter.body()],
        Place::Attachments => letter.texts(|part| part.name.is_some()).collect(),
        Place::Header(name) => letter.header(name).into_iter().collect(),
    }
}

/// At most [`MAX_LINE_BYTES`], at a character's border.
fn shortened(line: &str) -> &str {
    &line[..line.floor_char_boundary(MAX_LINE_BYTES)]
}
