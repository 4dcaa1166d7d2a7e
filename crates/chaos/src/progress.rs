//! Live progress: a line that is redrawn on a terminal, one every few seconds elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a log (not a terminal) gets a line.
const LOG_PERIOD: Duration = Duration::from_secs(10);
/// The moving line is cut here: one that wraps would spoil the redrawing.
const COLUMNS: usize = 100;

/// Says what happens while it happens.
pub(crate) struct Progress {
    terminal: bool,
    drawn: bool,
    started: Instant,
    logged: Option<Instant>,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: false,
            started: Instant::now(),
            logged: None,
        }
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A lasting line.
    pub(crate) fn say(&mut self, text: &str) {
        self.erase();
        println!("{:>6.1} s  {text}", self.now().as_secs_f64());
    }

    /// The moving line.
    pub(crate) fn show(&mut self, text: &str) {
        let now = self.now().as_secs_f64();
        if self.terminal {
            let line: String = text.chars().take(COLUMNS).collect();
            print!("\r\x1b[K{now:>6.1} s  {line}");
            // A terminal that went away must not stop the run.
            let _ = std::io::stdout().flush();
            self.drawn = true;
        } else if self.logged.is_none_or(|at| at.elapsed() >= LOG_PERIOD) {
            self.logged = Some(Instant::now());
            println!("{now:>6.1} s  {text}");
        }
    }

    /// Removes the moving line.
    pub(crate) fn erase(&mut self) {
        if self.drawn {
            print!("\r\x1b[K");
            self.drawn = false;
        }
    }
}
