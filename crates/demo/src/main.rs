//! `glasshouse-demo`: the whole house on one machine. Three nodes as processes, an embedded broker
//! with TLS, gear that mails, a mainframe that produces, an operator's mailbox; one node is killed
//! half-way. Exit code 0 only if every stage worked. Nodes that are hurt all the time are `glasshouse-chaos`'s.

mod faults;
mod gearmail;
mod house;
mod inventory;
mod labels;
mod mainframe;
mod observe;
mod operator;
mod progress;
mod report;
mod run;
mod verdict;
mod wirecheck;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Below this the cluster has no time to learn, lose a node and heal.
const SHORTEST: Duration = Duration::from_secs(30);

#[derive(Parser)]
#[command(
    name = "glasshouse-demo",
    about = "Runs the whole of Glasshouse on this machine and says whether it worked."
)]
struct Arguments {
    /// How long, e.g. 60s or 5m.
    #[arg(long = "for", value_parser = span, default_value = "60s")]
    span: Duration,
    /// Folder of the Server Machine Dataset; without it this host and generated gear are the devices.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where to write the report.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Keep everything (configurations, logs, ledgers) here; must not exist yet.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The `glasshouse` binary; by default the one beside this program.
    #[arg(long)]
    glasshouse: Option<PathBuf>,
}

fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let scale = match unit {
        "s" | "" => 1,
        "m" => 60,
        _ => {
            return Err(format!(
                "`{text}` must be seconds or minutes, such as 60s or 5m"
            ));
        }
    };
    let seconds: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` must begin with a whole number"))?;
    let span = Duration::from_secs(seconds.saturating_mul(scale));
    if span < SHORTEST {
        return Err(format!(
            "{text} is too short: the cluster needs at least {} s to learn, lose a node and heal",
            SHORTEST.as_secs()
        ));
    }
    Ok(span)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("glasshouse-demo: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("glasshouse-demo: {error}");
            ExitCode::FAILURE
        }
    }
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
            ("1h", "60s or 5m"),
            ("s", "whole number"),
            ("", "whole number"),
        ] {
            assert!(span(text).unwrap_err().contains(says), "{text}");
        }
    }
}
