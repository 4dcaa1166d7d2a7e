//! The dependency graph, by `cargo metadata`.

use super::rules::{MEASURES, NEVER_BELOW, NEVER_DIRECT, OWNERS, PURE};
use crate::command::{Failure, doing};
use crate::place::Place;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What we need of the metadata. Only normal dependencies: what builds or tests a crate does
/// not run in it.
pub(crate) struct Metadata {
    /// Package id → name.
    names: BTreeMap<String, String>,
    /// Package id → ids of its normal dependencies.
    normal: BTreeMap<String, Vec<String>>,
    /// Ids of the workspace's packages.
    members: BTreeSet<String>,
    /// (package, binary) of the workspace.
    binaries: Vec<(String, String)>,
}

impl Metadata {
    /// Asks cargo.
    pub(crate) fn load(place: &Place) -> Result<Self, Failure> {
        let mut command = place.cargo();
        command
            .args(["metadata", "--format-version", "1", "--quiet"])
            .keep_errors();
        let output = doing("cargo metadata", command.output())?;
        command.judge(output.status)?;
        Self::parse(&output.stdout)
    }

    fn parse(json: &[u8]) -> Result<Self, Failure> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| Failure::new(format!("cargo metadata is not JSON: {error}")))?;
        let read = || -> Option<Self> {
            let mut names = BTreeMap::new();
            let mut binaries = Vec::new();
            let members: BTreeSet<String> = strings(&value["workspace_members"])?;
            for package in value["packages"].as_array()? {
                let (id, name) = (text(&package["id"])?, text(&package["name"])?);
                for target in package["targets"].as_array()? {
                    let binary = target["kind"].as_array()?.iter().any(|kind| kind == "bin");
                    if binary && members.contains(&id) {
                        binaries.push((name.clone(), text(&target["name"])?));
                    }
                }
                names.insert(id, name);
            }
            let mut normal = BTreeMap::new();
            for node in value["resolve"]["nodes"].as_array()? {
                let mut below = Vec::new();
                for dependency in node["deps"].as_array()? {
                    let kinds = dependency["dep_kinds"].as_array()?;
                    if kinds.iter().any(|kind| kind["kind"].is_null()) {
                        below.push(text(&dependency["pkg"])?);
                    }
                }
                normal.insert(text(&node["id"])?, below);
            }
            Some(Self {
                names,
                normal,
                members,
                binaries,
            })
        };
        read().ok_or_else(|| Failure::new("cargo metadata has not the form of version 1"))
    }

    /// Binaries of the workspace by the start of their name.
    pub(crate) fn binaries_with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        self.binaries
            .iter()
            .filter(|(_, binary)| binary.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// One sentence per violation.
    pub(super) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let member = |name: &str| self.members.iter().find(|id| self.name(id) == name);
        for krate in PURE {
            let Some(id) = member(krate.name) else {
                found.push(format!(
                    "crate {} is listed as pure but is not in the workspace",
                    krate.name
                ));
                continue;
            };
            for below in self.below(id) {
                let name = self.name(below);
                if NEVER_DIRECT.contains(&name) {
                    found.push(format!(
                        "pure crate {} depends on {name}: entropy comes in as an input",
                        krate.name
                    ));
                }
                if self.members.contains(below) && !krate.may_use.contains(&name) {
                    found.push(format!(
                        "pure crate {} depends on {name}: of the house it may use {:?} only",
                        krate.name, krate.may_use
                    ));
                }
            }
            for path in self.paths_to(id, &NEVER_BELOW) {
                found.push(format!(
                    "pure crate {} must not rest on {}: {}",
                    krate.name,
                    path[path.len() - 1],
                    path.join(" → ")
                ));
            }
        }
        for (library, owner) in OWNERS {
            let may = |id: &&String| [owner, MEASURES].contains(&self.name(id));
            for id in self.members.iter().filter(|id| !may(id)) {
                if self
                    .below(id)
                    .iter()
                    .any(|below| self.name(below) == library)
                {
                    found.push(format!(
                        "crate {} depends on {library}: only {owner} may",
                        self.name(id)
                    ));
                }
            }
        }
        found
    }

    /// The shortest path from `start` to each of the names that can be reached.
    fn paths_to(&self, start: &str, names: &[&str]) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([start]);
        let mut frontier = std::collections::VecDeque::from([vec![start]]);
        while let Some(path) = frontier.pop_front() {
            let end = path[path.len() - 1];
            if names.contains(&self.name(end)) {
                found.push(path.iter().map(|id| self.name(id).to_owned()).collect());
                continue; // what it rests on itself is no news
            }
            for below in self.below(end) {
                if seen.insert(below) {
                    frontier.push_back([path.as_slice(), &[below]].concat());
                }
            }
        }
        found
    }

    fn below(&self, id: &str) -> &[String] {
        self.normal.get(id).map_or(&[], Vec::as_slice)
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn strings(value: &Value) -> Option<BTreeSet<String>> {
    value.as_array()?.iter().map(text).collect()
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
