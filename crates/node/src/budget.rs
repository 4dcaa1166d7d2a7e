//! Says on the ledger what private rounds may tell of this node's data, and whose they are, until the ledger has it.

use crate::acts;
use federation::privacy::budget::Budget;
use ledger::{Declared, State};
use replica::Ledger;
use runtime::service::{ServiceError, StopSignal};
use std::time::Duration;
use wire::{Act, Level, NodeId};

/// Between two looks at the ledger, and before something is said again that had no effect: a node objects to rounds
/// until the ledger has its tenant, and rounds take seconds.
const LOOK: Duration = Duration::from_secs(2);

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Declaration {
    /// This node.
    pub me: NodeId,
    /// The ledger.
    pub ledger: Ledger,
    /// By the configuration.
    pub budget: Budget,
    /// By the configuration.
    pub tenant: Option<String>,
}

impl Declaration {
    /// Until the node stops: a ledger's level may rise later, and a member may come back after it was removed.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        loop {
            if let Some(act) = self.due(&self.ledger.state()) {
                let proposed = tokio::select! {
                    () = stop.stopped() => return Ok(()),
                    proposed = acts::commit(&self.ledger, act) => proposed,
                };
                match proposed {
                    Ok(leaf) => tracing::info!(leaf, "{} is declared", self.sentence()),
                    Err(error) => {
                        tracing::info!("{} is not declared yet: {error}", self.sentence());
                    }
                }
            }
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn sentence(&self) -> String {
        let Budget { epsilon, delta } = self.budget;
        let whose = match &self.tenant {
            Some(tenant) => format!(" of tenant {tenant}"),
            None => String::new(),
        };
        format!("the privacy budget{whose}, ε = {epsilon} at δ = {delta},")
    }

    fn due(&self, state: &State) -> Option<Act> {
        if state.level < Level::VARIATES_AND_TENANTS || !state.members.contains_key(&self.me) {
            return None;
        }
        let Budget { epsilon, delta } = self.budget;
        let said = Declared {
            tenant: self.tenant.clone(),
            epsilon,
            delta,
        };
        if state.rounds.declared.get(&self.me) == Some(&said) {
            return None;
        }
        Some(Act::BudgetDeclared {
            node: self.me.clone(),
            tenant: said.tenant,
            epsilon,
            delta,
        })
    }
}
