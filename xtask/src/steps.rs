//! A run of named steps: announced, timed, stopped at the first failure, summed up in a table.

use crate::command::Failure;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How a step ended.
enum Ending {
    Passed,
    /// Passed, with a remark.
    Noted(String),
    Failed,
    NotReached,
}

/// A step: a name and what to do. `Ok(Some(_))` is a remark for the table.
pub(crate) struct Step<'a> {
    pub(crate) name: &'static str,
    pub(crate) work: Box<dyn FnOnce() -> Result<Option<String>, Failure> + 'a>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(name: &'static str, work: impl FnOnce() -> Result<(), Failure> + 'a) -> Self {
        Self {
            name,
            work: Box::new(|| work().map(|()| None)),
        }
    }

    pub(crate) fn noting(
        name: &'static str,
        work: impl FnOnce() -> Result<Option<String>, Failure> + 'a,
    ) -> Self {
        Self {
            name,
            work: Box::new(work),
        }
    }
}

/// Runs the steps in order and prints the table.
pub(crate) fn run(steps: Vec<Step<'_>>) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut failure = None;
    let start = Instant::now();
    for step in steps {
        if failure.is_some() {
            rows.push((step.name, Duration::ZERO, Ending::NotReached));
            continue;
        }
        println!("\n==> {}", step.name);
        let begin = Instant::now();
        let ending = match (step.work)() {
            Ok(None) => Ending::Passed,
            Ok(Some(note)) => Ending::Noted(note),
            Err(error) => {
                failure = Some(Failure::new(format!(
                    "step `{}` failed: {error}",
                    step.name
                )));
                Ending::Failed
            }
        };
        println!(
            "<== {}: {} in {}",
            step.name,
            ending.word(),
            seconds(begin.elapsed())
        );
        rows.push((step.name, begin.elapsed(), ending));
    }
    println!("\n{}", table(&rows, start.elapsed()));
    failure.map_or(Ok(()), Err)
}

impl Ending {
    const fn word(&self) -> &'static str {
        match self {
            Self::Passed | Self::Noted(_) => "passed",
            Self::Failed => "FAILED",
            Self::NotReached => "not reached",
        }
    }
}

fn table(rows: &[(&'static str, Duration, Ending)], total: Duration) -> String {
    let width = rows
        .iter()
        .map(|(name, ..)| name.len())
        .max()
        .unwrap_or(0)
        .max(5);
    let mut text = String::new();
    for (name, took, ending) in rows {
        let time = if matches!(ending, Ending::NotReached) {
            "-".to_owned()
        } else {
            seconds(*took)
        };
        let note = if let Ending::Noted(note) = ending {
            format!(" ({note})")
        } else {
            String::new()
        };
        let _ = writeln!(text, "{name:width$}  {time:>9}  {}{note}", ending.word());
    }
    let _ = write!(text, "{:width$}  {:>9}", "total", seconds(total));
    text
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn stops_at_the_first_failure_and_names_it() {
        let reached = RefCell::new(Vec::new());
        let step = |name, good: bool| {
            let reached = &reached;
            Step::new(name, move || {
                reached.borrow_mut().push(name);
                if good {
                    Ok(())
                } else {
                    Err(Failure::new("bad weather"))
                }
            })
        };
        let failure = run(vec![
            step("one", true),
            step("two", false),
            step("three", true),
        ])
        .unwrap_err();
        assert_eq!(failure.to_string(), "step `two` failed: bad weather");
        assert_eq!(*reached.borrow(), ["one", "two"]);
    }

    #[test]
    fn the_table_shows_every_step() {
        let rows = [
            ("format", Duration::from_millis(1_340), Ending::Passed),
            (
                "licences",
                Duration::from_secs(2),
                Ending::Noted("no advisories".to_owned()),
            ),
            ("test", Duration::from_secs(61), Ending::Failed),
            ("documentation", Duration::ZERO, Ending::NotReached),
        ];
        let expected = "\
format             1.3 s  passed
licences           2.0 s  passed (no advisories)
test              61.0 s  FAILED
documentation          -  not reached
total             65.0 s";
        assert_eq!(table(&rows, Duration::from_secs(65)), expected);
    }
}
