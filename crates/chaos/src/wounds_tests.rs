use super::*;
use crate::plan::Victim;

fn wound(fault: Fault, node: Option<u8>, since: u64, lasts: u64) -> Wound {
    Wound {
        episode: 1,
        promise: Promise::Progress,
        strike: Strike {
            at_ms: since * 1_000,
            lasts_ms: lasts * 1_000,
            fault,
        },
        node,
        says: "kill -9 node-2".into(),
        since: at(since),
        noticed: None,
        undone: None,
        healed: None,
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const KILL: Fault = Fault::Kill {
    node: Victim::Leader,
};

fn says_down(node: &str) -> Status {
    Status {
        members: [(node.to_owned(), false)].into(),
        ..Status::default()
    }
}

#[test]
fn a_wound_is_noticed_by_others_undone_when_due_and_healed_when_all_is_whole() {
    let mut wounds = Wounds(vec![wound(KILL, Some(2), 10, 9)]);
    assert_eq!(wounds.hurt(), [2].into());
    assert_eq!(wounds.killed(), [2].into());
    let down = says_down("node-2");
    assert!(
        wounds.look(at(11), 5, &[(2, &down)]).is_empty(),
        "its own word"
    );
    let said = wounds.look(at(12), 5, &[(1, &down)]);
    assert_eq!(said, ["node-2 is held for down after 2.0 s"]);
    assert!(wounds.look(at(13), 5, &[(1, &down)]).is_empty());
    assert!(wounds.due(at(18)).is_empty());
    assert_eq!(wounds.due(at(19)), [0]);
    assert_eq!(wounds.whole(at(19)), None, "not undone yet");
    wounds.0[0].undone = Some(at(19));
    assert!(wounds.hurt().is_empty() && !wounds.healed());
    assert_eq!(wounds.complaints(), ["kill -9 node-2: not healed"]);
    assert!(wounds.whole(at(21)).unwrap().contains("2.0 s"));
    assert_eq!(wounds.whole(at(22)), None);
    assert!(wounds.healed() && wounds.complaints().is_empty());
    let table = wounds.table();
    assert_eq!(
        table[1].split_whitespace().collect::<Vec<_>>().join(" "),
        "10.0 s kill -9 node-2 9.0 s 2.0 s 2.0 s"
    );
}

#[test]
fn a_long_absence_must_be_noticed_where_a_majority_was_there() {
    let unnoticed = |promise, lasted: u64| {
        let mut wound = wound(KILL, Some(2), 10, 9);
        wound.promise = promise;
        wound.undone = Some(at(10 + lasted));
        wound.healed = wound.undone;
        Wounds(vec![wound]).complaints().len()
    };
    assert_eq!(unnoticed(Promise::Progress, 9), 1);
    assert_eq!(unnoticed(Promise::Progress, 8), 0);
    assert_eq!(unnoticed(Promise::Safety, 9), 0);
}

#[test]
fn one_sided_faults_add_up() {
    let node = Victim::Leader;
    let mut wounds = Wounds(vec![
        wound(Fault::Deaf { node }, Some(1), 0, 5),
        wound(Fault::Mute { node }, Some(3), 0, 5),
    ]);
    let deaf = wounds.deaf(3);
    assert_eq!(deaf[&1], [2, 3].into());
    assert_eq!(deaf[&2], [3].into());
    assert_eq!(deaf[&3], [].into());
    wounds.0[0].undone = Some(at(5));
    assert_eq!(wounds.deaf(3)[&1], [3].into());
}

#[test]
fn the_smaller_sides_of_a_split_are_missed() {
    let split = Fault::Split {
        groups: vec![vec![1, 2, 3], vec![4, 5]],
    };
    let mut wounds = Wounds(vec![wound(split, None, 0, 5)]);
    let down = says_down("node-1");
    assert!(wounds.look(at(2), 5, &[(4, &down)]).is_empty());
    let down = says_down("node-5");
    assert_eq!(wounds.look(at(2), 5, &[(1, &down)]).len(), 1);
}
