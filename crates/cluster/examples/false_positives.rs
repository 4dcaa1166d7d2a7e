//! How often is a living node suspected? Three nodes as processes, and busy threads beside them
//! that burn the cores; every suspicion in that time is false.
//!
//! `cargo build -p cluster --examples && target/debug/examples/false_positives [SECONDS] [THREADS]`
//! (60 and 4 unless told). Prints a line for each node.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// For links to come up and detectors to learn before the burners start.
const WARM_UP: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let threads: usize = arguments.next().map_or(Ok(4), |text| text.parse())?;
    let program = std::env::current_exe()?.with_file_name("cluster_node");
    let listeners = NAMES.map(|_| TcpListener::bind("127.0.0.1:0"));
    let mut addresses = Vec::new();
    for (name, listener) in NAMES.iter().zip(listeners) {
        addresses.push(format!("{name}={}", listener?.local_addr()?));
    }
    let mut nodes = Vec::new();
    for name in NAMES {
        let node = Command::new(&program)
            .args([name, "1"])
            .args(&addresses)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        nodes.push(node);
    }
    let outcome = measure(&mut nodes, seconds, threads);
    for node in &mut nodes {
        node.kill()?;
        node.wait()?;
    }
    outcome
}

fn measure(nodes: &mut [Child], seconds: u64, threads: usize) -> Result<(), Box<dyn Error>> {
    std::thread::sleep(WARM_UP);
    println!(
        "{threads} busy threads beside {} nodes for {seconds} s",
        nodes.len()
    );
    let burning = Arc::new(AtomicBool::new(true));
    for _ in 0..threads {
        let burning = Arc::clone(&burning);
        std::thread::spawn(move || {
            let mut waste = 1_u64;
            while burning.load(Ordering::Relaxed) {
                waste = std::hint::black_box(waste.wrapping_mul(6_364_136_223_846_793_005) + 1);
            }
        });
    }
    for node in nodes.iter_mut() {
        let orders = node.stdin.as_mut().ok_or("no way to lead the node")?;
        writeln!(orders, "watch {seconds}")?;
    }
    for (name, node) in NAMES.iter().zip(nodes.iter_mut()) {
        // Borrowed, so that what the node says later finds its way.
        let told = BufReader::new(node.stdout.as_mut().ok_or("the node cannot be heard")?);
        for line in told.lines() {
            let line = line?;
            if line.starts_with("watched") {
                println!("{name}: {line}");
                break;
            }
        }
    }
    burning.store(false, Ordering::Relaxed);
    Ok(())
}
