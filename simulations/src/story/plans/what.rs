//! What a fault names and how long it lasts, in one place for all kinds.

use crate::plan::{CrashPoint, DiskFault, Node, What};

/// Name of a node's lane: `node-1` for index 0.
pub fn lane(node: Node) -> String {
    format!("node-{}", u16::from(node) + 1)
}

/// Nodes that it names.
pub(crate) fn nodes(what: &What) -> Vec<Node> {
    let mut nodes = Vec::from_iter(what.node());
    if let What::Split { from, to, .. } = what {
        nodes.extend(from.iter().chain(to));
    }
    nodes
}

/// The same fault of other nodes.
pub(crate) fn rename(what: &mut What, name: impl Fn(Node) -> Node) {
    if let What::Split { from, to, .. } = what {
        for node in from.iter_mut().chain(to) {
            *node = name(*node);
        }
    }
    if let Some(node) = what.node_mut() {
        *node = name(*node);
    }
}

/// How long it lasts, where it does.
pub(crate) fn lasts_mut(what: &mut What) -> Option<&mut u64> {
    match what {
        What::Crash { down_ms: ms, .. }
        | What::Kill { down_ms: ms, .. }
        | What::Upgrade { down_ms: ms, .. }
        | What::Pause { for_ms: ms, .. }
        | What::Split { for_ms: ms, .. }
        | What::Slow { for_ms: ms, .. }
        | What::Move { for_ms: ms, .. }
        | What::DiskFull { for_ms: ms, .. }
        | What::DiskSlow { for_ms: ms, .. }
        | What::BrokerCrash { down_ms: ms } => Some(ms),
        What::Disconnect { .. }
        | What::ClockJump { .. }
        | What::ClockDrift { .. }
        | What::Evict { .. }
        | What::Choose { .. }
        | What::Poison { .. } => None,
    }
}

/// How long it lasts: `None` for what happens at once, `u64::MAX` for what stays to the end.
pub(crate) fn lasts(what: &What) -> Option<u64> {
    match what {
        What::Crash { down_ms: ms, .. }
        | What::Kill { down_ms: ms, .. }
        | What::Upgrade { down_ms: ms, .. }
        | What::Pause { for_ms: ms, .. }
        | What::Split { for_ms: ms, .. }
        | What::Slow { for_ms: ms, .. }
        | What::Move { for_ms: ms, .. }
        | What::DiskFull { for_ms: ms, .. }
        | What::DiskSlow { for_ms: ms, .. }
        | What::BrokerCrash { down_ms: ms } => Some(*ms),
        What::ClockDrift { .. } | What::Poison { .. } => Some(u64::MAX),
        What::Disconnect { .. }
        | What::ClockJump { .. }
        | What::Evict { .. }
        | What::Choose { .. } => None,
    }
}

/// A fault in words.
pub fn describe(what: &What) -> String {
    let who = |nodes: &[Node]| {
        nodes
            .iter()
            .map(|&n| lane(n))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match what {
        What::Crash {
            node,
            point,
            down_ms,
            disk,
        } => {
            let point = match point {
                CrashPoint::Now => String::new(),
                CrashPoint::DiskOperation(n) => format!(" within disk operation +{n}"),
                CrashPoint::Send(n) => format!(" before message +{n}"),
            };
            let disk = match disk {
                None => "",
                Some(DiskFault::BitRot) => ", a bit rots",
                Some(DiskFault::Misdirected) => ", a sector is misdirected",
                Some(DiskFault::Truncated) => ", a file is truncated",
                Some(DiskFault::Lost) => ", the disk is lost",
            };
            format!("{} loses power{point} for {down_ms} ms{disk}", lane(*node))
        }
        What::Kill { node, down_ms } => format!("{} is killed for {down_ms} ms", lane(*node)),
        What::Pause { node, for_ms } => format!("{} stands still for {for_ms} ms", lane(*node)),
        What::Split {
            from,
            to,
            both,
            for_ms,
        } => {
            let arrow = if *both { "⇹" } else { "⇸" };
            format!("split {} {arrow} {} for {for_ms} ms", who(from), who(to))
        }
        What::Slow {
            node,
            delay_ms,
            jitter_ms,
            loss_percent,
            for_ms,
        } => format!(
            "{} is slow for {for_ms} ms: +{delay_ms} ms, jitter {jitter_ms} ms, loss {loss_percent}%",
            lane(*node)
        ),
        What::Disconnect { node, half_open } => {
            let how = if *half_open { " (half open)" } else { "" };
            format!("{} is disconnected{how}", lane(*node))
        }
        What::Move { node, for_ms } => {
            format!(
                "{} gets another address, known after {for_ms} ms",
                lane(*node)
            )
        }
        What::ClockJump { node, by_ms } => {
            format!("{}: wall clock jumps by {by_ms:+} ms", lane(*node))
        }
        What::ClockDrift { node, ppm } => format!("{}: clocks drift {ppm:+} ppm", lane(*node)),
        What::DiskFull { node, room, for_ms } => {
            format!(
                "{}: disk full after {room} bytes, for {for_ms} ms",
                lane(*node)
            )
        }
        What::DiskSlow {
            node,
            sync_ms,
            for_ms,
        } => format!(
            "{}: each sync takes {sync_ms} ms, for {for_ms} ms",
            lane(*node)
        ),
        What::BrokerCrash { down_ms } => format!("the broker dies for {down_ms} ms"),
        What::Evict { node } => format!("{} is evicted", lane(*node)),
        What::Choose { node, back: true } => {
            format!(
                "{}: learning is rolled back to an earlier model",
                lane(*node)
            )
        }
        What::Choose { node, back: false } => {
            format!(
                "{}: a model is pinned, or the pinned one let go",
                lane(*node)
            )
        }
        What::Poison { node } => {
            format!("{} turns bad: poisoned updates, false models", lane(*node))
        }
        What::Upgrade {
            node,
            from,
            down_ms,
        } => format!(
            "{} is stopped for {down_ms} ms and upgraded from level {from}",
            lane(*node)
        ),
    }
}
