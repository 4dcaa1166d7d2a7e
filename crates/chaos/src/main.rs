//! `glasshouse-chaos`: five nodes as processes, each with a network and a disk of its own, under a
//! steady load and a plan of faults drawn from a seed. Exit code 0 only if everything acknowledged is
//! there exactly once at the end and every invariant held.

mod book;
mod brokers;
mod disk;
mod enclosure;
mod faults;
mod house;
mod load;
mod plan;
mod progress;
mod run;
mod settle;
mod verdict;
mod watch;
mod ways;
mod wounds;

use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Below this no episode fits in.
const SHORTEST: Duration = Duration::from_secs(20);

#[derive(Parser)]
#[command(
    name = "glasshouse-chaos",
    about = "Hurts a cluster of five nodes in every way there is, and says whether it kept its promises."
)]
struct Arguments {
    /// How long faults are made, e.g. 90s or 5m.
    #[arg(long = "for", value_parser = span, default_value = "3m")]
    span: Duration,
    /// Which plan of faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play the plan of faults in this file, as a former run wrote it, instead of drawing one.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// The broker of the mainframe's records.
    #[arg(long, value_enum, default_value_t = brokers::Kind::Embedded)]
    broker: brokers::Kind,
    /// How nodes reach each other.
    #[arg(long, value_enum, default_value_t = NetworkArgument::Auto)]
    network: NetworkArgument,
    /// Where to write the report.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Keep everything (configurations, logs, ledgers, plan) here; must not exist yet.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The `glasshouse` binary; by default the one beside this program.
    #[arg(long)]
    glasshouse: Option<PathBuf>,
    #[arg(long, hide = true)]
    inside: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum NetworkArgument {
    /// Namespaces for root, loopback otherwise.
    Auto,
    /// A network and a disk of its own for each node. Needs root and iproute2.
    Namespaces,
    /// 127.0.0.1 and the machine's disk: nodes are killed, paused and split, and the broker restarts.
    Loopback,
}

fn span(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "s" | "" => 1,
        "m" => 60,
        _ => {
            return Err(format!(
                "`{text}` must be seconds or minutes, such as 90s or 5m"
            ));
        }
    };
    let seconds: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` must begin with a whole number"))?;
    let span = Duration::from_secs(seconds.saturating_mul(scale));
    if span < SHORTEST {
        return Err(format!(
            "{text} is too short: a fault and its healing need at least {} s",
            SHORTEST.as_secs()
        ));
    }
    Ok(span)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let root = local::namespaces::user() == 0;
    let apart = match arguments.network {
        NetworkArgument::Auto => root,
        NetworkArgument::Namespaces => true,
        NetworkArgument::Loopback => false,
    };
    let outcome = if apart && !root {
        Err(
            "networks and disks of their own need root; run it as root, or with --network loopback"
                .into(),
        )
    } else if root && !arguments.inside {
        // Also on loopback: nothing is left over then, whatever happens.
        return enclosure::run().unwrap_or_else(|error| {
            eprintln!("glasshouse-chaos: no namespaces of its own: {error}");
            ExitCode::FAILURE
        });
    } else {
        let furnished = if root { enclosure::furnish() } else { Ok(()) };
        furnished
            .map_err(|error| format!("the room cannot be furnished: {error}").into())
            .and_then(|()| start(&arguments, apart))
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("glasshouse-chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments, apart: bool) -> Result<bool, run::Failure> {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    run::run(arguments, apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_seconds_or_minutes_and_long_enough() {
        for (text, seconds) in [("60s", 60), ("5m", 300), ("90", 90)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)));
        }
        for (text, says) in [
            ("5", "too short"),
            ("1h", "90s or 5m"),
            ("s", "whole number"),
            ("", "whole number"),
        ] {
            assert!(span(text).unwrap_err().contains(says), "{text}");
        }
    }
}
