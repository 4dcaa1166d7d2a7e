//! `glasshouse models list|pin|unpin|rollback|export`.

use super::rounds::learning;
use super::{ASK_LIMIT, Outcome, accounts, done};
use crate::models::{name, store};
use clap::Subcommand;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wire::control::{Ask, Learning, ModelEntry, ModelJob, RoundEntry};

/// Rounds looked at: all that the ledger's state remembers.
const ALL: usize = usize::MAX;

#[derive(Subcommand)]
pub(super) enum Command {
    /// The models of the rounds that the ledger's state remembers: where each came from, and whether it is here.
    List {
        /// Configuration of the node to ask.
        #[arg(long)]
        config: PathBuf,
    },
    /// Score rows by this model, whatever rounds make, on all nodes. The ledger has an entry of it.
    Pin(Choice),
    /// Score rows by the newest model again.
    Unpin {
        /// Configuration of the node to ask.
        #[arg(long)]
        config: PathBuf,
        /// Why; stays on the ledger.
        #[arg(long)]
        reason: String,
    },
    /// Drop what was learned after this model: the next round starts from it, and rows are scored by it. The
    /// ledger has an entry of it.
    Rollback(Choice),
    /// Copy a model from the node's disk into a safetensors file that says where it comes from. Python takes it
    /// with `load_state_dict(safetensors.torch.load_file(FILE))`.
    Export {
        /// A round, or the first digits of a digest.
        model: String,
        /// Configuration of the node.
        #[arg(long)]
        config: PathBuf,
        /// Where to; must not be there yet.
        #[arg(long)]
        to: PathBuf,
    },
}

#[derive(clap::Args)]
pub(super) struct Choice {
    /// A round, or the first digits of a digest.
    model: String,
    /// Configuration of the node to ask.
    #[arg(long)]
    config: PathBuf,
    /// Why; stays on the ledger.
    #[arg(long)]
    reason: String,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List { config } => {
            print!("{}", table(&learning(config, ALL)?));
            Ok(())
        }
        Command::Pin(Choice {
            model,
            config,
            reason,
        }) => {
            let model = model.clone();
            choose(config, ModelJob::Pin { model }, reason)
        }
        Command::Unpin { config, reason } => choose(config, ModelJob::Unpin, reason),
        Command::Rollback(Choice {
            model,
            config,
            reason,
        }) => {
            let model = model.clone();
            choose(config, ModelJob::RollBack { model }, reason)
        }
        Command::Export { model, config, to } => export(config, model, to),
    }
}

fn choose(config: &Path, job: ModelJob, reason: &str) -> Outcome {
    let reason = reason.to_owned();
    done(super::ask(config, &Ask::Model { job, reason }, ASK_LIMIT)?)
}

/// The rounds that made a model, with it.
fn made(learning: &Learning) -> impl Iterator<Item = (&RoundEntry, &ModelEntry)> {
    learning
        .ended
        .iter()
        .filter_map(|entry| Some((entry, entry.end.as_ref()?.made.as_ref().ok()?)))
}

fn table(learning: &Learning) -> String {
    let mut text = String::from(
        "round   model             from              updates  examples  loss of base  epsilon\n",
    );
    for (entry, model) in made(learning) {
        let mut marks = Vec::new();
        if learning
            .scoring
            .is_some_and(|(_, scores)| scores == model.model)
        {
            marks.push(if learning.pinned {
                "scores, pinned"
            } else {
                "scores"
            });
        }
        if learning.next_from == Some(model.model) {
            marks.push("next round starts here");
        }
        if learning.stored.contains(&model.model) {
            marks.push("on disk");
        }
        text.push_str(&format!(
            "{:<7} {:<17} {:<17} {:<8} {:<9} {:<12.4}  {:<8} {}\n",
            entry.round.0,
            short(&model.model),
            short(&entry.base),
            model.participants,
            model.examples,
            model.loss,
            match &model.privacy {
                Some(privacy) => format!("{:.3}", privacy.epsilon),
                None => "-".to_owned(),
            },
            marks.join(", "),
        ));
    }
    text.push_str(&accounts::table(&learning.accounts));
    text
}

fn short(digest: &wire::Digest) -> String {
    digest.to_string()[..16].to_owned()
}

fn export(config: &Path, name: &str, to: &Path) -> Outcome {
    let learning = learning(config, ALL)?;
    let named: Vec<_> = made(&learning)
        .map(|(entry, model)| (entry.round, model.model))
        .collect();
    let (round, _) = name::resolve(name, &named, [])?;
    let (entry, model) = made(&learning)
        .find(|(entry, _)| entry.round == round)
        .ok_or("the model was made by none of the rounds that are remembered")?;
    let dir = config::load(config)?.node.data_dir.join("models");
    let here = store::list(&dir);
    let (_, _, path) = here
        .iter()
        .find(|(_, digest, _)| *digest == model.model)
        .ok_or_else(|| {
            format!(
                "the model of round {} is not on this node's disk; `glasshouse models pin` brings one here, and \
                 other nodes may have it",
                entry.round
            )
        })?;
    let mut stored = store::read(path, model.model)?;
    stored.about.extend(lineage(entry, model));
    if model.privacy.is_some() {
        let told = accounts::line(&learning.accounts);
        stored.about.insert("epsilon_accounts".to_owned(), told);
    }
    if let Some(digest) = digest_of_weights(&stored) {
        stored
            .about
            .insert("digest_of_weights".to_owned(), digest.to_string());
    }
    // A variate is for rounds, and `load_state_dict` takes no tensors that it does not know.
    let weights = stored.shape.weights(&stored.parameters);
    let bytes = learn::file::encode(&stored.shape, weights, &stored.about)?;
    std::fs::File::create_new(to)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &bytes))
        .map_err(|error| format!("{}: {error}", to.display()))?;
    println!(
        "The model of round {} is in {}: {} parameters, {} bytes.",
        entry.round,
        to.display(),
        weights.len(),
        bytes.len()
    );
    Ok(())
}

/// What the tensors of the file have for a digest where the model's covers a control variate, too.
fn digest_of_weights(stored: &learn::file::Stored) -> Option<wire::Digest> {
    let weights = stored.shape.weights(&stored.parameters);
    let whole = weights.len() == stored.parameters.len();
    (!whole).then(|| federation::model_digest(weights))
}

/// Where a model comes from, for whoever finds the file later.
fn lineage(entry: &RoundEntry, model: &ModelEntry) -> BTreeMap<String, String> {
    let leaf = entry.end.as_ref().map_or(0, |end| end.leaf);
    let privacy = model.privacy.iter().flat_map(|privacy| {
        [
            ("epsilon", privacy.epsilon.to_string()),
            ("delta", privacy.delta.to_string()),
            ("noise_multiplier", privacy.noise_multiplier.to_string()),
            ("clip", privacy.clip.to_string()),
        ]
    });
    let known = [
        ("round", entry.round.to_string()),
        ("digest", model.model.to_string()),
        ("parent", entry.base.to_string()),
        ("cohort", entry.cohort.to_string()),
        ("updates", model.participants.to_string()),
        ("examples", model.examples.to_string()),
        ("loss_of_parent", model.loss.to_string()),
        ("ledger_leaf", leaf.to_string()),
        ("made_at_unix_ms", entry.at.0.to_string()),
        ("glasshouse", env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .into_iter();
    let all = known.chain(privacy);
    all.map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::control::RoundEnd;
    use wire::{Digest, Round, UnixMillis};

    #[test]
    fn a_model_is_listed_with_where_it_came_from_and_what_it_is_for() {
        let entry = |round: u8| RoundEntry {
            round: Round(u64::from(round)),
            base: Digest([round - 1; 32]),
            cohort: 3,
            opened: 1,
            at: UnixMillis(7),
            end: Some(RoundEnd {
                leaf: 2,
                took_ms: 5,
                made: Ok(ModelEntry {
                    model: Digest([round; 32]),
                    participants: 3,
                    examples: 90,
                    loss: 0.5,
                    ages: Default::default(),
                    privacy: (round == 1).then_some(wire::control::PrivacyEntry {
                        epsilon: 4.728_9,
                        delta: 1e-5,
                        noise_multiplier: 1.0,
                        clip: 0.5,
                    }),
                }),
            }),
        };
        let learning = Learning {
            ended: vec![entry(1), entry(2)],
            scoring: Some((Round(1), Digest([1; 32]))),
            pinned: true,
            next_from: Some(Digest([2; 32])),
            stored: vec![Digest([1; 32])],
            open: None,
            accounts: Vec::new(),
        };
        let text = table(&learning);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("1       0101010101010101  0000000000000000"),
            "{text}"
        );
        assert!(
            lines[1].ends_with("0.5000        4.729    scores, pinned, on disk"),
            "{text}"
        );
        assert!(
            lines[2].ends_with("0.5000        -        next round starts here"),
            "{text}"
        );
        let (first, model) = made(&learning).next().unwrap();
        let lineage = lineage(first, model);
        assert_eq!(lineage["parent"], "00".repeat(32));
        assert_eq!(lineage["ledger_leaf"], "2");
        assert_eq!(
            ["epsilon", "delta", "clip"].map(|key| lineage[key].as_str()),
            ["4.7289", "0.00001", "0.5"]
        );
        let (second, model) = made(&learning).nth(1).unwrap();
        assert!(!super::lineage(second, model).contains_key("epsilon"));
    }
}
