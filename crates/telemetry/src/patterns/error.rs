//! What can be wrong with a file.

use std::fmt;

/// One complaint: where, what, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatternError {
    /// The file.
    pub file: String,
    /// The line in it, from 1; `None`: the file as a whole.
    pub line: Option<usize>,
    /// The rule, by its name or number, where it is about one.
    pub rule: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl PatternError {
    /// About the file as a whole.
    pub(super) fn whole(file: &str, problem: String, remedy: &str) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            rule: None,
            problem,
            remedy: remedy.to_owned(),
        }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, ": rule {rule}")?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

impl std::error::Error for PatternError {}
