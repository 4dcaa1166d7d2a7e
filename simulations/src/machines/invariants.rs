//! What must hold. The ledger's own invariants (`ledger::invariants`) are checked at every leaf of
//! every replica besides these.

/// A rule with a stable id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable id.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id} broken at {node}: {says} ({detail})")]
pub struct Violation {
    /// Id of the rule.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Where.
    pub node: String,
    /// How.
    pub detail: String,
}

impl Rule {
    /// `Err` unless `holds`.
    pub(crate) fn check(
        self,
        holds: bool,
        node: usize,
        detail: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        if holds {
            return Ok(());
        }
        Err(Violation {
            id: self.id,
            says: self.says,
            node: format!("n{node}"),
            detail: detail(),
        })
    }
}

macro_rules! rules {
    ($($name:ident $id:literal $says:literal;)*) => {
        $(#[doc = $says] pub const $name: Rule = Rule { id: $id, says: $says };)*
        /// All rules of the simulation.
        pub const ALL: &[Rule] = &[$($name),*];
    };
}

rules! {
    EPOCHS_GROW "CUSTODY-1" "a node's key epochs only grow while it lives";
    SECRETS_AGREE "CUSTODY-2" "all holders of a key epoch hold the same secrets";
    LEDGER_FIRST "CUSTODY-3" "no key epoch starts at a node before its replica has it";
    ONE_MODEL "FEDERATION-1" "a model is published only as the one its round was closed with";
    HONEST "FEDERATION-7" "among honest nodes nobody finds the protocol of a secure round broken";
    COUNTED_ONCE "FEDERATION-2" "a closed round counts each participant's examples exactly once";
    TRAINED_ONCE "FEDERATION-3" "a node trains at most once for a round in one life";
    OPEN_FIRST "FEDERATION-4" "nobody is asked to train before the ledger opened the round";
    PAID_FIRST "FEDERATION-9" "a private round closes, and shares of it are revealed, only when the ledger has its cost";
    WITHIN_BUDGET "FEDERATION-10" "no charge takes the account of a node or tenant over its ε";
    LEFT_OUT_ONCE "FEDERATION-11" "what a smaller update leaves out is in the next one that counts, once, while its node lives";
    MEAN_VARIATE "FEDERATION-12" "in rounds of SCAFFOLD the server's variate is the mean of those that the members keep";
    OWN_VARIATE "FEDERATION-14" "a participant goes on from the variate that its last round that counted left, be it restarted or not, and answers a round once";
    LOST_WITH_DISK "FEDERATION-15" "nobody takes its variate for lost that has its disk";
    COUNTS_BY_AGE "FEDERATION-13" "an update that is taken as it comes counts once at most, by the age on the ledger, and none is older than allowed";
    OPENED_ONCE "SEAL-1" "a payload opens at most once at a node in one life, and as it was sealed";
    REPLICAS_AGREE "LEDGER-1" "replicas that folded the same leaves have the same tree, state and accounts of tenants";
    CAUGHT_UP "LIVE-1" "after the faults every replica reaches the end of the log";
    IN_GROUP "LIVE-2" "after the faults every node holds the keys of the current epoch";
    ROUNDS_GO_ON "LIVE-3" "after the faults rounds go on closing";
    KEYS_FOLLOW "LIVE-4" "after the faults every closed round gets its rotation";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique() {
        let ids: std::collections::BTreeSet<_> = ALL.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), ALL.len());
    }
}
