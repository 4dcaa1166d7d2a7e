//! What always holds, whatever is proposed. Each invariant has an id and compares the state
//! before a leaf with the state after it; unit tests, simulations and `ledger verify` run the same
//! predicates.

use crate::{
    Applied, MAX_FEED_PARTITIONS, MAX_FUNCTIONS, MAX_HISTORY, MAX_INVITATIONS, MAX_MEMBERS,
    MAX_OPEN_ALERTS, MAX_REMOVED, MAX_ROLES, MAX_TENANTS, State,
};

/// One step of the fold.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Before the leaf.
    pub before: &'a State,
    /// After it.
    pub after: &'a State,
    /// What [`State::apply`] said.
    pub applied: &'a Applied,
}

/// A predicate with a name.
#[derive(Clone, Copy, Debug)]
pub struct Invariant {
    /// Stable id.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Does it hold for a step?
    pub holds: fn(Step<'_>) -> bool,
}

/// A step that broke an invariant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invariant {id} broken at leaf {leaf}: {says}")]
pub struct Broken {
    /// The invariant.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
    /// The leaf.
    pub leaf: u64,
}

/// Checks one step against [`ALL`].
pub fn check(step: Step<'_>) -> Result<(), Broken> {
    match ALL.iter().find(|invariant| !(invariant.holds)(step)) {
        None => Ok(()),
        Some(Invariant { id, says, .. }) => Err(Broken {
            id,
            says,
            leaf: step.before.size,
        }),
    }
}

/// All invariants.
pub const ALL: &[Invariant] = &[
    LEAVES_COUNTED,
    NO_EFFECT_NO_CHANGE,
    ROSTER_BY_ONE,
    ADMITTED_BY_INVITATION,
    LEVEL_MONOTONIC,
    INCARNATION_MONOTONIC,
    ROLE_HELD_BY_MEMBER,
    ONE_OPEN_ROUND_NEXT_IN_LINE,
    ROUND_ENDS_ONCE,
    ONE_MODEL_PER_ROUND,
    SCORING_FOLLOWS,
    PRIVACY_COUNTED_ONCE,
    TENANTS_NEVER_FORGET,
    KEY_EPOCH_MONOTONIC,
    ALERTS_BALANCE,
    FEED_BY_ITS_HOLDER,
    BOUNDED,
];

/// Size and tally count every leaf once.
pub const LEAVES_COUNTED: Invariant = Invariant {
    id: "LEAVES_COUNTED",
    says: "each leaf counts once in the size and once in the tally",
    holds: |step| {
        let tally = step.after.tally;
        step.after.size == step.before.size + 1
            && tally.effective + tally.duplicate + tally.lost + tally.ignored == step.after.size
    },
};

/// Only an effective leaf changes anything.
pub const NO_EFFECT_NO_CHANGE: Invariant = Invariant {
    id: "NO_EFFECT_NO_CHANGE",
    says: "a leaf without effect changes nothing but the counters",
    holds: |step| {
        let same = |a: &State, b: &State| {
            a.cluster == b.cluster
                && a.level == b.level
                && a.members == b.members
                && a.removed == b.removed
                && a.invitations == b.invitations
                && a.functions == b.functions
                && a.roles == b.roles
                && a.rounds == b.rounds
                && a.keys == b.keys
                && a.alerts == b.alerts
                && a.ingest == b.ingest
                && a.feeds == b.feeds
        };
        match step.applied {
            Applied::Effective => true,
            Applied::Duplicate { .. } | Applied::Lost { .. } | Applied::Ignored { .. } => {
                same(step.before, step.after)
            }
        }
    },
};

/// The roster changes by one member at a time: consensus changes its majorities one by one, too.
pub const ROSTER_BY_ONE: Invariant = Invariant {
    id: "ROSTER_BY_ONE",
    says: "after the genesis a leaf adds or removes one member at most, and no identity changes",
    holds: |step| {
        let (before, after) = (&step.before.members, &step.after.members);
        let gone = before.keys().filter(|node| !after.contains_key(*node));
        let new = after.keys().filter(|node| !before.contains_key(*node));
        let same_keys = before.iter().all(|(node, old)| {
            after
                .get(node)
                .is_none_or(|new| new.identity == old.identity)
        });
        step.before.cluster.is_none()
            || (gone.count() + new.count() <= 1 && same_keys && !after.is_empty())
    },
};

/// Nobody enters without an invitation, and each is good once.
pub const ADMITTED_BY_INVITATION: Invariant = Invariant {
    id: "ADMITTED_BY_INVITATION",
    says: "a new member uses up one open invitation",
    holds: |step| {
        let (before, after) = (step.before, step.after);
        let used = before
            .invitations
            .keys()
            .filter(|digest| !after.invitations.contains_key(*digest))
            .count();
        before.cluster.is_none() || after.members.len() <= before.members.len() || used == 1
    },
};

/// Levels only rise.
pub const LEVEL_MONOTONIC: Invariant = Invariant {
    id: "LEVEL_MONOTONIC",
    says: "the level stays or goes up by one",
    holds: |step| {
        let (before, after) = (step.before.level.0, step.after.level.0);
        after == before || after == before + 1
    },
};

/// Incarnations never go back.
pub const INCARNATION_MONOTONIC: Invariant = Invariant {
    id: "INCARNATION_MONOTONIC",
    says: "a member's incarnation never goes back",
    holds: |step| {
        step.before.members.iter().all(|(node, old)| {
            step.after
                .members
                .get(node)
                .is_none_or(|new| new.incarnation >= old.incarnation)
        })
    },
};

/// Roles belong to members.
pub const ROLE_HELD_BY_MEMBER: Invariant = Invariant {
    id: "ROLE_HELD_BY_MEMBER",
    says: "every role is held by a member of the roster",
    holds: |step| {
        step.after
            .roles
            .values()
            .all(|node| step.after.members.contains_key(node))
    },
};

/// Rounds are numbered without gaps.
pub const ONE_OPEN_ROUND_NEXT_IN_LINE: Invariant = Invariant {
    id: "ONE_OPEN_ROUND_NEXT_IN_LINE",
    says: "an open round is the one after the last that ended",
    holds: |step| {
        let rounds = &step.after.rounds;
        rounds
            .open
            .as_ref()
            .is_none_or(|open| open.round == rounds.last.next())
    },
};

/// Every number is closed or abandoned, once.
pub const ROUND_ENDS_ONCE: Invariant = Invariant {
    id: "ROUND_ENDS_ONCE",
    says: "every round up to the last was closed or abandoned, and only once",
    holds: |step| {
        let rounds = &step.after.rounds;
        rounds.closed + rounds.abandoned == rounds.last.0
    },
};

/// A model comes from closing the open round, one each; people can only go back to one.
pub const ONE_MODEL_PER_ROUND: Invariant = Invariant {
    id: "ONE_MODEL_PER_ROUND",
    says: "the model changes only when the open round closes, once, or back to a known one, which the next round then starts from",
    holds: |step| {
        let (before, after) = (&step.before.rounds, &step.after.rounds);
        if after.closed == before.closed {
            let back = after.only_from.is_some()
                && after.only_from == after.model
                && after
                    .model
                    .is_some_and(|model| before.maker(&model).is_some());
            return (after.model == before.model || back)
                && after.last_closed == before.last_closed;
        }
        after.closed == before.closed + 1
            && before
                .open
                .as_ref()
                .is_some_and(|open| open.round == after.last_closed)
            && after.last_closed > before.last_closed
            && after.open.is_none()
            && after.model.is_some()
    },
};

/// Rows are scored by the newest model, or by the one somebody chose.
pub const SCORING_FOLLOWS: Invariant = Invariant {
    id: "SCORING_FOLLOWS",
    says: "unless one is pinned, the model that scores is the one the next round starts from",
    holds: |step| {
        let rounds = &step.after.rounds;
        rounds.pinned || rounds.scoring.map(|scoring| scoring.model) == rounds.model
    },
};

/// A private round counts once for each whose update is in it, and what was spent never shrinks.
pub const PRIVACY_COUNTED_ONCE: Invariant = Invariant {
    id: "PRIVACY_COUNTED_ONCE",
    says: "what participants have spent grows by one round each when the open round is charged, and never otherwise",
    holds: |step| {
        let (before, after) = (&step.before.rounds, &step.after.rounds);
        let count = |rounds: &crate::Rounds| -> u64 {
            rounds.spent.values().flat_map(|of| of.values()).sum()
        };
        let charged = |rounds: &crate::Rounds| {
            let open = rounds.open.as_ref();
            open.and_then(|open| open.charged.as_ref())
                .map_or(0, |(charged, _)| charged.len() as u64)
        };
        let newly = match charged(before) {
            0 => charged(after),
            _ => 0,
        };
        count(after) == count(before) + newly
    },
};

/// What a tenant's nodes have told stays on its account.
pub const TENANTS_NEVER_FORGET: Invariant = Invariant {
    id: "TENANTS_NEVER_FORGET",
    says: "a tenant's account grows when a round with its nodes is charged or a node comes to it, and changes never otherwise",
    holds: |step| {
        let (before, after) = (&step.before.rounds, &step.after.rounds);
        let none = crate::Told::new();
        let grew = |tenant: &String, now: &crate::Told| {
            let was = before.tenants.get(tenant).unwrap_or(&none);
            was.iter()
                .all(|(noise, count)| now.get(noise) >= Some(count))
        };
        let charged = |rounds: &crate::Rounds| {
            let open = rounds.open.as_ref();
            open.is_some_and(|open| open.charged.is_some())
        };
        let may = before.declared != after.declared || (charged(after) && !charged(before));
        let kept = before
            .tenants
            .keys()
            .all(|of| after.tenants.contains_key(of));
        match may {
            true => kept && after.tenants.iter().all(|(of, now)| grew(of, now)),
            false => before.tenants == after.tenants,
        }
    },
};

/// Key epochs go up by one.
pub const KEY_EPOCH_MONOTONIC: Invariant = Invariant {
    id: "KEY_EPOCH_MONOTONIC",
    says: "the key epoch stays or goes up by one, and then its commit is this leaf",
    holds: |step| {
        let (before, after) = (&step.before.keys, &step.after.keys);
        let commit_here =
            after.last_commit.as_ref().map(|(leaf, _)| *leaf) == Some(step.before.size);
        after.epoch == before.epoch || (after.epoch == before.epoch.next() && commit_here)
    },
};

/// Raised less cleared is open.
pub const ALERTS_BALANCE: Invariant = Invariant {
    id: "ALERTS_BALANCE",
    says: "open alerts are those raised less those cleared",
    holds: |step| {
        let state = step.after;
        state.alerts_raised - state.alerts_cleared == state.alerts.len() as u64
    },
};

/// A former holder of a share cannot move it.
pub const FEED_BY_ITS_HOLDER: Invariant = Invariant {
    id: "FEED_BY_ITS_HOLDER",
    says: "a partition that moved was moved by the holder of its share, and its count of records only grows",
    holds: |step| {
        step.after.feeds.iter().all(|(place, now)| {
            let before = step.before.feeds.get(place);
            let unmoved = before == Some(now);
            let holder = step.before.share_holder(&place.0, place.1);
            unmoved
                || (holder == Some(&now.by)
                    && before.is_none_or(|before| before.records <= now.records))
        })
    },
};

/// Nothing grows without limit.
pub const BOUNDED: Invariant = Invariant {
    id: "BOUNDED",
    says: "members, invitations, functions, feeds, alerts, roles, ended rounds, tenants and remembered proposals stay within their limits",
    holds: |step| {
        let state = step.after;
        state.members.len() <= MAX_MEMBERS
            && state.removed.len() <= MAX_REMOVED
            && state.invitations.len() <= MAX_INVITATIONS
            && state.functions.len() <= MAX_FUNCTIONS
            && state.feeds.len() <= MAX_FEED_PARTITIONS
            && state.alerts.len() <= MAX_OPEN_ALERTS
            && state.roles.len() <= MAX_ROLES
            && state.rounds.history.len() <= MAX_HISTORY
            && state.rounds.tenants.len() <= MAX_TENANTS
            && state.seen.is_bounded(state.level)
    },
};
