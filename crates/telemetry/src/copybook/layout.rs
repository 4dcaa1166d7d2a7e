//! Entries → offsets: groups are nested by level numbers, occurrences are unrolled.

use super::parser::Item;
use super::{Copybook, CopybookError, Field, MAX_FIELDS, MAX_RECORD, Usage, picture};

struct Node {
    item: Item,
    children: Vec<Node>,
}

pub(super) fn lay_out(items: Vec<Item>) -> Result<Copybook, CopybookError> {
    let root = tree(items)?;
    let mut fields = Fields {
        fields: Vec::new(),
        offset: 0,
    };
    if root.children.is_empty() {
        fields.elementary(
            &root.item,
            Usage::Display,
            root.item.name.clone().unwrap_or_default(),
        )?;
    }
    for child in &root.children {
        fields.place(child, "", root.item.usage)?;
    }
    if let Some(twice) = fields.repeated_path() {
        return Err(root
            .item
            .at
            .refuse_owned(twice, "two fields have the same qualified name"));
    }
    let name = root
        .item
        .name
        .ok_or_else(|| root.item.at.refuse("the record at level 01 has a name"))?;
    Ok(Copybook {
        name,
        record_len: fields.offset,
        fields: fields.fields,
    })
}

impl super::lexer::Word {
    fn refuse_owned(&self, found: String, rule: &'static str) -> CopybookError {
        CopybookError {
            line: self.line,
            column: self.column,
            found,
            rule,
        }
    }
}

fn tree(items: Vec<Item>) -> Result<Node, CopybookError> {
    let mut items = items.into_iter();
    let Some(first) = items.next() else {
        return Err(CopybookError {
            line: 1,
            column: 1,
            found: "the end of the text".to_owned(),
            rule: "a copybook describes one record, beginning with level 01",
        });
    };
    if first.level != 1 {
        return Err(first.at.refuse("the first entry has level 01"));
    }
    // Open groups, outermost first; the record itself is at the bottom and stays.
    let mut open = vec![Node {
        item: first,
        children: Vec::new(),
    }];
    for item in items {
        if item.level == 1 {
            return Err(item
                .at
                .refuse("a copybook describes one record; a second level 01 begins another"));
        }
        while open
            .last()
            .is_some_and(|node| node.item.level >= item.level)
        {
            close(&mut open);
        }
        let parent = open.last().expect("level 01 is below every other level");
        if let Some(sibling) = parent
            .children
            .first()
            .filter(|sibling| sibling.item.level != item.level)
        {
            let rule = if sibling.item.level > item.level {
                "the level number matches none of the groups that are open here"
            } else {
                "items of one group have the same level number"
            };
            return Err(item.at.refuse(rule));
        }
        if parent.item.picture.is_some() {
            return Err(item
                .at
                .refuse("an item with a picture has no items below it"));
        }
        open.push(Node {
            item,
            children: Vec::new(),
        });
    }
    while open.len() > 1 {
        close(&mut open);
    }
    Ok(open.swap_remove(0))
}

fn close(open: &mut Vec<Node>) {
    if let Some(node) = open.pop()
        && let Some(parent) = open.last_mut()
    {
        parent.children.push(node);
    }
}

struct Fields {
    fields: Vec<Field>,
    offset: usize,
}

impl Fields {
    /// Places a node and all its occurrences. Depth is bounded by the 49 level numbers.
    fn place(
        &mut self,
        node: &Node,
        parent: &str,
        inherited: Option<Usage>,
    ) -> Result<(), CopybookError> {
        let usage = match (node.item.usage, inherited) {
            (Some(own), Some(group)) if own != group => {
                return Err(node
                    .item
                    .at
                    .refuse("an item's usage may not contradict its group's"));
            }
            (own, group) => own.or(group),
        };
        for occurrence in 1..=node.item.occurs.unwrap_or(1) {
            let name = node.item.name.as_deref().unwrap_or("FILLER");
            let dot = if parent.is_empty() { "" } else { "." };
            let path = match node.item.occurs {
                None => format!("{parent}{dot}{name}"),
                Some(_) => format!("{parent}{dot}{name}({occurrence})"),
            };
            if node.children.is_empty() {
                self.elementary(&node.item, usage.unwrap_or(Usage::Display), path)?;
            } else {
                for child in &node.children {
                    self.place(child, &path, usage)?;
                }
            }
        }
        Ok(())
    }

    fn elementary(&mut self, item: &Item, usage: Usage, path: String) -> Result<(), CopybookError> {
        let Some((picture, word)) = &item.picture else {
            return Err(item
                .at
                .refuse("an item without items below it has a picture"));
        };
        let (kind, len) = picture::storage(*picture, usage, word)?;
        if self.offset + len > MAX_RECORD || self.fields.len() == MAX_FIELDS {
            return Err(item.at.refuse("a record has at most 32760 bytes"));
        }
        self.fields.push(Field {
            path,
            offset: self.offset,
            len,
            kind,
            filler: item.name.is_none(),
        });
        self.offset += len;
        Ok(())
    }

    fn repeated_path(&self) -> Option<String> {
        let mut paths: Vec<_> = self
            .fields
            .iter()
            .filter(|field| !field.filler)
            .map(|field| &field.path)
            .collect();
        paths.sort();
        paths
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| pair[0].clone())
    }
}
