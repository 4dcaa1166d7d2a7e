//! The nodes' views as a table, and as JSON.

use crate::view::{NodeState, NodeView, short};
use serde::Serialize;

/// A row of the table, and of the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The node.
    pub node: String,
    /// `up`, `silent`, `paused` or `dead`.
    pub state: NodeState,
    /// Process id.
    pub pid: Option<u32>,
    /// `leader` or `follower`, by its own word.
    pub role: Option<&'static str>,
    /// The leader it sees.
    pub leader: Option<String>,
    /// Consensus term.
    pub term: Option<u64>,
    /// Members that are up by its ledger.
    pub members_up: Option<usize>,
    /// Members by its ledger.
    pub members: Option<usize>,
    /// Peers with an authenticated link.
    pub links: Option<Vec<String>>,
    /// Leaves.
    pub ledger_size: Option<u64>,
    /// Merkle root, hex.
    pub ledger_root: Option<String>,
    /// Leaves under the newest checkpoint with a majority's cosignatures.
    pub cosigned: Option<u64>,
    /// Key epoch.
    pub key_epoch: Option<u64>,
    /// Starts after the first.
    pub restarts: u32,
    /// Why it does not answer.
    pub silence: Option<String>,
}

impl From<&NodeView> for Row {
    fn from(view: &NodeView) -> Self {
        let status = view.status.as_deref();
        Self {
            node: view.name.clone(),
            state: view.state,
            pid: view.pid,
            role: status.map(|_| if view.leads() { "leader" } else { "follower" }),
            leader: view.leader().map(ToOwned::to_owned),
            term: status.map(|status| status.term),
            members_up: status.map(|status| status.members.values().filter(|up| **up).count()),
            members: status.map(|status| status.members.len()),
            links: status.map(|status| status.links.keys().cloned().collect()),
            ledger_size: status.map(|status| status.ledger.size),
            ledger_root: status.map(|status| status.ledger.root.clone()),
            cosigned: status.map(|status| status.ledger.cosigned),
            key_epoch: status.map(|status| status.key_epoch.0),
            restarts: view.restarts,
            silence: view.silence.clone(),
        }
    }
}

/// The rows as text in columns.
pub fn table(rows: &[Row]) -> String {
    const HEADS: [&str; 11] = [
        "NODE", "STATE", "PID", "ROLE", "TERM", "MEMBERS", "LINKS", "LEDGER", "COSIGNED", "KEYS",
        "RESTARTS",
    ];
    let shown = |value: Option<String>| value.unwrap_or_else(|| "–".into());
    let mut lines: Vec<[String; 11]> = vec![HEADS.map(Into::into)];
    for row in rows {
        let ledger = row.ledger_size.map(|size| {
            let root = row.ledger_root.as_deref().unwrap_or_default();
            format!("{size} {}", short(root)).trim_end().to_owned()
        });
        let members = row
            .members
            .zip(row.members_up)
            .map(|(all, up)| format!("{up}/{all} up"));
        lines.push([
            row.node.clone(),
            row.state.word().into(),
            shown(row.pid.map(|pid| pid.to_string())),
            shown(row.role.map(Into::into)),
            shown(row.term.map(|term| term.to_string())),
            shown(members),
            shown(row.links.as_ref().map(|links| links.len().to_string())),
            shown(ledger),
            shown(row.cosigned.map(|size| size.to_string())),
            shown(row.key_epoch.map(|epoch| epoch.to_string())),
            row.restarts.to_string(),
        ]);
    }
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 11] = std::array::from_fn(width);
    let written = lines.iter().map(|line| {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    written.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::{dead, view};

    #[test]
    fn the_table_has_a_row_for_each_node_and_json_the_same() {
        let rows: Vec<Row> = [view("a", Some("a"), 9, "0123456789abcdef"), dead("b")]
            .iter()
            .map(Row::from)
            .collect();
        assert_eq!(
            table(&rows),
            "NODE  STATE  PID  ROLE    TERM  MEMBERS  LINKS  LEDGER          COSIGNED  KEYS  RESTARTS\n\
             a     up     42   leader  3     1/2 up   1      9 0123456789ab  0         4     1\n\
             b     dead   –    –       –     –        –      –               –         –     0"
        );
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(json[0]["ledger_size"], 9);
        assert_eq!(json[1]["state"], "dead");
    }
}
