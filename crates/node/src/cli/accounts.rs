//! What private rounds have told of whom, as a table.

use wire::control::AccountEntry;

/// Below a list of rounds or models; nothing where no round was or is private.
pub(super) fn table(accounts: &[AccountEntry]) -> String {
    if accounts.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\nprivacy account        epsilon spent  of        left      delta     nodes\n",
    );
    for account in accounts {
        let nodes: Vec<_> = account.nodes.iter().map(wire::NodeId::as_str).collect();
        text.push_str(&format!(
            "{:<22} {:<14.3} {:<9} {:<9.3} {:<9} {}\n",
            account.name(),
            account.spent,
            account.epsilon,
            account.left(),
            account.delta,
            nodes.join(", "),
        ));
    }
    text
}

/// In one line, for the header of a file.
pub(super) fn line(accounts: &[AccountEntry]) -> String {
    let one = |account: &AccountEntry| {
        format!(
            "{}: {} of {} at delta {}",
            account.name(),
            account.spent,
            account.epsilon,
            account.delta
        )
    };
    accounts.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_says_what_is_spent_and_left() {
        let accounts = [
            AccountEntry {
                holder: "c".to_owned(),
                tenant: false,
                nodes: vec!["c".into()],
                spent: 0.0,
                epsilon: 2.0,
                delta: 1e-5,
            },
            AccountEntry {
                holder: "hospital".to_owned(),
                tenant: true,
                nodes: vec!["a".into(), "b".into()],
                spent: 4.728_51,
                epsilon: 4.0,
                delta: 1e-6,
            },
        ];
        let text = table(&accounts);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2],
            "c                      0.000          2         2.000     0.00001   c"
        );
        // Its members have lowered the budget since.
        assert_eq!(
            lines[3],
            "tenant hospital        4.729          4         0.000     0.000001  a, b"
        );
        assert_eq!(table(&[]), "");
        assert_eq!(
            line(&accounts),
            "c: 0 of 2 at delta 0.00001; tenant hospital: 4.72851 of 4 at delta 0.000001"
        );
    }
}
