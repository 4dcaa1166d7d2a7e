//! Work that blocks: where it is done depends on the runtime that asks for it.
//!
//! On a multi-threaded runtime it moves aside, so that other tasks go on. On a `current_thread` runtime
//! (simulation, tests) it is done where it stands: a second thread would finish at a moment that no
//! virtual clock knows, and the order of events would be another one in every run.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinError;

/// Whether the calling code runs on a runtime with one thread, which therefore has to do everything.
pub fn on_one_thread() -> bool {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => true,
        // No runtime: whoever calls has a thread of his own. tokio may add flavours; those that
        // exist have threads to spare.
        Ok(_) | Err(_) => false,
    }
}

/// A few milliseconds of work, in place; a worker of a multi-threaded runtime first hands its other
/// tasks over.
pub fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => work(),
    }
}

/// Work of any length, on a thread that is kept for such work where there is one.
///
/// # Errors
/// The work panicked, or the runtime is going down.
pub async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if on_one_thread() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[tokio::test]
    async fn one_thread_does_everything_itself() {
        let here = thread::current().id();
        assert!(on_one_thread());
        assert_eq!(in_place(|| thread::current().id()), here);
        assert_eq!(aside(|| thread::current().id()).await.unwrap(), here);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn with_several_threads_long_work_moves_aside() {
        // On a worker, not on the test's own thread, which is outside the runtime.
        let (worker, in_place, aside) = tokio::spawn(async {
            assert!(!on_one_thread());
            let worker = thread::current().id();
            let aside = aside(|| thread::current().id()).await.unwrap();
            (worker, in_place(|| thread::current().id()), aside)
        })
        .await
        .unwrap();
        assert_ne!(worker, aside);
        // Work in place keeps its thread; it is the others' tasks that move.
        assert!(in_place == worker || in_place != aside);
    }

    #[test]
    fn without_a_runtime_work_is_done_where_it_stands() {
        assert!(!on_one_thread());
        assert_eq!(in_place(|| 7), 7);
    }
}
