//! Proposing an act and learning what it did.

use ledger::Applied;
use replica::Ledger;
use wire::Act;

/// Why an act did not take effect, or is not known to have.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// Not known to be on the log.
    #[error(transparent)]
    NotCommitted(#[from] replica::ProposeError),
    /// On the log without effect.
    #[error("{0}")]
    NoEffect(String),
    /// This replica cannot read its own log.
    #[error(transparent)]
    Unreadable(#[from] replica::StoreError),
}

/// Proposes and waits until this replica knows what the act did; gives its leaf.
pub async fn commit(ledger: &Ledger, act: Act) -> Result<u64, ActError> {
    let leaf = ledger.propose(act).await?;
    let committed = ledger.subscribe(leaf).next().await?;
    match committed.applied {
        Applied::Effective => Ok(leaf),
        Applied::Ignored { reason } => Err(ActError::NoEffect(reason)),
        Applied::Lost { current } => Err(ActError::NoEffect(format!(
            "it came too late: the key epoch is {current}"
        ))),
        Applied::Duplicate { first } => Ok(first),
    }
}
