//! The hatch: how something gets into the mailbox's journal without a connection. It is open while the
//! mailbox works its journal off.

use crate::numbering::Numbering;
use edge::smtp::{AcceptedMail, Defer, JournalSink, Kept};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the mailbox, which opens it, and whoever puts something in.
#[derive(Default)]
pub struct Hatch(Mutex<Option<Behind>>);

#[derive(Clone)]
struct Behind {
    journal: Arc<JournalSink>,
    numbers: Numbering,
}

/// Why nothing was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HatchError {
    /// The mailbox does not run.
    #[error(
        "the mailbox of this node is not open (it starts, stops, or the node is removed); try again in a moment"
    )]
    Shut,
    /// Its journal did not take it.
    #[error("the mailbox did not take it: {0}")]
    Refused(Defer),
}

/// Open until dropped: what is behind holds the journal, which the mailbox's next start has to open.
pub(crate) struct Opened(Arc<Hatch>);

impl Drop for Opened {
    fn drop(&mut self) {
        *self.0.behind() = None;
    }
}

impl Hatch {
    pub(crate) fn open(self: &Arc<Self>, journal: Arc<JournalSink>, numbers: Numbering) -> Opened {
        *self.behind() = Some(Behind { journal, numbers });
        Opened(self.clone())
    }

    /// Makes a message durable; its number in the house.
    ///
    /// # Errors
    /// It was not taken, and nothing of it is kept.
    pub async fn put(&self, mail: AcceptedMail) -> Result<u64, HatchError> {
        let behind = self.behind().clone().ok_or(HatchError::Shut)?;
        let Kept { seq, duplicate: _ } = behind
            .journal
            .take(mail)
            .await
            .map_err(HatchError::Refused)?;
        Ok(behind.numbers.number(seq))
    }

    fn behind(&self) -> MutexGuard<'_, Option<Behind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
