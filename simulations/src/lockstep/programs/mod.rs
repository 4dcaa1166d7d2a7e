//! What simulated processes run.

mod broker;
mod devices;
mod follow;
mod ledger;
mod liar;
mod log;
mod node;
mod readers;
mod space;
mod updates;

use super::guest::{self, core, raw};
use super::protocol::{Boot, Program};
use std::io;

/// What a simulated process does from its first moment to its last. Ends the process.
pub fn main() -> ! {
    let boot = match start() {
        Ok(boot) => boot,
        Err(error) => {
            eprintln!("the controller was not heard: {error}");
            raw::exit(1)
        }
    };
    if boot.tell {
        log::to_story();
    }
    make_mistakes(&boot);
    let outcome = run(boot);
    core::returned(outcome.err().map(|error| error.to_string()))
}

/// Known mistakes, where the plan asks for them and this build can make them.
fn make_mistakes(boot: &Boot) {
    #[cfg(feature = "mistakes")]
    let made = machine::mistakes::make(boot.bugs.iter().map(String::as_str))
        .map_err(|error| error.to_string());
    #[cfg(not(feature = "mistakes"))]
    let made = match boot.bugs.as_slice() {
        [] => Ok(()),
        bugs => Err(format!(
            "this build makes no mistakes, and the plan asks for {}: build with `--features mistakes`",
            bugs.join(", ")
        )),
    };
    if let Err(error) = made {
        core::returned(Some(error));
    }
}

/// Hears who this process is; whatever it prints from now on goes to where errors go.
fn start() -> io::Result<Boot> {
    let boot = guest::boot(libc::STDIN_FILENO, libc::STDOUT_FILENO)?;
    raw::duplicate(libc::STDERR_FILENO, libc::STDOUT_FILENO)
        .map_err(io::Error::from_raw_os_error)?;
    core::disk_on();
    Ok(boot)
}

/// Why a program ended.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn run(boot: Boot) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match boot.program {
            Program::Ledger => ledger::run(boot).await,
            Program::Node { feed, rounds } => node::run(boot, feed, rounds).await,
            Program::Space => readers::run(boot).await,
            Program::Broker => broker::run(boot).await,
            Program::Mainframe => broker::mainframe(boot).await,
            Program::Gear => devices::run(boot).await,
        }
    })
}
