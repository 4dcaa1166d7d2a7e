use super::Violation;
use std::fmt;

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// SHA-256 over all events, hex.
    pub trace: String,
    /// How many.
    pub events: u64,
    /// Leaves of the ledger.
    pub leaves: u64,
    /// Rounds closed.
    pub closed: u64,
    /// Rounds abandoned.
    pub abandoned: u64,
    /// The last key epoch.
    pub key_epoch: u64,
    /// Group commits that lost their race.
    pub lost_commits: u64,
    /// Crashes.
    pub crashes: u64,
    /// Cuts of one node from the others.
    pub cuts: u64,
    /// Changes of leader.
    pub elections: u64,
    /// Payloads opened.
    pub opened: u64,
    /// Payloads refused or given up.
    pub refused: u64,
    /// The first broken rule, which ends a run.
    pub violation: Option<Violation>,
    /// The events before it; empty without one.
    pub last_events: Vec<String>,
}

impl fmt::Display for Report {
    /// Figures, then the line that scripts read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.last_events {
            writeln!(f, "{line}")?;
        }
        if let Some(violation) = &self.violation {
            writeln!(f, "{violation}")?;
        }
        writeln!(
            f,
            "events={} leaves={} rounds_closed={} rounds_abandoned={} key_epoch={} lost_commits={} \
             crashes={} cuts={} elections={} opened={} refused={}",
            self.events,
            self.leaves,
            self.closed,
            self.abandoned,
            self.key_epoch,
            self.lost_commits,
            self.crashes,
            self.cuts,
            self.elections,
            self.opened,
            self.refused
        )?;
        write!(
            f,
            "seed={} trace={} violations={}",
            self.seed,
            self.trace,
            u8::from(self.violation.is_some())
        )
    }
}
