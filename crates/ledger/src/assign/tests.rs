use super::*;
use wire::RoomId;

/// `wanted`: `role@home` or `role`; `up`: names; `holders`: `role=node`; expected: `role=node`.
fn check(wanted: &str, up: &str, holders: &str, expected: &str) {
    let role = |name: &str| Role::Room(RoomId::new(name));
    let wanted: Vec<_> = wanted
        .split_whitespace()
        .map(|text| match text.split_once('@') {
            Some((name, home)) => Wanted {
                role: role(name),
                home: Some(home.into()),
            },
            None => Wanted {
                role: role(text),
                home: None,
            },
        })
        .collect();
    let up = up.split_whitespace().map(NodeId::from).collect();
    let pair = |text: &str| {
        let (name, node) = text.split_once('=').expect("role=node");
        (role(name), NodeId::from(node))
    };
    let holders = holders.split_whitespace().map(pair).collect();
    let expected: Vec<_> = expected
        .split_whitespace()
        .map(pair)
        .map(|(role, node)| Act::RoleAssigned { role, node })
        .collect();
    let acts = assign(&wanted, &up, &holders);
    assert_eq!(acts, expected, "{wanted:?} up {up:?} held {holders:?}");

    // Once done, there is nothing more to do.
    let mut after = holders;
    for act in acts {
        if let Act::RoleAssigned { role, node } = act {
            after.insert(role, node);
        }
    }
    assert_eq!(assign(&wanted, &up, &after), [], "settled");
}

#[test]
fn first_assignment_goes_home() {
    check("r1@a r2@b r3@c", "a b c", "", "r1=a r2=b r3=c");
}

#[test]
fn the_homeless_are_spread_by_load_then_by_name() {
    check("r1 r2 r3 r4", "a b c", "", "r1=a r2=b r3=c r4=a");
    check("x@a y@a r1 r2", "a b", "", "x=a y=a r1=b r2=b");
}

#[test]
fn a_lost_node_hands_its_roles_to_the_least_loaded() {
    check("r1@a r2@b r3@c", "b c", "r1=a r2=b r3=c", "r1=b");
    check("r1@a r2@b r3@b r4@c", "b c", "r1=a r2=b r3=b r4=c", "r1=c");
    check(
        "r1@a r2@a r3@b r4@c",
        "b c",
        "r1=a r2=a r3=b r4=c",
        "r1=b r2=c",
    );
}

#[test]
fn roles_stay_while_the_home_is_away_and_return_with_it() {
    check("r1@a r2@b r3@c", "b c", "r1=c r2=b r3=c", "");
    check("r1@a r2@b r3@c", "a b c", "r1=c r2=b r3=c", "r1=a");
}

#[test]
fn a_role_without_home_stays_where_it_is() {
    check("r1 r2", "a b c", "r1=c r2=c", "");
}

#[test]
fn nobody_up_means_nothing_to_assign() {
    check("r1@a r2", "", "r1=a", "");
}

#[test]
fn a_home_that_is_no_member_counts_as_down() {
    check("r1@z", "a", "", "r1=a");
}

fn shares(of: u16) -> Vec<Wanted> {
    let share = |share| Wanted {
        role: Role::FeedShare(wire::FeedShare {
            topic: "t".to_owned(),
            of,
            share,
        }),
        home: None,
    };
    (0..of).map(share).collect()
}

/// Shares held by each, after whatever is assigned.
fn evened(of: u16, up: &str, holders: &mut BTreeMap<Role, NodeId>) -> Vec<usize> {
    let up: BTreeSet<NodeId> = up.split_whitespace().map(NodeId::from).collect();
    for act in assign(&shares(of), &up, holders) {
        if let Act::RoleAssigned { role, node } = act {
            holders.insert(role, node);
        }
    }
    assert_eq!(assign(&shares(of), &up, holders), [], "settled");
    let held = |node: &NodeId| holders.values().filter(|holder| *holder == node).count();
    up.iter().map(held).collect()
}

#[test]
fn shares_are_even_and_move_no_more_than_they_must() {
    let mut holders = BTreeMap::new();
    assert_eq!(evened(8, "a b c", &mut holders), [3, 3, 2]);
    assert_eq!(evened(8, "a c", &mut holders), [4, 4]);
    let before = holders.clone();
    assert_eq!(evened(8, "a b c", &mut holders), [3, 2, 3]);
    let moved = before
        .iter()
        .filter(|(role, node)| holders[*role] != **node);
    assert_eq!(
        moved.count(),
        2,
        "two for the one that came back, the others stay"
    );
    assert_eq!(evened(8, "b", &mut holders), [8]);
    assert_eq!(evened(2, "a b c", &mut BTreeMap::new()), [1, 1, 0]);
}
