//! Which crates may touch the world (docs/decisions/0002): the pure ones decide from their
//! inputs alone, so that a run can be replayed and simulated. Checked on the dependency graph
//! and on the source text; either alone would miss something.

pub(crate) mod graph;
mod lexer;
mod rules;
mod source;

use crate::command::{Failure, doing};
use crate::place::Place;
use rules::PURE;
use std::fs;
use std::path::{Path, PathBuf};

/// Fails with every violation found.
pub(crate) fn run(place: &Place) -> Result<(), Failure> {
    let metadata = graph::Metadata::load(place)?;
    let mut violations = metadata.violations();
    for krate in PURE {
        let folder = place.root.join("crates").join(krate.name).join("src");
        let files = read_sources(&folder)?;
        violations.extend(
            source::violations(&files)
                .into_iter()
                .map(|(file, line, what)| {
                    let file = file
                        .strip_prefix(&place.root)
                        .unwrap_or(&file)
                        .display()
                        .to_string();
                    format!("{file}:{line}: {what}")
                }),
        );
    }
    if violations.is_empty() {
        println!("purity: {} pure crates, no violation", PURE.len());
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} violations of purity (docs/decisions/0002-pure-core-thin-shell.md):\n  {}",
        violations.len(),
        violations.join("\n  ")
    )))
}

/// All Rust files below a folder, with their text.
fn read_sources(folder: &Path) -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut files = Vec::new();
    for entry in doing(folder.display(), fs::read_dir(folder))? {
        let path = doing(folder.display(), entry)?.path();
        if path.is_dir() {
            files.extend(read_sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = doing(path.display(), fs::read_to_string(&path))?;
            files.push((path, text));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_pure() {
        run(&Place::find().unwrap()).unwrap();
    }
}
