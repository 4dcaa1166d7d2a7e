//! What must be true for a run to be good. Each stage is one line; a failed one makes the exit code 1.
//! Pure.

use crate::book::Audit;
use crate::watch::{Longest, Watch};
use serde::Serialize;
use std::time::Duration;

/// While a majority is there, the ledger grows at least once in this time: an election takes some
/// two seconds, two in a row may be needed, and the machine may be busy with something else.
pub(crate) const COMMIT_LIMIT: Duration = Duration::from_secs(20);

/// A stage and what came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) says: String,
}

/// Everything that is judged.
pub(crate) struct Evidence<'a> {
    pub(crate) watch: &'a Watch,
    pub(crate) mails: Audit,
    pub(crate) records: Audit,
    /// Mails sent.
    pub(crate) sent: u64,
    pub(crate) refused: &'a [String],
    /// Episodes played, and planned.
    pub(crate) played: usize,
    pub(crate) planned: usize,
    pub(crate) strikes: usize,
    /// Faults not noticed or not healed.
    pub(crate) wounds: Vec<String>,
    /// What the cluster lacked of being whole at the end.
    pub(crate) lacks: Option<String>,
    /// Rounds closed, in all and since the last fault had healed.
    pub(crate) rounds: u64,
    pub(crate) rounds_after: u64,
    /// Key epochs of the nodes at the end.
    pub(crate) epochs: Vec<u64>,
    /// Leaves on each node's disk at the end, and the first difference.
    pub(crate) leaves: Vec<u64>,
    pub(crate) difference: Option<String>,
    /// Ledgers that did not verify.
    pub(crate) unverified: Vec<String>,
    /// Processes that ended by themselves, or not when asked.
    pub(crate) processes: Vec<String>,
    /// What went wrong with the run itself.
    pub(crate) failures: Vec<String>,
}

/// All stages.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut stage = |name, good: String, bad: Vec<String>| {
        let ok = bad.is_empty();
        let says = if ok { good } else { bad.join("; ") };
        stages.push(Stage { name, ok, says });
    };
    let Evidence { watch, .. } = evidence;
    let mut bad = evidence.wounds.clone();
    if evidence.played == 0 {
        bad.push("no episode was played".into());
    }
    stage(
        "faults",
        format!(
            "{} in {} of {} episodes, all noticed and healed",
            evidence.strikes, evidence.played, evidence.planned
        ),
        bad,
    );
    let mut bad = evidence.mails.complaints.clone();
    bad.extend(evidence.refused.iter().take(3).cloned());
    if evidence.mails.acknowledged == 0 {
        bad.push("no mail was acknowledged".into());
    }
    stage(
        "mail",
        format!(
            "{} sent, {} acknowledged, each on the ledger exactly once where it was taken ({} were taken by two mailboxes, since the first answer was lost)",
            evidence.sent, evidence.mails.acknowledged, evidence.mails.repeated
        ),
        bad,
    );
    let mut bad = evidence.records.complaints.clone();
    if evidence.records.acknowledged == 0 {
        bad.push("no record was acknowledged".into());
    }
    stage(
        "mainframe",
        format!(
            "{} records acknowledged, {} on the topic, each on the ledger once, with its digest",
            evidence.records.acknowledged, evidence.records.accounted
        ),
        bad,
    );
    let promised = watch.without_promised_commit();
    let late = promised.took > COMMIT_LIMIT;
    stage(
        "progress",
        format!(
            "never more than {} without a commit while a majority was there",
            seconds(promised.took)
        ),
        late.then(|| {
            format!(
                "{} without a commit from {} on, although a majority was there; {} are allowed",
                seconds(promised.took),
                seconds(promised.from),
                seconds(COMMIT_LIMIT)
            )
        })
        .into_iter()
        .collect(),
    );
    stage(
        "cluster",
        "all nodes up, linked, with a vote and one leader".into(),
        evidence.lacks.iter().cloned().collect(),
    );
    let mut bad: Vec<String> = evidence.difference.iter().cloned().collect();
    bad.extend(evidence.unverified.iter().cloned());
    if evidence.leaves.contains(&0) || evidence.leaves.is_empty() {
        bad.push("a ledger is empty".into());
    }
    stage(
        "ledger",
        format!(
            "the same history on every disk ({} leaves), each verified with a majority's cosignatures",
            evidence.leaves.iter().min().unwrap_or(&0)
        ),
        bad,
    );
    let bad = (evidence.rounds_after == 0).then(|| "no round closed after the last fault".into());
    stage(
        "learning",
        format!(
            "{} rounds closed, {} of them after the last fault",
            evidence.rounds, evidence.rounds_after
        ),
        bad.into_iter().collect(),
    );
    let equal = evidence.epochs.windows(2).all(|pair| pair[0] == pair[1]);
    let grown = evidence.epochs.first().is_some_and(|epoch| *epoch > 0);
    stage(
        "keys",
        format!("all at epoch {}", evidence.epochs.first().unwrap_or(&0)),
        (!equal || !grown)
            .then(|| format!("nodes are at key epochs {:?}", evidence.epochs))
            .into_iter()
            .collect(),
    );
    stage(
        "invariants",
        format!(
            "one leader in each of {} terms, one history at {} sizes, epochs only grew, no supervisor beyond its intensity ({} restarts), at most {} MiB a node",
            watch.terms(),
            watch.sizes(),
            watch.restarts(),
            watch.memory() >> 20
        ),
        watch.complaints(),
    );
    let mut bad = evidence.processes.clone();
    bad.extend(evidence.failures.iter().cloned());
    stage("processes", "all nodes stopped cleanly".into(), bad);
    stages
}

/// The figures, a line each.
pub(crate) fn figures(watch: &Watch) -> Vec<(&'static str, String)> {
    let told = |longest: Longest| {
        format!(
            "{} at most, from {} on",
            seconds(longest.took),
            seconds(longest.from)
        )
    };
    vec![
        ("without a commit", told(watch.without_commit())),
        ("without a mail", told(watch.without_mail())),
    ]
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit() -> Audit {
        Audit {
            acknowledged: 5,
            accounted: 5,
            repeated: 0,
            complaints: Vec::new(),
        }
    }

    fn evidence(watch: &Watch) -> Evidence<'_> {
        Evidence {
            watch,
            mails: audit(),
            records: audit(),
            sent: 5,
            refused: &[],
            played: 3,
            planned: 3,
            strikes: 7,
            wounds: Vec::new(),
            lacks: None,
            rounds: 9,
            rounds_after: 1,
            epochs: vec![4, 4],
            leaves: vec![30, 31],
            difference: None,
            unverified: Vec::new(),
            processes: Vec::new(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn a_good_run_is_good_and_each_fault_fails_its_own_stage() {
        let watch = Watch::new(2);
        assert!(judge(&evidence(&watch)).iter().all(|stage| stage.ok));
        type Spoil = fn(&mut Evidence<'_>);
        let cases: [(&str, Spoil); 17] = [
            ("faults", |e| e.wounds = vec!["not healed".into()]),
            ("faults", |e| e.played = 0),
            ("mail", |e| e.mails.complaints = vec!["lost".into()]),
            ("mail", |e| e.mails.acknowledged = 0),
            ("mainframe", |e| e.records.complaints = vec!["lost".into()]),
            ("mainframe", |e| e.records.acknowledged = 0),
            ("cluster", |e| e.lacks = Some("node-1 is down".into())),
            ("ledger", |e| e.difference = Some("leaf 3".into())),
            ("ledger", |e| e.unverified = vec!["node-1".into()]),
            ("ledger", |e| e.leaves = vec![0, 3]),
            ("ledger", |e| e.leaves.clear()),
            ("learning", |e| e.rounds_after = 0),
            ("keys", |e| e.epochs = vec![4, 5]),
            ("keys", |e| e.epochs = vec![0, 0]),
            ("keys", |e| e.epochs.clear()),
            ("processes", |e| e.processes = vec!["died".into()]),
            ("processes", |e| e.failures = vec!["no broker".into()]),
        ];
        for (name, spoil) in cases {
            let mut spoilt = evidence(&watch);
            spoil(&mut spoilt);
            let stages = judge(&spoilt);
            let failed: Vec<&str> = stages
                .iter()
                .filter(|stage| !stage.ok)
                .map(|stage| stage.name)
                .collect();
            assert_eq!(failed, [name]);
        }
        let refused = ["550 no".to_owned()];
        let mut spoilt = evidence(&watch);
        spoilt.refused = &refused;
        assert!(
            judge(&spoilt)
                .iter()
                .any(|stage| !stage.ok && stage.name == "mail")
        );
    }

    #[test]
    fn a_long_time_without_a_promised_commit_fails() {
        let mut watch = Watch::new(2);
        watch.begin(Duration::ZERO);
        watch.note(COMMIT_LIMIT, true, 0, &[]);
        assert!(judge(&evidence(&watch)).iter().all(|stage| stage.ok));
        watch.note(COMMIT_LIMIT + Duration::from_millis(1), true, 0, &[]);
        let stages = judge(&evidence(&watch));
        let failed = stages.iter().find(|stage| !stage.ok).unwrap();
        assert_eq!(failed.name, "progress");
    }
}
