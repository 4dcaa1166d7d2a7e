//! Deadlines and leases of the in-memory data space, on tokio's clock: virtual where a test or a
//! simulation pauses it.

use super::hub::Hub;
use crate::lane::lock;
use std::sync::{Arc, Mutex, Weak};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Wakes the task when something new may fall due; its end ends the task.
pub(super) struct Timekeeper {
    news: Arc<Notify>,
}

impl Timekeeper {
    /// `None` outside a tokio runtime, where no time passes that anybody could wait for.
    pub(super) fn start(hub: &Arc<Mutex<Hub>>) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        let news = Arc::new(Notify::new());
        runtime.spawn(keep(Arc::downgrade(hub), Arc::clone(&news)));
        Some(Self { news })
    }

    pub(super) fn look(&self) {
        self.news.notify_one();
    }
}

impl Drop for Timekeeper {
    fn drop(&mut self) {
        self.news.notify_one();
    }
}

async fn keep(hub: Weak<Mutex<Hub>>, news: Arc<Notify>) {
    loop {
        let Some(next) = hub.upgrade().map(|hub| lock(&hub).tick()) else {
            return;
        };
        match next {
            Some(due) => {
                // Either way it is time to look.
                let _ = tokio::time::timeout_at(due, news.notified()).await;
            }
            None => news.notified().await,
        }
    }
}
