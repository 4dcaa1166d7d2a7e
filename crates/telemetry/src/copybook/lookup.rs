//! Fields by name.

use super::{Copybook, LookupError};

/// Names listed in an error; a record of thousands of fields would fill the screen.
const NAMES_SHOWN: usize = 60;

impl Copybook {
    /// Index in [`fields`](Self::fields) of a named field: its whole path, or as much of the path's
    /// end as makes it unique (`REGION` for `TERMINAL.REGION`). Case does not matter.
    pub fn find(&self, name: &str) -> Result<usize, LookupError> {
        let wanted = name.to_ascii_uppercase();
        let ends_so = |path: &str| {
            path.strip_suffix(wanted.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        let mut found = self
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| !field.filler && ends_so(&field.path));
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(index),
            (None, _) => Err(LookupError::Unknown {
                name: name.to_owned(),
                record: self.name.clone(),
                known: self.known(),
            }),
            (Some((_, first)), Some((_, second))) => Err(LookupError::Ambiguous {
                name: name.to_owned(),
                first: first.path.clone(),
                second: second.path.clone(),
            }),
        }
    }

    fn known(&self) -> String {
        let named = || self.fields.iter().filter(|field| !field.filler);
        let mut paths: Vec<&str> = named()
            .take(NAMES_SHOWN)
            .map(|field| field.path.as_str())
            .collect();
        if named().nth(NAMES_SHOWN).is_some() {
            paths.push("…");
        }
        paths.join(", ")
    }
}
