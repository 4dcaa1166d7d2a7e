//! After the plan: until everything has arrived, then the verdict.

use crate::book::{self, Audit, Place};
use crate::house::{NODES, name};
use crate::run::{Failure, HEAL_LIMIT, Run};
use crate::verdict::{self, Evidence, Stage};
use ledger::Applied;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use wire::{Digest, Record};

/// Asking again takes a mail's time for each mail in doubt.
const ASK_LIMIT: Duration = Duration::from_secs(60);
/// The topic of a run of minutes is some hundred thousand records.
const READ_LIMIT: Duration = Duration::from_secs(30);

type Acts = Vec<(Record, Applied)>;

impl Run<'_> {
    fn ledger_dir(&self, node: u8) -> PathBuf {
        self.house.cluster.files(&name(node)).data.join("ledger")
    }

    fn acts(&self, node: u8) -> Result<Acts, Failure> {
        Ok(replica::acts(&self.ledger_dir(node))?)
    }

    /// Waits for what is under way, stops everything, judges. True: all was well.
    pub(crate) fn settle(&mut self) -> Result<bool, Failure> {
        let post = self.post.clone();
        let open = self.runtime.block_on(post.ask_again(ASK_LIMIT))?;
        if open > 0 {
            self.failures.push(format!(
                "{open} mails could not be asked about within {} s",
                ASK_LIMIT.as_secs()
            ));
        }
        // A JVM that was started again a moment ago may still be on its way.
        if let Err(error) = self.runtime.block_on(self.house.brokers.ready()) {
            self.failures.push(error.to_string());
        }
        let topic = self
            .runtime
            .block_on(self.house.brokers.read_back(READ_LIMIT));
        let topic = topic.unwrap_or_else(|error| {
            self.failures.push(error.to_string());
            BTreeMap::new()
        });
        self.watch.unobserved();
        let deadline = self.progress.now() + HEAL_LIMIT;
        loop {
            self.look()?;
            let rounds = self.rounds() > self.rounds_healed;
            if self.lacks().is_none() && rounds && self.wounds.healed() && self.level() {
                let (mails, records) = self.audit(&self.acts(1)?, &topic);
                if mails.complaints.is_empty() && records.complaints.is_empty() {
                    break;
                }
            }
            if self.progress.now() > deadline || self.stopped() {
                break;
            }
        }
        let (lacks, rounds) = (self.lacks(), self.rounds());
        let epochs = self.epochs();
        self.progress.say("all has arrived; stopping the nodes");
        let mut processes = self.ended.clone();
        processes.extend(self.house.cluster.down()?);
        self.verdict(lacks, rounds, epochs, processes, &topic)
    }

    fn epochs(&self) -> Vec<u64> {
        let statuses = self.views.iter().filter_map(|view| view.status.as_ref());
        statuses.map(|status| status.key_epoch.0).collect()
    }

    /// Seen at one key epoch, all of them: while rounds close, not at every look.
    fn level(&self) -> bool {
        let epochs = self.epochs();
        epochs.len() == usize::from(NODES) && epochs.windows(2).all(|pair| pair[0] == pair[1])
    }

    fn audit(&self, acts: &[(Record, Applied)], topic: &BTreeMap<Place, Digest>) -> (Audit, Audit) {
        let book = self.post.book();
        (
            book::audit_mails(&book, acts),
            book::audit_records(&book, topic, acts),
        )
    }

    fn verdict(
        &mut self,
        lacks: Option<String>,
        rounds: u64,
        epochs: Vec<u64>,
        processes: Vec<String>,
        topic: &BTreeMap<Place, Digest>,
    ) -> Result<bool, Failure> {
        let mut unverified = Vec::new();
        let mut ledgers = Vec::new();
        for node in 1..=NODES {
            let output = Command::new(&self.glasshouse)
                .args(["ledger", "verify"])
                .arg(self.ledger_dir(node))
                .output()?;
            if !output.status.success() {
                let says = String::from_utf8_lossy(&output.stderr);
                unverified.push(format!("ledger of {}: {}", name(node), says.trim()));
            }
            match self.acts(node) {
                Ok(acts) => ledgers.push(acts),
                Err(error) => unverified.push(format!("ledger of {}: {error}", name(node))),
            }
        }
        let longest = ledgers.iter().max_by_key(|acts| acts.len());
        let (mails, records) = self.audit(longest.map_or(&[], Vec::as_slice), topic);
        let (sent, refused) = {
            let refused = self.post.refused.lock();
            let refused = refused.unwrap_or_else(std::sync::PoisonError::into_inner);
            (self.post.book().sent(), refused.clone())
        };
        let evidence = Evidence {
            watch: &self.watch,
            mails,
            records,
            sent,
            refused: &refused,
            played: self.played,
            planned: self.plan.episodes.len(),
            strikes: self.wounds.0.len(),
            wounds: self.wounds.complaints(),
            lacks,
            rounds,
            rounds_after: rounds.saturating_sub(self.rounds_healed),
            epochs,
            leaves: ledgers.iter().map(|acts| acts.len() as u64).collect(),
            difference: difference(&ledgers),
            unverified,
            processes,
            failures: self.failures.clone(),
        };
        let stages = verdict::judge(&evidence);
        let report = self.report(&evidence, &stages);
        if let Some(path) = &self.arguments.json {
            std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n").map_err(
                |error| format!("cannot write the report to {}: {error}", path.display()),
            )?;
        }
        self.tell(&stages);
        Ok(stages.iter().all(|stage| stage.ok))
    }

    /// Times in seconds.
    fn report(&self, evidence: &Evidence<'_>, stages: &[Stage]) -> serde_json::Value {
        let faults: Vec<_> = self
            .wounds
            .0
            .iter()
            .map(|wound| {
                json!({
                    "episode": wound.episode,
                    "promise": wound.promise,
                    "fault": wound.strike.fault,
                    "says": wound.says,
                    "at": wound.since.as_secs_f64(),
                    "noticed": wound.noticed.map(|at| at.as_secs_f64()),
                    "undone": wound.undone.map(|at| at.as_secs_f64()),
                    "healed": wound.healed.map(|at| at.as_secs_f64()),
                })
            })
            .collect();
        let audit = |audit: &Audit| {
            json!({
                "acknowledged": audit.acknowledged,
                "accounted": audit.accounted,
                "repeated": audit.repeated,
            })
        };
        json!({
            "ok": stages.iter().all(|stage| stage.ok),
            "seed": self.plan.seed,
            "nodes": NODES,
            "seconds": self.progress.now().as_secs_f64(),
            "episodes": { "planned": evidence.planned, "played": evidence.played },
            "faults": faults,
            "mails": audit(&evidence.mails),
            "records": audit(&evidence.records),
            "rounds": evidence.rounds,
            "rounds_after_the_last_fault": evidence.rounds_after,
            "key_epochs": evidence.epochs,
            "leaves": evidence.leaves,
            "longest_without": {
                "commit": self.watch.without_commit().took.as_secs_f64(),
                "commit_while_a_majority_was_there": self.watch.without_promised_commit().took.as_secs_f64(),
                "mail": self.watch.without_mail().took.as_secs_f64(),
            },
            "memory_bytes": self.watch.memory(),
            "actor_restarts": self.watch.restarts(),
            "stages": stages,
        })
    }
}

/// Where two ledgers differ, as far as both go.
fn difference(ledgers: &[Acts]) -> Option<String> {
    let first = ledgers.first()?;
    (1..).zip(ledgers).find_map(|(node, acts)| {
        let leaf = first
            .iter()
            .zip(acts)
            .position(|((one, _), (other, _))| one != other)?;
        Some(format!(
            "leaf {leaf} of node-{node} is not the one of node-1"
        ))
    })
}
