//! A process that is loaded and has done nothing yet; simulated processes are forks of it. Loading
//! libtorch takes a quarter of a second of processor time, a fork takes a few milliseconds, and a run
//! starts processes by the dozen.
//!
//! All forks begin with the same memory: between two of them nothing here touches the heap, so it does not
//! matter for what a process does how many were forked before it.

use super::descriptors::{self, MOST};
use super::entropy;
use super::raw::{self, Errno};
use crate::lockstep::programs;

/// The hidden subcommand.
pub const COMMAND: &str = "stock";

/// What comes with an order: where the process listens, speaks, prints errors, and its working directory.
/// The order itself is the seed of its entropy; the answer is its number, with a handle on it.
pub const FILES: usize = 4;
const _: () = assert!(FILES <= MOST);

/// Serves orders from standard input until nobody can give any.
pub fn main() -> ! {
    match serve(libc::STDIN_FILENO) {
        Ok(()) => raw::exit(0),
        Err(errno) => {
            eprintln!(
                "this subcommand is for the simulator itself, which was not heard: errno {errno}"
            );
            raw::exit(1)
        }
    }
}

fn serve(socket: i32) -> Result<(), Errno> {
    // Nobody waits for the forks here: they are their controllers', who hold handles.
    raw::reap_children(true);
    let mut files = [-1; MOST];
    while let Some((seed, count)) = descriptors::receive(socket, &mut files)? {
        if count != FILES {
            return Err(libc::EBADMSG);
        }
        let pid = raw::fork()?;
        if pid == 0 {
            begin(seed, files)?;
            programs::main()
        }
        // It waits for its first message, which comes after this answer: it cannot be gone yet.
        let handle = raw::handle(pid)?;
        for file in files {
            raw::close(file)?;
        }
        descriptors::send(socket, pid as u64, &[handle])?;
        raw::close(handle)?;
    }
    Ok(())
}

/// The fork becomes a process of its own.
fn begin(seed: u64, [from, to, errors, home]: [i32; FILES]) -> Result<(), Errno> {
    raw::reap_children(false);
    entropy::seed(seed);
    raw::change_dir(home)?;
    let places = [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];
    for (file, place) in [from, to, errors].into_iter().zip(places) {
        raw::duplicate(file, place)?;
    }
    for file in [from, to, errors, home] {
        raw::close(file)?;
    }
    Ok(())
}
