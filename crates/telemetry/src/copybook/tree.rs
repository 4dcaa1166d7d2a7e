//! Entries → a tree, by level numbers; redefinitions beside what they redefine.

use super::CopybookError;
use super::lexer::Word;
use super::parser::{Entries, Item};

/// An item with the items below it.
pub(super) struct Node {
    pub(super) item: Item,
    pub(super) members: Vec<Member>,
}

/// Items that begin at the same byte: usually one, several under REDEFINES. Never empty.
pub(super) struct Member {
    pub(super) alternatives: Vec<Node>,
}

pub(super) fn tree(entries: Entries) -> Result<Node, CopybookError> {
    let Entries { items, renames } = entries;
    let names: Vec<String> = items.iter().filter_map(|item| item.name.clone()).collect();
    for word in renames.iter().flat_map(|renames| &renames.names) {
        if !names.contains(&word.upper()) {
            return Err(word.refuse(
                "level 66 renames items of the record, and it has none of this name",
                "correct the name, or delete the entry: it takes no room",
            ));
        }
    }
    // Items at level 77 stand outside every record, unless one is all there is.
    let has_record = items.iter().any(|item| item.level == 1);
    let mut items = items
        .into_iter()
        .filter(|item| item.level != 77 || !has_record);
    let Some(first) = items.next() else {
        return Err(CopybookError {
            line: 1,
            column: 1,
            found: "the end of the text".to_owned(),
            rule: "a copybook describes one record, beginning with level 01",
            remedy: "write the record's entry: 01 NAME.",
        });
    };
    if !matches!(first.level, 1 | 77) {
        return Err(first.at.refuse(
            "the first entry has level 01",
            "write a record around it: 01 NAME.",
        ));
    }
    // Open groups, outermost first; the record itself is at the bottom and stays.
    let mut open = vec![Node::new(first)];
    for item in items {
        if matches!(item.level, 1 | 77) {
            return Err(item.at.refuse(
                "a copybook describes one record; a second one begins here",
                "give each record a file of its own, or put both below one level 01 with REDEFINES",
            ));
        }
        while open
            .last()
            .is_some_and(|node| node.item.level >= item.level)
        {
            close(&mut open)?;
        }
        let parent = open.last().expect("level 01 is below every other level");
        accept(parent, &item)?;
        open.push(Node::new(item));
    }
    while open.len() > 1 {
        close(&mut open)?;
    }
    Ok(open.swap_remove(0))
}

impl Node {
    fn new(item: Item) -> Self {
        Self {
            item,
            members: Vec::new(),
        }
    }
}

fn accept(parent: &Node, item: &Item) -> Result<(), CopybookError> {
    let first = parent.members.first().map(|member| &member.alternatives[0]);
    if let Some(sibling) = first.filter(|sibling| sibling.item.level != item.level) {
        return Err(if sibling.item.level > item.level {
            item.at.refuse(
                "the level number matches none of the groups that are open here",
                "give it the level number of the items that it stands beside",
            )
        } else {
            item.at.refuse(
                "items of one group have the same level number",
                "give it the level number of the items that it stands beside",
            )
        });
    }
    if parent.item.picture.is_some() {
        return Err(item.at.refuse(
            "an item with a picture has no items below it",
            "delete the picture of the group, or raise the level number",
        ));
    }
    Ok(())
}

/// Puts the innermost open item into its group.
fn close(open: &mut Vec<Node>) -> Result<(), CopybookError> {
    let (Some(node), Some(parent)) = (open.pop(), open.last_mut()) else {
        return Ok(());
    };
    let Some(target) = node.item.redefines.clone() else {
        parent.members.push(Member {
            alternatives: vec![node],
        });
        return Ok(());
    };
    // Directly behind what it redefines, or behind other redefinitions of the same.
    let name = target.upper();
    let last = parent.members.last_mut();
    let found = last.filter(|member| {
        let mut alternatives = member.alternatives.iter();
        alternatives.any(|other| other.item.name.as_ref() == Some(&name))
    });
    let Some(member) = found else {
        return Err(target.refuse(
            "REDEFINES names the item before it, or the one that the item before it redefines",
            "move the entry directly behind the item that it redefines",
        ));
    };
    let tabular = member.alternatives[0].item.occurs.is_some();
    if tabular {
        return Err(target.refuse(
            "an item with OCCURS is not redefined",
            "put the table into a group and redefine that",
        ));
    }
    member.alternatives.push(node);
    Ok(())
}

/// The names that the item can be found by, for messages.
pub(super) fn shown(item: &Item) -> Word {
    Word {
        text: item.name.clone().unwrap_or_else(|| "FILLER".to_owned()),
        ..item.at.clone()
    }
}
