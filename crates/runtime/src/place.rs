//! Where actors and tasks run, for those that must not wait for the rest of the process.
//!
//! Consensus is a relay race: link, replica, link. With one worker its runners hand over to each other
//! on the same thread; with several each message may wake another thread, which costs as much as the
//! message. And a house busy with mail or training then delays no heartbeat.

use std::io;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// A runtime of one worker, whose tasks take turns; the work of [`crate::blocking`] still moves the
/// others aside to another thread. Outlives nothing: drop it outside of any runtime, after those that
/// use it.
///
/// # Errors
/// The system gives no thread or no file descriptor.
pub fn of_its_own(name: &str) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
}

/// Runs `future`, and whatever it spawns, at `place`; without one, here. If the caller goes away
/// meanwhile, it is cancelled.
///
/// # Panics
/// With the panic of `future`.
pub async fn at<F>(place: Option<&Handle>, future: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let Some(place) = place else {
        return future.await;
    };
    let mut task = Cancelled(place.spawn(future));
    match (&mut task.0).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is going down cancels it: its user is about to be dropped as well.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Ends its task with itself.
struct Cancelled<T>(JoinHandle<T>);

impl<T> Drop for Cancelled<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn here() -> Option<String> {
        thread::current().name().map(str::to_owned)
    }

    #[test]
    fn what_is_spawned_stays_in_its_place() {
        let place = of_its_own("apart").unwrap();
        let user = Builder::new_current_thread().build().unwrap();
        let handle = place.handle().clone();
        let (inside, beneath, without) = user.block_on(async {
            let both = async { (here(), tokio::spawn(async { here() }).await.unwrap()) };
            let (inside, beneath) = at(Some(&handle), both).await;
            (inside, beneath, at(None, async { here() }).await)
        });
        assert_eq!(inside.as_deref(), Some("apart"));
        assert_eq!(beneath.as_deref(), Some("apart"));
        assert_eq!(without, here());
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let place = of_its_own("apart").unwrap();
        let user = Builder::new_current_thread().build().unwrap();
        let handle = place.handle().clone();
        let panic = std::panic::catch_unwind(|| {
            user.block_on(at(Some(&handle), async { panic!("as it must") }))
        });
        let said = panic.unwrap_err();
        assert_eq!(said.downcast_ref::<&str>(), Some(&"as it must"));
    }

    #[test]
    fn a_caller_that_goes_away_takes_its_task_along() {
        let place = of_its_own("apart").unwrap();
        let user = Builder::new_current_thread().build().unwrap();
        let handle = place.handle().clone();
        let (alive, mut dropped) = tokio::sync::oneshot::channel::<()>();
        user.block_on(async {
            let waits = at(Some(&handle), async move {
                std::future::pending::<()>().await;
                drop(alive);
            });
            tokio::select! {
                biased;
                () = waits => unreachable!("it waits for ever"),
                () = async {} => {}
            }
            assert!((&mut dropped).await.is_err());
        });
    }
}
