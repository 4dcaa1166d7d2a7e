//! Which node does which work. A pure decision that the leader's steward turns into acts.

use std::collections::{BTreeMap, BTreeSet};
use wire::{Act, NodeId, Role};

/// Work to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The role.
    pub role: Role,
    /// The node it belongs to while that one is up (a room's own machine), if any.
    pub home: Option<NodeId>,
}

/// The `RoleAssigned` acts that bring `holders` to what should be, in the order of `wanted`.
///
/// A role is at home if its home is up. Otherwise it stays where it is (moving costs the new
/// holder its local history); if its holder is down, it goes to the node with the fewest roles,
/// the first by name among equals. Shares of feeds without a home are evened out besides: one that moves
/// costs its new holder a connection, and a node that came back would stay idle otherwise. With nobody
/// up nothing can be assigned.
pub fn assign(
    wanted: &[Wanted],
    up: &BTreeSet<NodeId>,
    holders: &BTreeMap<Role, NodeId>,
) -> Vec<Act> {
    let settled = |want: &Wanted| {
        let home = want.home.as_ref().filter(|home| up.contains(*home));
        home.or_else(|| {
            holders
                .get(&want.role)
                .filter(|holder| up.contains(*holder))
        })
        .cloned()
    };
    // All that have a place come first, so that the homeless see the true load.
    let mut places: Vec<Option<NodeId>> = wanted.iter().map(settled).collect();
    let mut load: BTreeMap<NodeId, usize> = up.iter().map(|node| (node.clone(), 0)).collect();
    for node in places.iter().flatten() {
        *load.entry(node.clone()).or_default() += 1;
    }
    for place in places.iter_mut().filter(|place| place.is_none()) {
        // `min_by_key` keeps the first of equals, and a BTreeMap runs by name.
        if let Some((node, roles)) = load.iter_mut().min_by_key(|(_, roles)| **roles) {
            *roles += 1;
            *place = Some(node.clone());
        }
    }
    even_out(wanted, up, &mut places);
    wanted
        .iter()
        .zip(places)
        .filter_map(|(want, place)| Some((want, place?)))
        .filter(|(want, place)| holders.get(&want.role) != Some(place))
        .map(|(want, node)| Act::RoleAssigned {
            role: want.role.clone(),
            node,
        })
        .collect()
}

/// Moves shares from the nodes with the most to those with the fewest until they differ by one at most.
fn even_out(wanted: &[Wanted], up: &BTreeSet<NodeId>, places: &mut [Option<NodeId>]) {
    let spread: Vec<usize> = (0..wanted.len())
        .filter(|at| match &wanted[*at].role {
            Role::FeedShare(_) => wanted[*at].home.is_none(),
            Role::Room(_) | Role::Feed(_) => false,
        })
        .collect();
    let mut held: BTreeMap<&NodeId, Vec<usize>> = up.iter().map(|node| (node, vec![])).collect();
    for at in spread {
        let holder = places[at].as_ref().and_then(|node| up.get(node));
        if let Some(shares) = holder.and_then(|node| held.get_mut(node)) {
            shares.push(at);
        }
    }
    loop {
        // The first by name among equals, at both ends.
        let most = held.iter().rev().max_by_key(|(_, shares)| shares.len());
        let fewest = held.iter().min_by_key(|(_, shares)| shares.len());
        let (Some((most, from)), Some((fewest, to))) = (most, fewest) else {
            return;
        };
        if from.len() < to.len() + 2 {
            return;
        }
        let (most, fewest) = (*most, *fewest);
        if let Some(at) = held.get_mut(most).and_then(Vec::pop) {
            places[at] = Some(fewest.clone());
            held.entry(fewest).or_default().push(at);
        }
    }
}

#[cfg(test)]
mod tests;
