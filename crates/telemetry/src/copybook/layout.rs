//! A tree of entries → offsets, fields and the plan. Tables are unrolled at their greatest number.

use super::lexer::Word;
use super::parser::{Item, Occurs};
use super::plan::{Arm, Choice, Part, Parts, Repeat, Step, Table};
use super::storage::{Inherited, below, boundaries, slack, storage};
use super::tree::{Member, Node, shown};
use super::{Copybook, CopybookError, Entry, Field, Kind, MAX_FIELDS, MAX_RECORD, Repetition};
use std::collections::BTreeMap;

/// Most tables within each other.
const MAX_NESTING: usize = 7;

struct Builder {
    fields: Vec<Field>,
    entries: Vec<Entry>,
    /// Indices of entries by line and column.
    listed: BTreeMap<(usize, usize), usize>,
    /// Paths and places of fields that a table can depend on: those in no table.
    counters: Vec<(String, usize)>,
    offset: usize,
    /// A table of variable length lies before here.
    moved: bool,
}

/// What stands at one place.
struct Built {
    parts: Parts,
    /// At the greatest and the least numbers of occurrences.
    len: usize,
    least: usize,
}

pub(super) fn lay_out(root: &Node) -> Result<Copybook, CopybookError> {
    let item = &root.item;
    let Some(name) = item.name.clone() else {
        return Err(item.at.refuse(
            "the record at level 01 has a name",
            "write one behind the level number",
        ));
    };
    if let Some(word) = &item.redefines {
        return Err(word.refuse(
            "a record that redefines another is not described alone",
            "delete the REDEFINES clause",
        ));
    }
    let mut builder = Builder {
        fields: Vec::new(),
        entries: Vec::new(),
        listed: BTreeMap::new(),
        counters: Vec::new(),
        offset: 0,
        moved: false,
    };
    let inherited = Inherited {
        usage: None,
        sign: None,
        synchronized: false,
        tables: 0,
        redefined: false,
        listed: true,
    };
    let built = if root.members.is_empty() {
        builder.elementary(item, &name, inherited)?
    } else {
        let inherited = below(item, inherited)?;
        builder.entry(item, None, 0);
        let built = builder.members(&root.members, "", inherited)?;
        builder.entries[0].len = built.len;
        built
    };
    builder.refuse_repeated_paths(item)?;
    Ok(Copybook {
        name,
        record_len: built.len,
        least_len: built.least,
        fields: builder.fields,
        entries: builder.entries,
        plan: built.parts.0,
    })
}

impl Builder {
    fn members(
        &mut self,
        members: &[Member],
        path: &str,
        inherited: Inherited,
    ) -> Result<Built, CopybookError> {
        let (begin, mut least) = (self.offset, 0);
        let mut parts = Parts::default();
        for member in members {
            let gap = self.gap(&member.alternatives[0], inherited)?;
            self.offset += gap;
            parts.skip(gap);
            let built = match member.alternatives.as_slice() {
                [only] => self.place(only, path, inherited, gap)?,
                several => self.alternatives(several, path, inherited, gap)?,
            };
            least += gap + built.least;
            parts.append(built.parts.0);
        }
        Ok(Built {
            parts,
            len: self.offset - begin,
            least,
        })
    }

    /// Slack bytes before an item that is synchronized, or a group that begins with such a one.
    fn gap(&self, node: &Node, inherited: Inherited) -> Result<usize, CopybookError> {
        let (first, strictest) = boundaries(node, inherited)?;
        if strictest > 1 && self.moved {
            return Err(shown(&node.item).refuse(
                "a synchronized item behind a table of variable length has no fixed boundary",
                "delete SYNCHRONIZED and write the slack bytes that the program has as FILLER",
            ));
        }
        Ok(slack(self.offset, first))
    }

    fn place(
        &mut self,
        node: &Node,
        parent: &str,
        inherited: Inherited,
        gap: usize,
    ) -> Result<Built, CopybookError> {
        let name = node.item.name.as_deref().unwrap_or("FILLER");
        let dot = if parent.is_empty() { "" } else { "." };
        let path = format!("{parent}{dot}{name}");
        match &node.item.occurs {
            None => self.once(node, &path, inherited, gap),
            Some(occurs) => self.table(node, &path, occurs, inherited, gap),
        }
    }

    fn once(
        &mut self,
        node: &Node,
        path: &str,
        inherited: Inherited,
        gap: usize,
    ) -> Result<Built, CopybookError> {
        let listed = self.entries.len();
        let built = if node.members.is_empty() {
            self.elementary(&node.item, path, inherited)?
        } else {
            let inherited = below(&node.item, inherited)?;
            if inherited.listed {
                self.entry(&node.item, None, gap);
            }
            let built = self.members(&node.members, path, inherited)?;
            if inherited.listed {
                self.entries[listed].len = built.len;
            }
            built
        };
        if inherited.listed {
            self.entries[listed].slack = gap;
        }
        Ok(built)
    }

    fn table(
        &mut self,
        node: &Node,
        path: &str,
        occurs: &Occurs,
        inherited: Inherited,
        gap: usize,
    ) -> Result<Built, CopybookError> {
        if inherited.tables >= MAX_NESTING {
            return Err(node.item.at.refuse(
                "tables nest at most seven deep",
                "describe the inner table as PIC X",
            ));
        }
        let repeat = self.repeat(node, occurs, inherited)?;
        let within = Inherited {
            tables: inherited.tables + 1,
            ..inherited
        };
        // Elementary tables have no member that could count the nesting twice.
        let handed = if node.members.is_empty() {
            within
        } else {
            inherited
        };
        let (_, strictest) = boundaries(node, inherited)?;
        let (begin, first_slot, listed) = (self.offset, self.fields.len(), self.entries.len());
        let (mut parts, mut body, mut slots) = (Parts::default(), None, 0);
        let mut least_each = 0;
        for occurrence in 1..=occurs.max {
            let from = self.offset;
            let subscripted = format!("{path}({occurrence})");
            let handed = Inherited {
                listed: handed.listed && occurrence == 1,
                ..handed
            };
            let mut built = self.once(node, &subscripted, handed, gap)?;
            // Each occurrence begins on the boundary that the first one has.
            let tail = match node.members.is_empty() {
                true => 0,
                false => slack(self.offset - from, strictest),
            };
            self.offset += tail;
            built.parts.skip(tail);
            if occurrence == 1 {
                slots = self.fields.len() - first_slot;
                least_each = built.least + tail;
                if handed.listed {
                    self.entries[listed].tail = tail;
                }
            }
            match repeat {
                Repeat::Fixed(_) if built.parts.is_plain() => parts.append(built.parts.0),
                Repeat::Fixed(_) | Repeat::Counted { .. } => {
                    body.get_or_insert(built.parts.0);
                }
            }
            self.room(&node.item)?;
        }
        if let Some(body) = body {
            parts.0.push(Part::Table(Table {
                body,
                slots,
                first_slot,
                repeat,
            }));
        }
        self.moved |= matches!(repeat, Repeat::Counted { .. });
        Ok(Built {
            parts,
            len: self.offset - begin,
            least: least_each * occurs.min,
        })
    }

    fn repeat(
        &self,
        node: &Node,
        occurs: &Occurs,
        inherited: Inherited,
    ) -> Result<Repeat, CopybookError> {
        let Some(names) = &occurs.depending else {
            return Ok(Repeat::Fixed(occurs.max));
        };
        let [name, qualifiers @ ..] = names.as_slice() else {
            return Ok(Repeat::Fixed(occurs.max));
        };
        if inherited.redefined {
            return Err(shown(&node.item).refuse(
                "a table of variable length neither redefines nor is redefined",
                "describe the alternative as PIC X, or as a copybook of its own",
            ));
        }
        let fits = |path: &str| {
            let mut parents = path.split('.').rev();
            parents.next() == Some(name.upper().as_str())
                && qualifiers
                    .iter()
                    .all(|qualifier| parents.any(|parent| parent == qualifier.upper()))
        };
        let mut found = self.counters.iter().filter(|(path, _)| fits(path));
        let (Some((_, slot)), None) = (found.next(), found.next()) else {
            return Err(name.refuse(
                "DEPENDING ON names one field that stands before the table and in no table",
                "move the field to the front, or qualify its name with OF",
            ));
        };
        match self.fields[*slot].kind {
            Kind::Number(number) if number.scale == 0 => Ok(Repeat::Counted {
                slot: *slot,
                min: occurs.min,
                max: occurs.max,
            }),
            Kind::Number(_) | Kind::Text | Kind::Float(_) => Err(name.refuse(
                "DEPENDING ON names a whole number",
                "correct the name, or the field's picture",
            )),
        }
    }

    fn alternatives(
        &mut self,
        nodes: &[Node],
        path: &str,
        inherited: Inherited,
        gap: usize,
    ) -> Result<Built, CopybookError> {
        let inherited = Inherited {
            redefined: true,
            ..inherited
        };
        let (begin, first_slot) = (self.offset, self.fields.len());
        let (mut arms, mut len) = (Vec::new(), 0);
        for (index, node) in nodes.iter().enumerate() {
            self.offset = begin;
            let needed = slack(begin, boundaries(node, inherited)?.0);
            if needed > 0 {
                return Err(shown(&node.item).refuse(
                    "a synchronized redefinition begins on a boundary that the redefined item does not have",
                    "delete SYNCHRONIZED, or align the redefined item",
                ));
            }
            let slot = self.fields.len();
            let gap = if index == 0 { gap } else { 0 };
            let built = self.place(node, path, inherited, gap)?;
            len = len.max(built.len);
            arms.push(Arm {
                name: node.item.name.clone(),
                parts: built.parts.0,
                first_slot: slot,
                slots: self.fields.len() - slot,
                when: None,
            });
        }
        self.offset = begin + len;
        let mut parts = Parts::default();
        parts.0.push(Part::Choice(Choice {
            arms,
            len,
            first_slot,
            slots: self.fields.len() - first_slot,
        }));
        Ok(Built {
            parts,
            len,
            least: len,
        })
    }

    fn elementary(
        &mut self,
        item: &Item,
        path: &str,
        inherited: Inherited,
    ) -> Result<Built, CopybookError> {
        let (kind, len) = storage(item, inherited)?;
        if inherited.listed {
            self.entry(item, Some(kind), 0);
            if let Some(entry) = self.entries.last_mut() {
                entry.len = len;
            }
        }
        if self.offset + len > MAX_RECORD || self.fields.len() == MAX_FIELDS {
            return Err(too_long(&item.at));
        }
        let slot = self.fields.len();
        let filler = item.name.is_none();
        // Later occurrences have the first one's entry, which is known by its place in the text.
        let place = (item.at.line, item.at.column);
        let entry = self.listed.get(&place).copied().unwrap_or_default();
        self.fields.push(Field {
            path: path.to_owned(),
            offset: self.offset,
            len,
            kind,
            filler,
            entry,
        });
        if inherited.tables == 0 && item.occurs.is_none() && !filler {
            self.counters.push((path.to_owned(), slot));
        }
        let mut parts = Parts::default();
        if filler {
            parts.skip(len);
        } else {
            parts.step(Step {
                offset: 0,
                // Both are at most MAX_RECORD.
                len: len as u16,
                slot: slot as u16,
                kind,
                justified: item.justified,
            });
        }
        self.offset += len;
        Ok(Built {
            parts,
            len,
            least: len,
        })
    }

    fn entry(&mut self, item: &Item, kind: Option<Kind>, slack: usize) {
        let depending = |occurs: &Occurs| {
            let names = occurs.depending.as_ref()?;
            let names: Vec<String> = names.iter().map(Word::upper).collect();
            Some(names.join(" OF "))
        };
        let place = (item.at.line, item.at.column);
        self.listed.insert(place, self.entries.len());
        self.entries.push(Entry {
            level: item.level,
            name: item.name.clone(),
            offset: self.offset,
            len: 0,
            picture: item.picture.as_ref().map(|(_, word)| word.upper()),
            kind,
            occurs: item.occurs.as_ref().map(|occurs| Repetition {
                min: occurs.min,
                max: occurs.max,
                depending: depending(occurs),
            }),
            redefines: item.redefines.as_ref().map(Word::upper),
            conditions: item.conditions.clone(),
            justified: item.justified,
            slack,
            tail: 0,
        });
    }

    fn room(&self, item: &Item) -> Result<(), CopybookError> {
        match self.offset > MAX_RECORD {
            true => Err(too_long(&item.at)),
            false => Ok(()),
        }
    }

    fn refuse_repeated_paths(&self, record: &Item) -> Result<(), CopybookError> {
        let named = self.fields.iter().filter(|field| !field.filler);
        let mut paths: Vec<_> = named.map(|field| &field.path).collect();
        paths.sort();
        match paths.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => Err(record.at.refuse_owned(
                pair[0].clone(),
                "two fields have the same qualified name",
                "rename one of them",
            )),
        }
    }
}

fn too_long(at: &Word) -> CopybookError {
    at.refuse(
        "a record has at most 32760 bytes",
        "check pictures and OCCURS",
    )
}
