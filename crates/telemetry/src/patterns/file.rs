//! The file's keys. Spans lead from a complaint back to its line.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) about: String,
    #[serde(rename = "match")]
    pub(super) conditions: Spanned<Match>,
    #[serde(default)]
    pub(super) words: Words,
    #[serde(default)]
    pub(super) speaks_for: Vec<String>,
    #[serde(rename = "rule")]
    pub(super) rules: Vec<Spanned<Rule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Match {
    pub(super) subject: Option<Spanned<String>>,
    pub(super) from: Option<Spanned<String>>,
    pub(super) body: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub(super) devices: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Words {
    pub(super) open: Vec<String>,
    pub(super) clear: Vec<String>,
    pub(super) info: Vec<String>,
    pub(super) warning: Vec<String>,
    pub(super) critical: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) name: Option<String>,
    #[serde(rename = "in")]
    pub(super) place: Option<Spanned<String>>,
    pub(super) regex: Spanned<String>,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) metric: Option<Spanned<String>>,
    pub(super) unit: Option<Spanned<String>>,
    pub(super) decimal: Option<Spanned<String>>,
    pub(super) scale: Option<Spanned<f64>>,
    pub(super) condition: Option<Spanned<String>>,
    pub(super) state: Option<Spanned<String>>,
    pub(super) severity: Option<Spanned<String>>,
    pub(super) text: Option<Spanned<String>>,
    pub(super) wraps_at: Option<Spanned<u64>>,
}
