//! The source text of pure crates, tests left out.

use super::lexer::{code_only, is_word};
use super::rules::{PATHS, WORDS};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A violation: file, line, sentence.
pub(super) type Violation = (PathBuf, usize, String);

/// Looks through all files of one crate; files that are modules for tests are left out.
pub(super) fn violations(files: &[(PathBuf, String)]) -> Vec<Violation> {
    let mut test_files = BTreeSet::new();
    let stripped: Vec<(&PathBuf, String)> = files
        .iter()
        .map(|(path, text)| {
            let (code, modules) = without_tests(text);
            test_files.extend(modules.iter().flat_map(|module| module.files(path)));
            (path, code)
        })
        .collect();
    let is_test = |path: &Path| {
        test_files
            .iter()
            .any(|test: &PathBuf| path == test || path.starts_with(test.with_extension("")))
    };
    let mut found = Vec::new();
    for (path, code) in stripped.iter().filter(|(path, _)| !is_test(path)) {
        found.extend(
            effects(code)
                .into_iter()
                .map(|(line, what)| ((*path).clone(), line, what)),
        );
    }
    found
}

/// A module declared for tests only.
struct TestModule {
    name: String,
    /// By a `#[path]` attribute.
    path: Option<String>,
}

impl TestModule {
    /// Where it may lie, as seen from the declaring file.
    fn files(&self, declared_in: &Path) -> Vec<PathBuf> {
        let folder = declared_in.parent().unwrap_or(Path::new(""));
        if let Some(path) = &self.path {
            return vec![folder.join(path)];
        }
        let stem = declared_in.file_stem().unwrap_or_default();
        let own = if ["lib", "main", "mod"].iter().any(|root| stem == *root) {
            folder.to_path_buf()
        } else {
            folder.join(stem)
        };
        vec![
            own.join(format!("{}.rs", self.name)),
            own.join(&self.name).join("mod.rs"),
        ]
    }
}

/// The code with every `#[cfg(test)]` item blanked, and the test modules in files of their own.
fn without_tests(text: &str) -> (String, Vec<TestModule>) {
    const MARK: &str = "#[cfg(test)]";
    let mut code = code_only(text).into_bytes();
    let mut modules = Vec::new();
    let mut from = 0;
    while let Some(start) = find(&code, MARK.as_bytes(), from) {
        let end = item_end(&code, start + MARK.len());
        let item = String::from_utf8_lossy(&code[start..end]).into_owned();
        if let Some(name) = item
            .strip_suffix(';')
            .and_then(|item| item.rsplit_once("mod "))
            .map(|(_, name)| name.trim())
        {
            // The literal was blanked; it stands in the text at the same place.
            let path = text[start..end]
                .split_once("path = \"")
                .and_then(|(_, rest)| rest.split_once('"'));
            modules.push(TestModule {
                name: name.to_owned(),
                path: path.map(|(path, _)| path.to_owned()),
            });
        }
        code[start..end]
            .iter_mut()
            .filter(|byte| **byte != b'\n')
            .for_each(|byte| *byte = b' ');
        from = end;
    }
    (String::from_utf8_lossy(&code).into_owned(), modules)
}

fn find(code: &[u8], what: &[u8], from: usize) -> Option<usize> {
    code[from..]
        .windows(what.len())
        .position(|window| window == what)
        .map(|at| from + at)
}

/// The end of the item that starts here: its `;` or its closing brace.
fn item_end(code: &[u8], from: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *byte == b'}' {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// (line, sentence) of everything forbidden in this code.
fn effects(code: &str) -> Vec<(usize, String)> {
    let mut found = BTreeSet::new();
    for (offset, path) in paths(code) {
        let line = code[..offset].matches('\n').count() + 1;
        for (rule, reason) in PATHS {
            if path == rule
                || path
                    .strip_prefix(rule)
                    .is_some_and(|rest| rest.starts_with("::"))
            {
                found.insert((line, format!("{rule} {reason}")));
            }
        }
        for (word, reason) in WORDS {
            let padded = format!("::{path}::");
            let twice = PATHS
                .iter()
                .any(|(rule, _)| path.starts_with(rule) && rule.ends_with(word));
            if padded.contains(&format!("::{word}::")) && !twice {
                found.insert((line, format!("{word} {reason}")));
            }
        }
    }
    found.into_iter().collect()
}

/// All paths of the code (`a::b::c`, a plain word included) with their offsets; the groups of
/// `use` declarations are multiplied out.
fn paths(code: &str) -> Vec<(usize, String)> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut groups: Vec<String> = Vec::new(); // prefixes of the open `::{` groups; "" for other braces
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => groups.push(String::new()),
            b'}' => drop(groups.pop()),
            byte if is_word(byte) => {
                let start = at;
                let prefix = groups.last().cloned().unwrap_or_default();
                let (path, end, opens) = read_path(code, at);
                let whole = prefix + &path;
                if opens {
                    groups.push(format!("{whole}::"));
                }
                found.push((start, whole));
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// A path from its first word; whether a `::{` group follows (then the end lies behind it).
fn read_path(code: &str, start: usize) -> (String, usize, bool) {
    let bytes = code.as_bytes();
    let word_end = |from: usize| {
        bytes[from..]
            .iter()
            .position(|&byte| !is_word(byte))
            .map_or(bytes.len(), |n| from + n)
    };
    let skip_space = |from: usize| {
        bytes[from..]
            .iter()
            .position(|byte| !byte.is_ascii_whitespace())
            .map_or(bytes.len(), |n| from + n)
    };
    let mut end = word_end(start);
    let mut path = code[start..end].to_owned();
    loop {
        let colons = skip_space(end);
        if !bytes[colons..].starts_with(b"::") {
            return (path, end, false);
        }
        let next = skip_space(colons + 2);
        match bytes.get(next) {
            Some(b'{') => return (path, next + 1, true),
            Some(&byte) if is_word(byte) => {
                end = word_end(next);
                path = format!("{path}::{}", &code[next..end]);
            }
            _ => return (path, end, false),
        }
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
