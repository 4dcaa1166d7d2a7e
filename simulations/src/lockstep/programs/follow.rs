//! What is to be seen of a ledger: who leads, and each leaf with the root it makes.

use crate::lockstep::guest::see;
use crate::lockstep::invariants::LOG_IS_TREE;
use crate::lockstep::protocol::{Fact, Seen};
use crate::outcome::Kind;
use ledger::Applied;
use replica::{Committed, Ledger};
use tlog::Frontier;
use wire::{Act, Digest, NodeId, Source};

/// Follows until the process ends.
pub(super) fn follow(ledger: &Ledger) {
    tokio::spawn(leaders(ledger.clone()));
    tokio::spawn(leaves(ledger.clone()));
    tokio::spawn(phases(ledger.clone()));
}

async fn leaders(ledger: Ledger) {
    let mut leadership = ledger.leader();
    loop {
        let now = leadership.borrow_and_update().clone();
        see(Seen::Kind(Kind::Leader {
            leader: now.leader.map(|leader| leader.as_str().to_owned()),
            term: now.term,
        }));
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

async fn phases(ledger: Ledger) {
    let mut phase = ledger.phase();
    loop {
        let now = phase.borrow_and_update().to_string();
        see(Seen::Kind(Kind::Process(now)));
        if phase.changed().await.is_err() {
            return;
        }
    }
}

/// What was there at the start is told by its last leaf alone: its root covers the others.
async fn leaves(ledger: Ledger) {
    let ledger = &ledger;
    let held = ledger.size_and_root().0;
    let mut subscription = ledger.subscribe(0);
    let mut frontier = Frontier::new();
    loop {
        let committed = match subscription.next().await {
            Ok(committed) => committed,
            Err(error) => {
                see(Seen::Kind(Kind::Log(format!(
                    "leaves cannot be read: {error}"
                ))));
                return;
            }
        };
        let bytes = wire::encode(&*committed.record);
        frontier.append(&bytes);
        let (size, root) = ledger.size_and_root();
        if size == frontier.size() && root != frontier.root() {
            see(Seen::Broken {
                id: LOG_IS_TREE.id.to_owned(),
                detail: format!("the {size} leaves it tells make another root than it says"),
            });
        }
        if let Act::LevelRaised { level } = committed.record.act
            && committed.applied == Applied::Effective
        {
            see(Seen::Level(level.0));
        }
        if committed.index + 1 >= held {
            see(Seen::Leaf {
                index: committed.index,
                leaf: act_digest(&committed.record.act),
                root: frontier.root().0,
                act: name(&committed.record.act),
                effect: (committed.applied == Applied::Effective).then_some(committed.record.id.0),
                fact: fact(&committed),
            });
            accounts(&committed, committed.index + 1 == held, ledger);
        }
    }
}

/// What tenants have told by now, when it has changed or the node has started.
fn accounts(committed: &Committed, first: bool, ledger: &Ledger) {
    let changes = matches!(
        committed.record.act,
        Act::PrivacySpent { .. } | Act::BudgetDeclared { .. }
    );
    if !first && (!changes || committed.applied != Applied::Effective) {
        return;
    }
    let state = ledger.state();
    let told = state.rounds.tenants.iter().flat_map(|(tenant, told)| {
        let lines = told.iter();
        lines.map(|(noise, count)| (tenant.clone(), *noise, *count))
    });
    let told: Vec<_> = told.collect();
    if !told.is_empty() {
        let size = state.size;
        see(Seen::Accounts { size, told });
    }
}

/// By which an act is known that was acknowledged.
pub(super) fn act_digest(act: &Act) -> [u8; 32] {
    Digest::of(&wire::encode(act)).0
}

/// The act in a word or two.
fn name(act: &Act) -> String {
    match act {
        Act::Genesis { .. } => "genesis".to_owned(),
        Act::NodeUp { node, .. } => format!("{node} up"),
        Act::NodeDown { node, .. } => format!("{node} down"),
        Act::RoleAssigned { node, .. } => format!("role to {node}"),
        Act::RoundOpened { round, .. } => format!("round {} opened", round.0),
        Act::RoundClosed { round, .. } | Act::BufferedRoundClosed { round, .. } => {
            format!("round {} closed", round.0)
        }
        Act::RoundAbandoned { round, .. } => format!("round {} abandoned", round.0),
        Act::GroupCommit { epoch, .. } => format!("key epoch {}", epoch.0),
        Act::Ingested { node, count, .. } => format!("{count} ingested by {node}"),
        Act::AlertRaised(alert) => format!("alert {}", alert.id),
        Act::AlertCleared { id, .. } => format!("alert {id} cleared"),
        Act::LevelRaised { level } => format!("level {level}"),
        Act::Invited { .. } => "invited".to_owned(),
        Act::Admitted { node, .. } => format!("{node} admitted"),
        Act::Removed { node, .. } => format!("{node} removed"),
        Act::Introduced { node, .. } => format!("{node} introduced"),
        Act::FunctionDeployed { name, .. } => format!("function {name}"),
        Act::FeedAdvanced { node, advances, .. } => {
            let count: u64 = advances.iter().map(|advance| advance.count).sum();
            format!("{count} records read by {node}")
        }
        Act::ReaderKeyGranted { node, .. } => format!("reader key of {node}"),
        Act::ModelPinned { model, .. } => format!("model {model:?} pinned"),
        Act::ModelUnpinned { .. } => "model unpinned".to_owned(),
        Act::ModelRolledBack { model, .. } => format!("rolled back to {model:?}"),
        Act::PrivacySpent { round, .. } => format!("privacy of round {} spent", round.0),
        Act::VariatesReset { round, .. } => format!("variates reset in round {}", round.0),
        Act::BudgetDeclared { node, .. } => format!("budget of {node} declared"),
    }
}

/// What it did, if it took effect.
fn fact(committed: &Committed) -> Fact {
    if committed.applied != Applied::Effective {
        return Fact::Other;
    }
    match &committed.record.act {
        Act::Ingested {
            node,
            source: Source::Mail,
            count,
            ..
        } => Fact::Mails {
            node: node.as_str().to_owned(),
            count: *count,
        },
        Act::Ingested {
            source: Source::Kafka,
            first,
            last,
            ..
        } => Fact::Records {
            first: *first,
            last: *last,
        },
        // The simulated topic has one partition.
        Act::FeedAdvanced { advances, .. } => match advances.first() {
            Some(one) if one.to > one.from => Fact::Records {
                first: one.from,
                last: one.to - 1,
            },
            Some(_) | None => Fact::Other,
        },
        Act::RoundClosed {
            round,
            model,
            participants,
            examples,
            ..
        } => Fact::Closed {
            round: round.0,
            model: model.0,
            participants: participants.iter().map(NodeId::to_string).collect(),
            examples: *examples,
            ages: None,
        },
        Act::BufferedRoundClosed {
            round,
            model,
            participants,
            ages,
            examples,
            ..
        } => Fact::Closed {
            round: round.0,
            model: model.0,
            participants: participants.iter().map(NodeId::to_string).collect(),
            examples: *examples,
            ages: Some(ages.clone()),
        },
        Act::ModelRolledBack { .. } => Fact::RolledBack,
        Act::VariatesReset { .. } => Fact::Reset {
            node: committed.record.proposer.as_str().to_owned(),
        },
        Act::RoundOpened {
            round,
            model,
            cohort,
        } => Fact::Opened {
            round: round.0,
            model: model.0,
            cohort: cohort.iter().map(NodeId::to_string).collect(),
        },
        Act::PrivacySpent {
            round,
            participants,
            noise_milli,
            ..
        } => Fact::Charged {
            round: round.0,
            participants: participants.iter().map(NodeId::to_string).collect(),
            noise_milli: *noise_milli,
        },
        Act::BudgetDeclared {
            node,
            tenant,
            epsilon,
            delta,
        } => Fact::Declared {
            node: node.as_str().to_owned(),
            tenant: tenant.clone(),
            epsilon: epsilon.to_bits(),
            delta: delta.to_bits(),
        },
        Act::GroupCommit { epoch, .. } => Fact::Epoch(epoch.0),
        Act::Admitted { node, .. } => Fact::Admitted(node.as_str().to_owned()),
        Act::Removed { node, .. } => Fact::Removed(node.as_str().to_owned()),
        Act::Genesis { .. }
        | Act::NodeUp { .. }
        | Act::NodeDown { .. }
        | Act::RoleAssigned { .. }
        | Act::RoundAbandoned { .. }
        | Act::ModelPinned { .. }
        | Act::ModelUnpinned { .. }
        | Act::AlertRaised(_)
        | Act::AlertCleared { .. }
        | Act::LevelRaised { .. }
        | Act::Invited { .. }
        | Act::Introduced { .. }
        | Act::FunctionDeployed { .. }
        | Act::ReaderKeyGranted { .. } => Fact::Other,
    }
}
