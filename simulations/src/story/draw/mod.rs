//! A run as one HTML file that opens from disk: lanes, messages between them, faults, leaders, key
//! epochs, ledgers, logs. No server, no network, nothing but the file (its own policy forbids more).
//!
//! | file | what |
//! |---|---|
//! | `pack` | the story as bytes, and which of it where there is too much |
//! | `page/page.html`, `style.css` | the frame |
//! | `page/data.js` | unpacks, and indexes by time |
//! | `page/paint.js` | the canvases: only what is visible, thinned where it would be a blot |
//! | `page/frame.js` | names of lanes, the axis, the whole run in small |
//! | `page/use.js` | mouse, keyboard, search, `#t=from,to` in the address (seconds) |

mod pack;
#[cfg(test)]
mod tests;

use super::plans::{describe, lane, what};
use crate::outcome::Outcome;
use crate::plan::What;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 4] = [
    include_str!("page/data.js"),
    include_str!("page/paint.js"),
    include_str!("page/frame.js"),
    include_str!("page/use.js"),
];

/// What the page is told. Numbers are milliseconds; what may exceed 2^53 is text.
#[derive(Serialize)]
struct Data<'a> {
    scenario: &'a str,
    seed: String,
    nodes: u8,
    faults_ms: u64,
    end_ms: u64,
    trace: &'a str,
    lanes: Vec<String>,
    strings: Vec<String>,
    faults: Vec<Bar>,
    violations: Vec<Red<'a>>,
    happenings: usize,
    /// What was left out, in a sentence; empty: nothing.
    cut: String,
    packed: String,
}

/// A planned fault.
#[derive(Serialize)]
struct Bar {
    from: u64,
    to: u64,
    lanes: Vec<usize>,
    text: String,
}

/// A violation.
#[derive(Serialize)]
struct Red<'a> {
    at: u64,
    id: &'a str,
    text: String,
}

/// Draws the story of `outcome`, which must have been told.
pub fn draw(outcome: &Outcome) -> String {
    let packed = pack::pack(outcome);
    let end_ms = end(outcome);
    let data = Data {
        scenario: &outcome.plan.scenario,
        seed: outcome.plan.seed.to_string(),
        nodes: outcome.plan.nodes,
        faults_ms: outcome.plan.faults_ms,
        end_ms,
        trace: &outcome.trace,
        faults: bars(outcome, &packed.lanes, end_ms),
        violations: outcome
            .violations
            .iter()
            .map(|v| Red {
                at: v.at_ms,
                id: &v.id,
                text: format!("{} ({})", v.says, v.detail),
            })
            .collect(),
        lanes: packed.lanes,
        strings: packed.strings,
        happenings: packed.happenings,
        cut: packed.cut,
        packed: STANDARD.encode(packed.bytes),
    };
    let json = serde_json::to_string(&data)
        .expect("structs of numbers and strings with string keys always serialize");
    let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat());
    let title = format!("{} seed {}", outcome.plan.scenario, outcome.plan.seed);
    // One pass over the template: what is put in is never looked at again.
    fill(
        PAGE,
        &[
            ("TITLE", &html(&title)),
            ("STYLE_HASH", &hash(STYLE)),
            ("SCRIPT_HASH", &hash(&script)),
            ("STYLE", STYLE),
            ("DATA", &inert(&json)),
            ("SCRIPT", &script),
        ],
    )
}

/// The last moment of the run.
fn end(outcome: &Outcome) -> u64 {
    let told = outcome.story.last().map_or(0, |happening| happening.at_ms);
    let broken = outcome
        .violations
        .iter()
        .map(|v| v.at_ms)
        .max()
        .unwrap_or(0);
    outcome.virtual_ms.max(told).max(broken).max(1)
}

fn bars(outcome: &Outcome, lanes: &[String], end_ms: u64) -> Vec<Bar> {
    let plan = &outcome.plan;
    let place = |name: &str| lanes.iter().position(|lane| lane == name);
    let began = plan.faults.iter().filter(|fault| fault.at_ms <= end_ms);
    began
        .map(|fault| {
            let mut names: Vec<String> =
                what::nodes(&fault.what).iter().map(|&n| lane(n)).collect();
            if let What::BrokerCrash { .. } = fault.what {
                names.push("broker".into());
            }
            let lasts = what::lasts(&fault.what).unwrap_or(0);
            Bar {
                from: fault.at_ms,
                // Whatever lasts longer ends with the phase; what stays, with the run.
                to: match lasts {
                    u64::MAX => end_ms,
                    ms => fault
                        .at_ms
                        .saturating_add(ms)
                        .min(plan.faults_ms)
                        .min(end_ms),
                },
                lanes: names.iter().filter_map(|name| place(name)).collect(),
                text: describe(&fault.what),
            }
        })
        .collect()
}

/// Puts values where the template says `{{NAME}}`; unknown names stay.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let (before, from) = rest.split_at(start);
        out += before;
        let value = values.iter().find_map(|(name, value)| {
            let after = from[2..].strip_prefix(name)?.strip_prefix("}}")?;
            Some((*value, after))
        });
        match value {
            Some((value, after)) => {
                out += value;
                rest = after;
            }
            None => {
                out += "{{";
                rest = &from[2..];
            }
        }
    }
    out + rest
}

/// Text as HTML.
fn html(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".into(),
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            '"' => "&quot;".into(),
            '\'' => "&#39;".into(),
            c => c.to_string(),
        })
        .collect()
}

/// JSON that nothing in a `<script>` element can take for markup. These characters occur in its
/// strings only, where the escape means the same.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// Source expression of the page's policy: this very text and no other.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}
