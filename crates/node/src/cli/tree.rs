//! The supervision tree as text: `glasshouse tree`.

use wire::status::{
    ActorKind, ActorState, ActorStatus, MailboxStatus, Status, StrategyName, SupervisorStatus,
};

#[cfg(test)]
mod tests;

/// A mailbox that is this full, in percent, is worth a warning: senders will soon feel it.
const FULL_PERCENT: u64 = 80;
/// Mail that waits for so long says that its actor is stuck, however little it is.
const OLD_MS: u64 = 1_000;

/// Draws the tree of one node: a line per actor, what needs attention behind a `!`.
pub(super) fn render(status: &Status) -> String {
    let mut rows = vec![[
        format!("{} {}", status.node, status.version),
        "state".to_owned(),
        "since".to_owned(),
        "restarts".to_owned(),
        "mailbox".to_owned(),
        "oldest".to_owned(),
        String::new(),
    ]];
    for (at, actor) in status.tree.iter().enumerate() {
        rows.push(row(status, at, actor));
    }
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells.map(|(cell, width)| pad(cell, width)).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn pad(cell: &str, width: usize) -> String {
    let missing = width.saturating_sub(cell.chars().count());
    format!("{cell}{}", " ".repeat(missing))
}

fn row(status: &Status, at: usize, actor: &ActorStatus) -> [String; 7] {
    let name = if actor.path.is_empty() {
        "top"
    } else {
        actor.name()
    };
    let mailbox = actor.mailbox.as_ref();
    [
        format!("{}{name}", branches(&status.tree, at)),
        state(actor.state).to_owned(),
        since(actor).unwrap_or_default(),
        restarts(actor),
        mailbox
            .map(|mailbox| format!("{}/{}", mailbox.depth, mailbox.capacity))
            .unwrap_or_default(),
        mailbox
            .and_then(|mailbox| mailbox.oldest_ms)
            .map(span)
            .unwrap_or_default(),
        remarks(actor),
    ]
}

/// The lines that lead to an actor: its parents' siblings and its own decide how they go on.
fn branches(tree: &[ActorStatus], at: usize) -> String {
    let depth = tree[at].depth();
    let goes_on = |level: usize| {
        let below = tree[at + 1..].iter();
        below
            .map(ActorStatus::depth)
            .find(|&other| other <= level)
            .is_some_and(|other| other == level)
    };
    (1..=depth)
        .map(|level| match (level == depth, goes_on(level)) {
            (true, true) => "├── ",
            (true, false) => "└── ",
            (false, true) => "│   ",
            (false, false) => "    ",
        })
        .collect()
}

fn state(state: ActorState) -> &'static str {
    match state {
        ActorState::Starting => "starting",
        ActorState::Running => "running",
        ActorState::Restarting => "RESTARTING",
        ActorState::Stopped => "STOPPED",
    }
}

/// How long it has run; nothing for one that does not.
fn since(actor: &ActorStatus) -> Option<String> {
    match actor.state {
        ActorState::Starting | ActorState::Running => actor.since_ms.map(span),
        ActorState::Restarting | ActorState::Stopped => None,
    }
}

fn restarts(actor: &ActorStatus) -> String {
    match actor.restarts {
        0 => "0".to_owned(),
        restarts => format!("{restarts} !"),
    }
}

/// Two digits of what matters: `4.2 s`, `12 min`, `3 h`.
fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis} ms"),
        1..=9 => format!("{seconds}.{} s", millis % 1_000 / 100),
        10..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn remarks(actor: &ActorStatus) -> String {
    let mut remarks = vec![];
    remarks.extend(actor.supervisor.as_ref().map(supervision));
    if let Some(mailbox) = &actor.mailbox {
        remarks.extend(overload(mailbox));
    }
    let ended = match (actor.state, actor.restarts) {
        (ActorState::Starting | ActorState::Running, 0) => None,
        (ActorState::Starting | ActorState::Running, _) => Some("last exit"),
        (ActorState::Restarting | ActorState::Stopped, _) => Some("!"),
    };
    if let (Some(word), Some(why)) = (ended, &actor.last_exit) {
        let separator = if word == "!" { "" } else { ":" };
        // One line per actor: a failure's sentence may have several.
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        remarks.push(format!("{word}{separator} {why}"));
    }
    if actor.kind == ActorKind::Worker && remarks.is_empty() {
        remarks.push("worker".to_owned());
    }
    remarks.join("; ")
}

fn supervision(supervisor: &SupervisorStatus) -> String {
    let strategy = match supervisor.strategy {
        StrategyName::OneForOne => "one for one",
        StrategyName::OneForAll => "one for all",
        StrategyName::RestForOne => "rest for one",
        StrategyName::Dynamic => "dynamic",
    };
    let limit = supervisor
        .max_children
        .map(|limit| format!(", at most {limit} children"))
        .unwrap_or_default();
    let (used, intensity) = (supervisor.used, supervisor.intensity);
    let period = span(supervisor.period_ms);
    let sign = if used > 0 && used >= intensity {
        "! "
    } else {
        ""
    };
    format!("{strategy}{limit}; {sign}{used} of {intensity} restarts in {period}")
}

fn overload(mailbox: &MailboxStatus) -> Vec<String> {
    let mut remarks = vec![];
    let percent = (100 * mailbox.depth)
        .checked_div(mailbox.capacity)
        .unwrap_or(0);
    let oldest = mailbox.oldest_ms.unwrap_or(0);
    match (percent >= FULL_PERCENT, oldest >= OLD_MS) {
        (true, true) => remarks.push(format!(
            "! mailbox {percent}% full, oldest {}",
            span(oldest)
        )),
        (true, false) => remarks.push(format!("! mailbox {percent}% full")),
        (false, true) => remarks.push(format!("! oldest mail {}", span(oldest))),
        (false, false) => {}
    }
    let counts = [
        (mailbox.shed, "shed"),
        (mailbox.refused, "refused"),
        (mailbox.delayed, "delayed"),
        (mailbox.lost, "lost"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if !counts.is_empty() {
        remarks.push(counts.join(", "));
    }
    remarks
}
