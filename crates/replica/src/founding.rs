//! Coming up with an empty directory: is this a cluster's first start, or has this node lost its
//! replica? A pure decision over what the peers say.
//!
//! Initialising Raft on a node whose former replica has voted and acknowledged would let it vote
//! and acknowledge a second time: committed acts could be lost. So a node founds a cluster only
//! together with others that are as empty as itself, and comes back under a new store otherwise.

use std::collections::BTreeMap;
use wire::NodeId;

/// What a peer said about its replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It has none, or one that has not begun.
    Empty,
    /// Consensus has begun on it, and nothing is committed.
    Begun,
    /// It holds leaves, and consensus runs on them: there is a cluster.
    Holds,
    /// It holds leaves that it cannot use: there was a cluster.
    Damaged,
    /// It does not know the question, so it is of the first release, which founds a cluster at its
    /// first start without asking.
    Older,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Found the cluster with all founders.
    Found,
    /// There is a cluster: come back, or come new, as another replica.
    Return,
    /// These have not been heard yet.
    Wait(Vec<NodeId>),
}

/// Decides for `me`. `patient` is true until the rest of the founders has had its time to show up.
pub(super) fn judge(
    me: &NodeId,
    founders: &[NodeId],
    heard: &BTreeMap<NodeId, Heard>,
    patient: bool,
) -> Verdict {
    let known = |state: &Heard| matches!(state, Heard::Holds | Heard::Damaged | Heard::Older);
    if heard.values().any(known) {
        return Verdict::Return;
    }
    let others = founders.iter().filter(|node| *node != me);
    let silent: Vec<NodeId> = others
        .filter(|node| !heard.contains_key(*node))
        .cloned()
        .collect();
    let majority = (founders.len() - silent.len()) * 2 > founders.len();
    let complete = if patient {
        silent.is_empty() && (founders.len() > 1)
    } else {
        majority
    };
    if founders.contains(me) && complete {
        Verdict::Found
    } else {
        Verdict::Wait(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(me: &str, founders: &str, heard: &str, patient: bool, expected: Verdict) {
        let founders: Vec<NodeId> = founders.split_whitespace().map(NodeId::from).collect();
        let heard = heard.split_whitespace().map(|said| {
            let (node, said) = said.split_once(':').unwrap();
            let said = match said {
                "empty" => Heard::Empty,
                "begun" => Heard::Begun,
                "holds" => Heard::Holds,
                "damaged" => Heard::Damaged,
                _ => Heard::Older,
            };
            (NodeId::from(node), said)
        });
        let verdict = judge(&me.into(), &founders, &heard.collect(), patient);
        assert_eq!(verdict, expected);
    }

    fn wait(nodes: &str) -> Verdict {
        Verdict::Wait(nodes.split_whitespace().map(NodeId::from).collect())
    }

    #[test]
    fn founders_found_together_or_not_at_all() {
        use Verdict::{Found, Return};
        check("a", "a b c", "", true, wait("b c"));
        check("a", "a b c", "b:empty", true, wait("c"));
        check("a", "a b c", "b:empty c:empty", true, Found);
        check("a", "a b c", "b:begun c:empty", true, Found);
        check("a", "a b c", "b:empty", false, Found);
        check("a", "a b c", "", false, wait("b c"));
        check("a", "a b c d", "b:empty", false, wait("c d"));
        // One that holds leaves outweighs all that are empty.
        check("a", "a b c", "b:empty c:holds", false, Return);
        check("a", "a b c", "c:older", true, Return);
        check("a", "a b c", "b:empty c:damaged", false, Return);
        // A node that was admitted later never founds.
        check("d", "a b c", "a:empty b:empty c:empty", false, wait(""));
        check("d", "a b c", "a:holds", true, Return);
        // Alone there is nobody to ask; still, those admitted since have a moment to show up.
        check("a", "a", "", true, wait(""));
        check("a", "a", "", false, Found);
        check("a", "a", "b:holds", true, Return);
    }
}
