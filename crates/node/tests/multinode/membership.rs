//! What an operator does to the nodes of a running cluster: lets them in, throws them out, loses
//! their disks, upgrades them one by one, kills them in any order.

use super::several::{House, LIMIT, house_with, leads, loopback, options};
use local::{Network, NetworkChoice, NodeState, NodeView};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wire::control::{Answer, Ask};

/// A link to an evicted node must be gone within a second of the act; the poll itself needs some.
const EVICTED: Duration = Duration::from_secs(2);

fn names(nodes: &[&str]) -> Vec<String> {
    nodes.iter().map(|node| (*node).to_owned()).collect()
}

fn evict(node: &str) -> Ask {
    Ask::Evict {
        node: node.into(),
        reason: "its disk was sold".to_owned(),
    }
}

fn deploy(name: &str) -> Ask {
    Ask::Deploy {
        name: name.to_owned(),
        module: "ab".repeat(32),
    }
}

fn state_of(views: &[NodeView], node: &str) -> NodeState {
    views.iter().find(|view| view.name == node).unwrap().state
}

/// Waits until the given nodes have exactly these members, all of them with a vote.
fn members(house: &House, nodes: &[&str]) {
    let wanted = names(nodes);
    house
        .cluster
        .wait_until(LIMIT, "the members", |views| {
            let of = views.iter().filter(|view| wanted.contains(&view.name));
            let mut statuses = of.filter_map(|view| view.status.as_ref());
            leads(views, &wanted).is_some()
                && statuses.all(|status| {
                    let voters = status.ledger.voters.iter().map(|node| node.as_str());
                    status.members.keys().eq(&wanted) && voters.eq(&wanted)
                })
        })
        .unwrap();
}

/// Waits until a majority has cosigned all that is on the ledger of every node that answers.
fn cosigned(house: &House) {
    house
        .cluster
        .wait_until(LIMIT, "cosignatures of the whole ledger", |views| {
            let mut statuses = views.iter().filter_map(|view| view.status.as_ref());
            statuses.all(|status| status.ledger.cosigned == status.ledger.size)
        })
        .unwrap();
}

#[test]
fn who_is_evicted_or_leaves_is_out_and_stays_out() {
    let mut house = loopback(3);
    house.cluster.grow(5, |_| {}).unwrap();
    members(&house, &["node-1", "node-2", "node-3", "node-4", "node-5"]);

    house.ask("node-1", &evict("node-9")).unwrap_err();
    house.ask("node-1", &evict("node-5")).unwrap();
    let since = Instant::now();
    house
        .cluster
        .wait_until(LIMIT, "no link to the evicted node", |views| {
            let mut statuses = views.iter().filter_map(|view| view.status.as_ref());
            statuses.all(|status| status.node == "node-5" || !status.links.contains_key("node-5"))
        })
        .unwrap();
    assert!(since.elapsed() < EVICTED, "{:?}", since.elapsed());
    members(&house, &["node-1", "node-2", "node-3", "node-4"]);
    // It ends by itself and says why; started again it gets nowhere and is told.
    let gone = |house: &House, node: &str| {
        house
            .cluster
            .wait_until(LIMIT, "its end", |views| {
                state_of(views, node) == NodeState::Dead
            })
            .unwrap();
    };
    gone(&house, "node-5");
    assert!(house.log("node-5").contains("its disk was sold"));
    house.cluster.start("node-5").unwrap();
    gone(&house, "node-5");

    match house.ask("node-4", &Ask::Leave).unwrap() {
        Answer::Done { text } => assert!(text.contains("node-4 has left"), "{text}"),
        other => panic!("{other:?}"),
    }
    gone(&house, "node-4");
    members(&house, &["node-1", "node-2", "node-3"]);
    // The keys went on without them.
    let epochs = |views: &[NodeView]| -> Vec<u64> {
        let statuses = views.iter().filter_map(|view| view.status.as_ref());
        statuses.map(|status| status.key_epoch.0).collect()
    };
    house
        .cluster
        .wait_until(LIMIT, "one key epoch after the removals", |views| {
            let epochs = epochs(views);
            epochs.len() == 3
                && epochs
                    .iter()
                    .all(|epoch| *epoch == epochs[0] && *epoch >= 7)
        })
        .unwrap();
    cosigned(&house);
    for node in ["node-1", "node-2", "node-3"] {
        let ledger = house.cluster.files(node).data.join("ledger");
        replica::verify(&ledger, &replica::VerifyOptions::default()).unwrap();
    }
}

#[test]
fn an_invitation_is_good_once_and_only_for_whom_it_names() {
    let house = loopback(1);
    let ask = Ask::Invite {
        node: Some("guest".into()),
        for_s: 60,
    };
    let Ok(Answer::Invitation { token, .. }) = house.ask("node-1", &ask) else {
        panic!("no invitation");
    };
    let join = |name: &str, token: &str| {
        let dir = house.dir.path().join(name);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_glasshouse"))
            .args(["node", "join", "--token", token, "--name", name])
            .args(["--listen", "127.0.0.1:19999", "--dir"])
            .arg(&dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said, dir.join("node.toml"))
    };
    let (good, said, _) = join("thief", &token);
    assert!(!good && said.contains("guest"), "{said}");
    let (good, said, _) = join("guest", &token[..token.len() - 4]);
    assert!(!good && said.contains("checksum is wrong"), "{said}");
    let (good, said, config) = join("guest", &token);
    assert!(good, "{said}");
    config::load(&config).unwrap();
    // Somebody else with the same token: used up.
    let (good, said, config) = join("guest2", &token);
    assert!(!good && !config.exists(), "{said}");
}

#[test]
fn lost_and_damaged_disks_are_filled_from_the_others() {
    let mut house = loopback(3);
    house.agree();
    let ledger = |house: &House, node: &str| house.cluster.files(node).data.join("ledger");

    house.cluster.kill("node-2").unwrap();
    std::fs::remove_dir_all(ledger(&house, "node-2")).unwrap();
    house.cluster.start("node-2").unwrap();
    house.cluster.wait_ready(LIMIT, |_| {}).unwrap();
    house.agree();
    // Until its new replica votes, a second loss would be the loss of the majority.
    members(&house, &["node-1", "node-2", "node-3"]);

    house.cluster.kill("node-3").unwrap();
    let leaves = ledger(&house, "node-3").join("leaves");
    let mut bytes = std::fs::read(&leaves).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&leaves, bytes).unwrap();
    house.cluster.start("node-3").unwrap();
    house.cluster.wait_ready(LIMIT, |_| {}).unwrap();
    house.agree();
    let data = std::fs::read_dir(house.cluster.files("node-3").data).unwrap();
    let kept = data
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("ledger.damaged-"));
    assert_eq!(kept.count(), 1, "the damaged folder is kept as evidence");
    assert!(house.log("node-3").contains("is damaged at byte"));
    members(&house, &["node-1", "node-2", "node-3"]);
    // The replaced replicas vote: the cluster lives through the loss of the third.
    house.cluster.kill("node-1").unwrap();
    let rest = names(&["node-2", "node-3"]);
    house
        .cluster
        .wait_until(LIMIT, "a leader among the replaced", |views| {
            leads(views, &rest).is_some()
        })
        .unwrap();
    house.ask("node-2", &deploy("after")).unwrap();
}

#[test]
fn one_node_after_the_other_is_upgraded() {
    let mut first = options(NetworkChoice::Only(Network::Loopback));
    first.overrides = "[cluster]\nlevel = 0\n".parse().unwrap();
    let mut house = house_with(3, first);
    house.agree();
    let refused = house.ask("node-1", &deploy("new")).unwrap_err();
    assert!(refused.contains("level"), "{refused}");

    for node in ["node-2", "node-3", "node-1"] {
        let levels: Vec<u16> = house
            .cluster
            .status()
            .unwrap()
            .into_iter()
            .map(|view| view.status.unwrap().ledger.level)
            .collect();
        assert_eq!(levels, [0, 0, 0], "before {node} all speak the old level");
        house.cluster.stop(node).unwrap();
        let newest = |whole: &mut toml::Table| {
            let cluster = whole.get_mut("cluster").unwrap().as_table_mut().unwrap();
            cluster.remove("level").unwrap();
        };
        house.cluster.reconfigure(node, newest).unwrap();
        house.cluster.start(node).unwrap();
        house.cluster.wait_ready(LIMIT, |_| {}).unwrap();
    }
    house
        .cluster
        .wait_until(LIMIT, "the new level", |views| {
            let mut statuses = views.iter().filter_map(|view| view.status.as_ref());
            statuses.all(|status| status.ledger.level == wire::Level::NEWEST.0)
        })
        .unwrap();
    house.ask("node-1", &deploy("new")).unwrap();
    house.agree();
    cosigned(&house);
    let ledger = house.cluster.files("node-1").data.join("ledger");
    replica::verify(&ledger, &replica::VerifyOptions::default()).unwrap();
}

/// A small generator (Knuth, MMIX), so that a failing order can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[test]
fn any_minority_may_die_at_any_moment_and_nothing_acknowledged_is_lost() {
    const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
    let mut house = loopback(3);
    house.agree();
    let mut dice = Dice(7);
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    for step in 0..12 {
        let victim = NODES[dice.roll(NODES.len())];
        let pause = dice.roll(3) == 0;
        if pause {
            house.cluster.pause(victim).unwrap();
        } else {
            house.cluster.kill(victim).unwrap();
        }
        // Acts through a survivor, the first of them in the middle of the election.
        let survivors: Vec<&str> = NODES.into_iter().filter(|node| *node != victim).collect();
        for _ in 0..=dice.roll(4) {
            let node = survivors[dice.roll(survivors.len())];
            let name = format!("function-{}", dice.roll(3));
            match house.ask(node, &deploy(&name)) {
                Ok(_) => *acknowledged.entry(name).or_default() += 1,
                // Its fate is unknown: it may be on the ledger, it need not.
                Err(why) => println!("  step {step}: not acknowledged: {why}"),
            }
        }
        if pause {
            house.cluster.resume(victim).unwrap();
        } else {
            house.cluster.start(victim).unwrap();
        }
        // The next victim must not find the last one still away: that would be no minority.
        house.cluster.wait_ready(LIMIT, |_| {}).unwrap();
    }
    house.agree();
    cosigned(&house);
    house.cluster.down().unwrap();
    let mut roots = Vec::new();
    for node in NODES {
        let ledger = house.cluster.files(node).data.join("ledger");
        let trust = replica::VerifyOptions::default();
        let report = replica::verify(&ledger, &trust).unwrap();
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        for index in 0..report.size {
            let leaf = replica::inclusion(&ledger, index, &trust).unwrap();
            if let wire::Act::FunctionDeployed { name, version, .. } = leaf.record.act {
                let highest = versions.entry(name).or_default();
                *highest = version.max(*highest);
            }
        }
        for (name, acts) in &acknowledged {
            let held = versions.get(name).copied().unwrap_or(0);
            assert!(
                held >= *acts,
                "{node}: {name} has {held} versions, {acts} were acknowledged"
            );
        }
        roots.push((report.size, report.root));
    }
    let acts: u64 = acknowledged.values().sum();
    assert!(acts >= 12, "only {acts} acts were acknowledged");
    println!("  {acts} acts acknowledged; {roots:?}");
}
