//! `A,B|C,D`: who stays together when the network is split.

/// Why a split could not be understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GroupsError {
    /// Only one side.
    #[error(
        "`{0}` names one group; give at least two, such as node-1,node-2|node-3 or node-1|rest"
    )]
    One(String),
    /// Nothing between two separators.
    #[error("`{0}` has an empty group or name; write node-1,node-2|node-3")]
    Empty(String),
    /// No such node.
    #[error("there is no node `{name}`; the cluster has {known}")]
    Unknown {
        /// What was given.
        name: String,
        /// Those there are.
        known: String,
    },
    /// On both sides.
    #[error("`{0}` stands in the split more than once; a node can be on one side only")]
    Twice(String),
}

/// All nodes that no other group names.
const REST: &str = "rest";

/// Finds a node by its name, or by its number alone (`2` for `node-2`).
pub fn find<'a>(given: &str, known: &'a [String]) -> Result<&'a str, GroupsError> {
    known
        .iter()
        .find(|name| *name == given || name.strip_prefix("node-") == Some(given))
        .map(String::as_str)
        .ok_or_else(|| GroupsError::Unknown {
            name: given.to_owned(),
            known: known.join(", "),
        })
}

/// Parses a split of `known` nodes. `rest` stands for all that are not named; without it, a node
/// that is not named keeps its links to everybody.
pub fn parse(text: &str, known: &[String]) -> Result<Vec<Vec<String>>, GroupsError> {
    let mut groups = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    let mut rest = None;
    for (index, part) in text.split('|').enumerate() {
        if part.trim() == REST {
            if rest.replace(index).is_some() {
                return Err(GroupsError::Twice(REST.into()));
            }
            groups.push(Vec::new());
            continue;
        }
        let mut group = Vec::new();
        for name in part.split(',').map(str::trim) {
            if name.is_empty() {
                return Err(GroupsError::Empty(text.into()));
            }
            let name = find(name, known)?;
            if named.contains(&name) {
                return Err(GroupsError::Twice(name.into()));
            }
            named.push(name);
            group.push(name.to_owned());
        }
        groups.push(group);
    }
    if let Some(index) = rest {
        groups[index] = known
            .iter()
            .filter(|name| !named.contains(&name.as_str()))
            .cloned()
            .collect();
    }
    if groups.len() < 2 {
        return Err(GroupsError::One(text.into()));
    }
    if groups.iter().any(Vec::is_empty) {
        return Err(GroupsError::Empty(text.into()));
    }
    Ok(groups)
}

/// Those whom `node` cannot hear: every other group's members.
pub fn beyond<'a>(node: &str, groups: &'a [Vec<String>]) -> Vec<&'a str> {
    let stands = |group: &Vec<String>| group.iter().any(|name| name == node);
    if !groups.iter().any(stands) {
        return Vec::new();
    }
    groups
        .iter()
        .filter(|group| !stands(group))
        .flatten()
        .map(String::as_str)
        .collect()
}

/// As it is written: `A,B|C`.
pub fn write(groups: &[Vec<String>]) -> String {
    let groups: Vec<String> = groups.iter().map(|group| group.join(",")).collect();
    groups.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five() -> Vec<String> {
        (1..=5).map(|index| format!("node-{index}")).collect()
    }

    #[test]
    fn splits_are_groups_of_names_or_numbers() {
        for (text, expected) in [
            ("node-1,node-2|node-3", "node-1,node-2 | node-3"),
            ("1, 2 | 3,4,5", "node-1,node-2 | node-3,node-4,node-5"),
            ("2|rest", "node-2 | node-1,node-3,node-4,node-5"),
            ("rest|1|2", "node-3,node-4,node-5 | node-1 | node-2"),
        ] {
            assert_eq!(write(&parse(text, &five()).unwrap()), expected);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for (text, says) in [
            ("1,2", "at least two"),
            ("", "empty group or name"),
            ("1|", "empty group or name"),
            ("1,,2|3", "empty group or name"),
            ("1|2|1", "`node-1` stands"),
            ("1|node-9", "the cluster has node-1, node-2"),
            ("rest|rest", "`rest` stands"),
            ("1,2,3,4,5|rest", "empty group or name"),
        ] {
            let error = parse(text, &five()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_node_loses_the_other_groups_and_an_unnamed_one_nobody() {
        let groups = parse("1,2|3|4", &five()).unwrap();
        assert_eq!(beyond("node-1", &groups), ["node-3", "node-4"]);
        assert_eq!(beyond("node-3", &groups), ["node-1", "node-2", "node-4"]);
        assert!(beyond("node-5", &groups).is_empty());
    }
}
