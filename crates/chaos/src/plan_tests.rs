use super::*;

const ALL: Powers = Powers {
    cables: true,
    disks: true,
};
const NONE: Powers = Powers {
    cables: false,
    disks: false,
};

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

#[test]
fn a_seed_is_a_plan_and_every_plan_is_legal() {
    for powers in [ALL, NONE] {
        for seed in 0..300 {
            let plan = draw(seed, 5, minutes(3), powers);
            assert_eq!(plan, draw(seed, 5, minutes(3), powers));
            assert_eq!(plan.check(5, powers), Ok(()), "{plan:?}");
            assert!(plan.episodes.len() >= 6, "{plan:?}");
            let last = plan.episodes.last().unwrap();
            assert!(last.until_ms() + TAIL_MS <= 180_000);
            let written = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&written).unwrap(), plan);
        }
    }
    assert_ne!(
        draw(1, 5, minutes(1), ALL).episodes,
        draw(2, 5, minutes(1), ALL).episodes
    );
}

#[test]
fn all_kinds_of_faults_are_drawn_alone_and_together_and_majorities_are_lost() {
    let plans: Vec<Plan> = (0..50).map(|seed| draw(seed, 5, minutes(1), ALL)).collect();
    let episodes = || plans.iter().flat_map(|plan| &plan.episodes);
    let kinds: BTreeSet<&str> = episodes()
        .flat_map(|episode| &episode.strikes)
        .map(|strike| strike.fault.kind())
        .collect();
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    let leaders = episodes()
        .flat_map(|episode| &episode.strikes)
        .filter(|strike| strike.fault.victim() == Some(Victim::Leader));
    assert!(leaders.count() > 20);
    for wanted in 1..=3 {
        assert!(
            episodes()
                .any(|episode| episode.promise == Promise::Progress
                    && episode.strikes.len() == wanted)
        );
    }
    let lost = episodes().filter(|episode| episode.promise == Promise::Safety);
    assert!(lost.clone().all(|episode| episode.worst() >= 3));
    // A minute has room for at least one.
    let with_loss = plans.iter().filter(|plan| {
        plan.episodes
            .iter()
            .any(|episode| episode.promise == Promise::Safety)
    });
    assert!(with_loss.count() > 40, "{}", lost.count());
}

fn strike(at_ms: u64, lasts_ms: u64, fault: Fault) -> Strike {
    Strike {
        at_ms,
        lasts_ms,
        fault,
    }
}

fn kill(node: u8) -> Fault {
    Fault::Kill {
        node: Victim::Node(node),
    }
}

fn plan(promise: Promise, strikes: Vec<Strike>) -> Plan {
    Plan {
        seed: 0,
        nodes: 5,
        episodes: vec![Episode { promise, strikes }],
    }
}

#[test]
fn a_promise_of_progress_keeps_a_majority_at_every_moment() {
    let three = |third_at| {
        vec![
            strike(0, 100, kill(1)),
            strike(50, 100, kill(2)),
            strike(third_at, 100, kill(3)),
        ]
    };
    // The third begins when the first is over.
    assert_eq!(plan(Promise::Progress, three(100)).check(5, ALL), Ok(()));
    assert_eq!(
        plan(Promise::Progress, three(99)).check(5, ALL),
        Err(Illegal::Majority {
            episode: 1,
            away: 3,
            nodes: 5
        })
    );
    assert_eq!(plan(Promise::Safety, three(99)).check(5, ALL), Ok(()));
    let apart = Fault::Split {
        groups: vec![vec![1, 2, 3], vec![4, 5]],
    };
    let with = |fault| {
        plan(
            Promise::Progress,
            vec![strike(0, 100, apart.clone()), strike(10, 100, fault)],
        )
        .check(5, ALL)
    };
    assert!(with(kill(4)).is_err(), "it might have been another one");
    assert_eq!(
        with(Fault::Loss {
            node: Victim::Leader,
            percent: 5
        }),
        Ok(())
    );
}

#[test]
fn plans_that_cannot_be_played_are_refused_with_a_reason() {
    let deaf = Fault::Deaf {
        node: Victim::Leader,
    };
    let one = plan(Promise::Progress, vec![strike(0, 10, deaf)]);
    let check = |plan: &Plan, nodes, powers, says: &str| {
        let error = plan.check(nodes, powers).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    check(&one, 5, NONE, "needs root");
    check(&one, 3, ALL, "for 5 nodes, and the cluster has 3");
    check(&plan(Promise::Progress, vec![]), 5, ALL, "no fault");
    let far = plan(Promise::Progress, vec![strike(0, 10, kill(6))]);
    check(&far, 5, ALL, "names node 6");
    let mut twice = one.clone();
    twice.episodes.extend(one.episodes);
    check(&twice, 5, ALL, "before the one in front of it is over");
}

#[test]
fn whoever_is_hurt_already_is_spared_and_a_lost_leader_is_somebody() {
    let hurt = |nodes: &[u8]| nodes.iter().copied().collect::<BTreeSet<u8>>();
    assert_eq!(choose(Victim::Leader, Some(4), &hurt(&[]), 5), Some(4));
    assert_eq!(choose(Victim::Leader, Some(5), &hurt(&[5]), 5), Some(1));
    assert_eq!(choose(Victim::Leader, None, &hurt(&[1]), 5), Some(2));
    assert_eq!(choose(Victim::Node(3), None, &hurt(&[3, 4]), 5), Some(5));
    assert_eq!(
        choose(Victim::Node(3), None, &hurt(&[1, 2, 3, 4, 5]), 5),
        None
    );
}

#[test]
fn faults_are_told_in_words() {
    let lag = Fault::Lag {
        node: Victim::Leader,
        base_ms: 20,
        jitter_ms: 10,
    };
    assert_eq!(phrase(&lag, "node-2"), "packets of node-2 late by 20–30 ms");
    let split = Fault::Split {
        groups: vec![vec![1, 2], vec![3]],
    };
    assert_eq!(phrase(&split, ""), "split 1,2|3");
    assert_eq!(Victim::Leader.to_string(), "the leader");
}
