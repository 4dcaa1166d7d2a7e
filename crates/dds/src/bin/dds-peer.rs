//! A second process on the data space: the other end of tests and measurements.
//!
//! ```text
//! dds-peer echo      DOMAIN TAG                    every sample of peer_ping back on peer_pong
//! dds-peer publish   DOMAIN TAG PARTITION COUNT    COUNT samples of three keys on peer_topic, then waits
//! dds-peer subscribe DOMAIN TAG PARTITION          prints "key sequence length" per sample of peer_topic, "disposed"
//! dds-peer crowd     DOMAIN TAG PARTITION          several participants that subscribe; prints "key sequence length" when all of
//!                                                  them have a sample
//! dds-peer feed      DOMAIN TAG PARTITION          does what its standard input says, line by line: "KEY COUNT SIZE"
//!                                                  publishes on peer_topic, "dispose KEY" disposes, "drain" waits until
//!                                                  readers have acknowledged all; answers "done"
//! dds-peer ping      DOMAIN TAG COUNT SIZE         round trips against an echo: p50 and p99
//! dds-peer flood     DOMAIN TAG COUNT SIZE         COUNT samples as fast as they go to a sink
//! dds-peer sink      DOMAIN TAG COUNT              counts them and prints the rate
//! ```
//! Before the mode, `--interface ADDRESS`, `--peer HOST` (repeatable) and `--multicast` say how to join (without
//! them it is loopback), and `--older` makes `feed` write what implementations of older
//! standards read: XCDR1, and hashes of keys; `--state` has it keep only the newest sample of a key;
//! `--participants COUNT` is for a crowd; `--security FOLDER` has what `deploy/dds/security.sh` makes for a node. Every mode ends when its standard input closes, so that none outlives the test that started it.

use dds::{
    CycloneSpace, DataSpace, Delivery, DomainConfig, Durability, Qos, Representation, Sample,
    Security, Subscription, Topic,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead as _, Read as _};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Round trips before measuring: discovery, page faults and caches settle.
const WARM_UP: u64 = 500;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (network, words) = Network::read(&words)?;
    if words.first() != Some(&"feed") {
        std::thread::spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
    }
    let join = |domain: &str, tag: &str| network.join(domain, tag);
    match words {
        ["echo", domain, tag] => echo(join(domain, tag)?).await,
        ["publish", domain, tag, partition, count] => {
            publish(join(domain, tag)?, partition, count.parse()?).await
        }
        ["subscribe", domain, tag, partition] => subscribe(join(domain, tag)?, partition).await,
        ["crowd", domain, tag, partition] => {
            let spaces = (0..network.participants).map(|_| join(domain, tag));
            crowd(spaces.collect::<Result<_, _>>()?, partition).await
        }
        ["feed", domain, tag, partition] => feed(join(domain, tag)?, partition, &network).await,
        ["ping", domain, tag, count, size] => {
            ping(join(domain, tag)?, count.parse()?, size.parse()?).await
        }
        ["flood", domain, tag, count, size] => {
            flood(join(domain, tag)?, count.parse()?, size.parse()?).await
        }
        ["sink", domain, tag, count] => sink(join(domain, tag)?, count.parse()?).await,
        _ => Err("usage: see the head of crates/dds/src/bin/dds-peer.rs".into()),
    }
}

/// How to join, where it is not loopback.
#[derive(Default)]
struct Network {
    interface: Option<IpAddr>,
    peers: Vec<String>,
    multicast: bool,
    older: bool,
    state: bool,
    /// Of a crowd.
    participants: usize,
    security: Option<Security>,
}

impl Network {
    /// The options in front, and the rest.
    fn read<'a>(mut words: &'a [&'a str]) -> Result<(Self, &'a [&'a str]), Box<dyn Error>> {
        let mut network = Self::default();
        loop {
            words = match words {
                ["--interface", address, rest @ ..] => {
                    network.interface = Some(address.parse()?);
                    rest
                }
                ["--peer", host, rest @ ..] => {
                    network.peers.push((*host).to_owned());
                    rest
                }
                ["--multicast", rest @ ..] => {
                    network.multicast = true;
                    rest
                }
                ["--older", rest @ ..] => {
                    network.older = true;
                    rest
                }
                ["--state", rest @ ..] => {
                    network.state = true;
                    rest
                }
                ["--security", folder, rest @ ..] => {
                    network.security = Some(security(Path::new(folder)));
                    rest
                }
                ["--participants", count, rest @ ..] => {
                    network.participants = count.parse()?;
                    rest
                }
                rest => return Ok((network, rest)),
            };
        }
    }

    fn join(&self, domain: &str, tag: &str) -> Result<CycloneSpace, Box<dyn Error>> {
        let mut config = DomainConfig::loopback(domain.parse()?).with_tag(tag);
        config.key_hashes = self.older;
        config.security.clone_from(&self.security);
        if let Some(interface) = self.interface {
            config.interfaces = vec![interface];
            config.peers.clone_from(&self.peers);
            config.multicast = self.multicast;
        }
        Ok(CycloneSpace::join(&config)?)
    }
}

fn security(folder: &Path) -> Security {
    let file = |name: &str| folder.join(name);
    Security {
        identity_ca: file("identity_ca.pem"),
        permissions_ca: file("permissions_ca.pem"),
        certificate: file("certificate.pem"),
        private_key: file("private_key.pem"),
        governance: file("governance.p7s"),
        permissions: file("permissions.p7s"),
    }
}

fn topic(name: &str) -> Result<Topic, Box<dyn Error>> {
    Topic::new(name, Qos::TELEMETRY).ok_or_else(|| format!("{name} is no topic name").into())
}

fn sample(key: &str, sequence: u64, size: usize) -> Sample {
    Sample {
        key: key.into(),
        writer: "peer".into(),
        sequence,
        key_epoch: 1,
        source_time_ns: 0,
        sealed: vec![7; size],
    }
}

async fn echo(space: CycloneSpace) -> Result<(), Box<dyn Error>> {
    let (ping, pong) = (topic("peer_ping")?, topic("peer_pong")?);
    let mut requests = space.subscribe(&ping, &["test"])?;
    println!("ready");
    while let Some(request) = requests.sample().await {
        space.publish_wait(&pong, "test", request).await?;
    }
    Ok(())
}

async fn publish(space: CycloneSpace, partition: &str, count: u64) -> Result<(), Box<dyn Error>> {
    let topic = topic("peer_topic")?;
    for sequence in 1..=count {
        let key = ["alpha", "beta", "gamma"][(sequence % 3) as usize];
        space
            .publish_wait(&topic, partition, sample(key, sequence, 100))
            .await?;
    }
    // What waits in the queue is not retained yet.
    space.drain(Duration::from_secs(60)).await?;
    println!("published");
    std::future::pending().await
}

async fn subscribe(space: CycloneSpace, partition: &str) -> Result<(), Box<dyn Error>> {
    let mut samples = space.subscribe(&topic("peer_topic")?, &[partition])?;
    println!("ready");
    while let Some(delivery) = samples.recv().await {
        match delivery {
            Delivery::Sample(sample) => {
                println!("{} {} {}", sample.key, sample.sequence, sample.sealed.len());
            }
            Delivery::Disposed { .. } => println!("disposed"),
        }
    }
    Ok(())
}

/// Several participants of one process; each has met the writer when its reader has the sample.
async fn crowd(spaces: Vec<CycloneSpace>, partition: &str) -> Result<(), Box<dyn Error>> {
    let (heard, mut all) = tokio::sync::mpsc::channel(spaces.len());
    for space in &spaces {
        let mut samples = space.subscribe(&topic("peer_topic")?, &[partition])?;
        let heard = heard.clone();
        tokio::spawn(async move {
            while let Some(sample) = samples.sample().await {
                let what = (sample.key, sample.sequence, sample.sealed.len());
                if heard.send(what).await.is_err() {
                    return;
                }
            }
        });
    }
    println!("ready");
    let mut counts: BTreeMap<(String, u64), usize> = BTreeMap::new();
    while let Some((key, sequence, length)) = all.recv().await {
        let count = counts.entry((key.clone(), sequence)).or_default();
        *count += 1;
        if *count == spaces.len() {
            println!("{key} {sequence} {length}");
        }
    }
    Ok(())
}

async fn feed(
    space: CycloneSpace,
    partition: &str,
    network: &Network,
) -> Result<(), Box<dyn Error>> {
    let mut qos = if network.state {
        Qos::STATE
    } else {
        Qos::TELEMETRY
    };
    if network.older {
        qos.representation = Representation::Xcdr1;
    }
    let topic = topic("peer_topic")?.with_qos(qos);
    let mut sequence = 0;
    println!("ready");
    // Nothing else runs here that reading could hold up.
    for line in std::io::stdin().lock().lines() {
        match *line?.split_whitespace().collect::<Vec<_>>() {
            ["dispose", key] => space.dispose(&topic, partition, key)?,
            ["drain"] => space.drain(Duration::from_secs(60)).await?,
            [key, count, size] => {
                let size = size.parse()?;
                for _ in 0..count.parse::<u64>()? {
                    sequence += 1;
                    let sample = sample(key, sequence, size);
                    space.publish_wait(&topic, partition, sample).await?;
                }
            }
            ref other => return Err(format!("{other:?} is nothing to do").into()),
        }
        println!("done");
    }
    Ok(())
}

async fn ping(space: CycloneSpace, count: u64, size: usize) -> Result<(), Box<dyn Error>> {
    let (ping, pong) = (topic("peer_ping")?, topic("peer_pong")?);
    let mut replies = space.subscribe(&pong, &["test"])?;
    let mut trips = Vec::new();
    for sequence in 0..WARM_UP + count {
        let start = Instant::now();
        space.publish(&ping, "test", sample("key", sequence, size))?;
        answer(&mut replies, sequence).await?;
        if sequence >= WARM_UP {
            trips.push(start.elapsed());
        }
    }
    trips.sort_unstable();
    let at = |share: f64| trips[((trips.len() - 1) as f64 * share) as usize];
    println!(
        "size {size} round trips {count}: min {:?} p50 {:?} p99 {:?} max {:?}",
        at(0.0),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

async fn answer(replies: &mut Subscription, sequence: u64) -> Result<(), Box<dyn Error>> {
    loop {
        let reply = tokio::time::timeout(Duration::from_secs(10), replies.sample()).await?;
        if reply.ok_or("the data space closed")?.sequence == sequence {
            return Ok(());
        }
    }
}

/// As readings, with a cache that holds what a starved reader has not taken yet: a sink counts every sample.
fn flood_topic() -> Result<Topic, Box<dyn Error>> {
    let qos = Qos {
        durability: Durability::Volatile,
        backlog: u16::MAX,
        ..Qos::TELEMETRY
    };
    Ok(topic("peer_flood")?.with_qos(qos))
}

async fn flood(space: CycloneSpace, count: u64, size: usize) -> Result<(), Box<dyn Error>> {
    let topic = flood_topic()?;
    let mut events = space.events();
    space
        .publish_wait(&topic, "test", sample("key", 0, size))
        .await?;
    while !matches!(events.recv().await?, dds::SpaceEvent::ReaderMatched { .. }) {}
    let start = Instant::now();
    for sequence in 1..=count {
        space
            .publish_wait(&topic, "test", sample("key", sequence, size))
            .await?;
    }
    space.drain(Duration::from_secs(60)).await?;
    let took = start.elapsed();
    println!(
        "sent {count} of {size} B in {took:?}: {:.0}/s",
        count as f64 / took.as_secs_f64()
    );
    Ok(())
}

async fn sink(space: CycloneSpace, count: u64) -> Result<(), Box<dyn Error>> {
    let mut samples = space.subscribe(&flood_topic()?, &["test"])?;
    println!("ready");
    // Of what was written before the match only the newest are retained: count from the first seen.
    let mut last = None;
    let mut start = Instant::now();
    while let Some(sample) = samples.sample().await {
        match last.replace(sample.sequence) {
            None => start = Instant::now(),
            Some(last) if sample.sequence == last + 1 => {}
            Some(last) => {
                return Err(format!("sample {} came after {last}", sample.sequence).into());
            }
        }
        if sample.sequence == count {
            let took = start.elapsed();
            let rate = count as f64 / took.as_secs_f64();
            println!("received {count} in {took:?}: {rate:.0}/s, none lost");
            return Ok(());
        }
    }
    Err("the data space closed".into())
}
