//! A run as a timeline in the terminal: when, in whose lane, what.
//!
//! Messages come in floods, so they are counted for each pair of lanes; in the last seconds before
//! a violation finely, elsewhere by the second.

mod condense;
mod paint;
mod terminal;
#[cfg(test)]
mod tests;

pub use terminal::{Stdin, width};

use crate::outcome::Outcome;
use condense::Tone;
use std::io::{self, Write};

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Nothing after this, virtual milliseconds.
    pub until_ms: Option<u64>,
    /// No more than so many lines before that, and no messages: what fits onto a screen.
    pub last: Option<usize>,
    /// Waits after each moment.
    pub step: bool,
    /// Columns.
    pub width: usize,
    /// Colours: for terminals only.
    pub colour: bool,
}

/// What the person at the terminal wants after a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// The next moment.
    On,
    /// All the rest at once.
    Run,
    /// No more.
    Quit,
}

/// Who says when to go on.
pub trait Enter {
    /// Waits for it.
    ///
    /// # Errors
    /// Those of the input.
    fn wait(&mut self) -> io::Result<Go>;
}

/// Prints the story of `outcome`, which must have been told.
///
/// # Errors
/// Those of `out` and `enter`.
pub fn replay(
    outcome: &Outcome,
    view: &View,
    out: &mut dyn Write,
    enter: &mut dyn Enter,
) -> io::Result<()> {
    let plan = &outcome.plan;
    writeln!(
        out,
        "{}, seed {}: {} nodes, {} faults in {} s, then {} s of calm",
        paint::plain(&plan.scenario),
        plan.seed,
        plan.nodes,
        plan.faults.len(),
        plan.faults_ms as f64 / 1e3,
        plan.calm_ms as f64 / 1e3,
    )?;
    let mut lines = condense::lines(outcome);
    if view.last.is_some() {
        lines.retain(|line| line.tone != Tone::Message);
    }
    let mut shown = view.until_ms.map_or(lines.len(), |until| {
        lines.partition_point(|line| line.at_ms <= until)
    });
    if let Some(last) = view.last
        && shown > last
    {
        let before = shown - last;
        writeln!(out, "… {before} lines before, and messages")?;
        lines.drain(..before);
        shown = last;
    }
    let lanes = lines.iter().map(|line| line.lane.chars().count());
    let columns = lanes.max().unwrap_or(0).min(paint::LANE_MOST);
    let mut stepping = view.step;
    let moments = lines[..shown].chunk_by(|a, b| a.at_ms == b.at_ms);
    for moment in moments {
        for line in moment {
            out.write_all(paint::line(line, columns, view).as_bytes())?;
        }
        if stepping {
            out.flush()?;
            match enter.wait()? {
                Go::On => {}
                Go::Run => stepping = false,
                Go::Quit => return Ok(()),
            }
        }
    }
    let later = &lines[shown..];
    if let Some(first) = later.iter().find(|line| line.tone == Tone::Violation) {
        let at = first.at_ms as f64 / 1e3;
        writeln!(
            out,
            "… {} more lines; the violation is at {at:.3} s",
            later.len()
        )?;
    } else if !later.is_empty() {
        writeln!(out, "… {} more lines", later.len())?;
    }
    writeln!(out, "{outcome}")
}

/// Happenings before a violation that are shown finely and marked, virtual milliseconds.
const NEAR_MS: u64 = 2_000;

fn near(outcome: &Outcome, at_ms: u64) -> bool {
    let before = |v: &crate::outcome::Violation| v.at_ms.saturating_sub(NEAR_MS)..=v.at_ms;
    outcome
        .violations
        .iter()
        .any(|v| before(v).contains(&at_ms))
}
