//! `glasshouse rounds`: the course of learning, by the ledger.

use super::plot::plot;
use super::{ASK_LIMIT, Outcome, accounts};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::control::{Answer, Ask, Learning, ModelEntry, RoundEntry};

/// Between two looks. Rounds take a tenth of a second at least, and come with pauses.
const PAUSE: Duration = Duration::from_secs(1);
/// Characters of the plot: fits a terminal of 80 columns with its labels.
const PLOT: (usize, usize) = (60, 8);
/// Rounds plotted, whatever is listed: all that the ledger's state remembers.
const PLOTTED: usize = 200;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Configuration of the node to ask.
    #[arg(long)]
    config: PathBuf,
    /// Rounds listed.
    #[arg(long, default_value_t = 10)]
    last: usize,
    /// Go on looking, until interrupted: on a terminal the plot and the list are drawn anew, elsewhere a line is
    /// written for each round that ends.
    #[arg(long)]
    follow: bool,
    /// Print JSON.
    #[arg(long, conflicts_with = "follow")]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let mut learning = learning(&arguments.config, arguments.last.max(PLOTTED))?;
    if arguments.json {
        let listed = learning.ended.len().saturating_sub(arguments.last);
        learning.ended.drain(..listed);
        println!("{}", serde_json::to_string_pretty(&learning)?);
        return Ok(());
    }
    if !arguments.follow {
        print!("{}", page(&learning, arguments.last));
        return Ok(());
    }
    let mut out = std::io::stdout();
    let terminal = out.is_terminal();
    let mut told = None;
    loop {
        if terminal {
            // Home, then each line to its end, then all below: no flicker.
            let page = page(&learning, arguments.last).replace('\n', "\x1b[K\n");
            write!(out, "\x1b[H{page}\x1b[J")?;
        } else {
            let new = |entry: &&RoundEntry| told.is_none_or(|told| entry.round > told);
            for entry in learning.ended.iter().filter(new) {
                writeln!(out, "{}", line(entry, &learning))?;
            }
            told = learning.ended.last().map(|entry| entry.round).or(told);
        }
        out.flush()?;
        std::thread::sleep(PAUSE);
        learning = self::learning(&arguments.config, arguments.last.max(PLOTTED))?;
    }
}

/// What the running node says of the course of learning.
pub(super) fn learning(
    config: &Path,
    last: usize,
) -> Result<Learning, Box<dyn std::error::Error + Send + Sync>> {
    match super::ask(config, &Ask::Rounds { last }, ASK_LIMIT)? {
        Answer::Rounds { learning } => Ok(*learning),
        other => Err(other.unexpected().into()),
    }
}

fn page(learning: &Learning, last: usize) -> String {
    let losses: Vec<f64> = learning
        .ended
        .iter()
        .filter_map(|entry| Some(entry.end.as_ref()?.made.as_ref().ok()?.loss))
        .collect();
    let mut text = String::new();
    if losses.len() >= 2 {
        text.push_str(&format!(
            "Loss of the last {} closed rounds\n",
            losses.len()
        ));
        text.push_str(&plot(&losses, PLOT.0, PLOT.1));
        text.push('\n');
    }
    text.push_str("round   took      asked  answered  examples  loss     model     of\n");
    let from = learning.ended.len().saturating_sub(last);
    for entry in &learning.ended[from..] {
        text.push_str(&line(entry, learning));
        text.push('\n');
    }
    match &learning.open {
        Some(open) => text.push_str(&format!(
            "Round {} is open: {} nodes were asked.\n",
            open.round, open.cohort
        )),
        None if learning.ended.is_empty() => text.push_str("No round has ended yet.\n"),
        None => {}
    }
    if let Some((round, model)) = learning.scoring {
        let pinned = if learning.pinned {
            ", which is pinned"
        } else {
            ""
        };
        text.push_str(&format!(
            "Rows are scored by the model of round {round} ({model:?}){pinned}.\n"
        ));
    }
    text.push_str(&accounts::table(&learning.accounts));
    text
}

fn line(entry: &RoundEntry, learning: &Learning) -> String {
    let Some(end) = &entry.end else {
        return format!("{:<7} open", entry.round.0);
    };
    let took = format!("{:.2} s", end.took_ms as f64 / 1_000.0);
    match &end.made {
        Ok(made) => {
            let scores = learning
                .scoring
                .is_some_and(|(_, model)| model == made.model);
            let mark = if scores { "  ← scores" } else { "" };
            let cost = made.privacy.as_ref();
            let cost = cost.map_or(String::new(), |cost| format!("  ε = {:.3}", cost.epsilon));
            let late = late(made);
            format!(
                "{:<7} {took:<9} {:<6} {:<9} {:<9} {:<8.4} {:?} {:?}{cost}{late}{mark}",
                entry.round.0,
                entry.cohort,
                made.participants,
                made.examples,
                made.loss,
                made.model,
                entry.base,
            )
        }
        Err(reason) => format!(
            "{:<7} {took:<9} {:<6} abandoned: {reason}",
            entry.round.0, entry.cohort
        ),
    }
}

/// Whose updates started from an earlier model, and how many models ago.
fn late(made: &ModelEntry) -> String {
    let old = made.ages.iter().filter(|(_, age)| **age > 0);
    let old: Vec<String> = old.map(|(node, age)| format!("{node} {age}")).collect();
    match old.is_empty() {
        true => String::new(),
        false => format!("  models behind: {}", old.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::control::RoundEnd;
    use wire::{Digest, Round, UnixMillis};

    fn entry(round: u64, made: Result<f64, &str>) -> RoundEntry {
        let model = Digest([round as u8; 32]);
        RoundEntry {
            round: Round(round),
            base: Digest([0xab; 32]),
            cohort: 3,
            opened: 4,
            at: UnixMillis(0),
            end: Some(RoundEnd {
                leaf: 5,
                took_ms: 1_234,
                made: made
                    .map(|loss| ModelEntry {
                        model,
                        participants: 2,
                        examples: 120,
                        loss,
                        privacy: None,
                        ages: Default::default(),
                    })
                    .map_err(str::to_owned),
            }),
        }
    }

    #[test]
    fn rounds_are_lines_under_a_plot_of_their_losses() {
        let learning = Learning {
            ended: vec![
                entry(1, Ok(0.75)),
                entry(2, Err("2 of 3 participants sent no update")),
                entry(3, Ok(0.25)),
            ],
            scoring: Some((Round(3), Digest([3; 32]))),
            ..Learning::default()
        };
        let page = page(&learning, 2);
        for part in [
            "Loss of the last 2 closed rounds",
            "0.7500 │",
            "0.2500 │",
            "2       1.23 s    3      abandoned: 2 of 3 participants sent no update",
            "3       1.23 s    3      2         120       0.2500   03030303… abababab…  ← scores",
            "Rows are scored by the model of round 3",
        ] {
            assert!(page.contains(part), "{part} in:\n{page}");
        }
        assert!(!page.contains("\n1       "), "{page}");
    }

    #[test]
    fn of_a_buffered_round_it_is_said_whose_update_is_how_old() {
        let mut round = entry(1, Ok(0.75));
        let made = round.end.as_mut().unwrap().made.as_mut().unwrap();
        made.ages = [("a".into(), 0), ("b".into(), 3), ("c".into(), 1)].into();
        let learning = Learning::default();
        let line = line(&round, &learning);
        assert!(
            line.ends_with("abababab…  models behind: b 3, c 1"),
            "{line}"
        );
        let json = serde_json::to_value(&round).unwrap();
        let ages = &json["end"]["made"]["Ok"]["ages"];
        assert_eq!(*ages, serde_json::json!({ "a": 0, "b": 3, "c": 1 }));
    }

    #[test]
    fn nothing_yet_is_said() {
        assert!(page(&Learning::default(), 10).contains("No round has ended yet."));
    }
}
