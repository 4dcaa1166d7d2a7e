//! What an item's clauses, and those of the groups around it, make of its bytes.
//!
//! Slack bytes: IBM Enterprise COBOL for z/OS Language Reference, "SYNCHRONIZED clause".

use super::parser::{Item, UsageClause};
use super::picture::{self, Clauses, Picture};
use super::tree::Node;
use super::{CopybookError, FloatSize, Kind, SignPlace, Usage};

/// What a group hands down to its members.
#[derive(Clone, Copy)]
pub(super) struct Inherited {
    pub(super) usage: Option<UsageClause>,
    pub(super) sign: Option<SignPlace>,
    pub(super) synchronized: bool,
    /// Tables around.
    pub(super) tables: usize,
    /// Within an alternative.
    pub(super) redefined: bool,
    /// Only the first occurrence of everything is listed as an entry.
    pub(super) listed: bool,
}

/// What the members of a group inherit.
pub(super) fn below(item: &Item, inherited: Inherited) -> Result<Inherited, CopybookError> {
    let usage = usage(item, inherited)?;
    if let Some(word) = item.synchronized.as_ref().filter(|_| item.level != 1) {
        return Err(word.refuse(
            "SYNCHRONIZED stands at level 01 or at elementary items",
            "write it at the items that are aligned",
        ));
    }
    if item.justified {
        return Err(item
            .at
            .refuse("JUSTIFIED stands at elementary items", "delete it"));
    }
    if let Some(word) = &item.blank_when_zero {
        return Err(word.refuse("BLANK WHEN ZERO stands at elementary items", "delete it"));
    }
    Ok(Inherited {
        usage,
        sign: item.sign.or(inherited.sign),
        synchronized: inherited.synchronized || item.synchronized.is_some(),
        tables: inherited.tables + usize::from(item.occurs.is_some()),
        ..inherited
    })
}

fn usage(item: &Item, inherited: Inherited) -> Result<Option<UsageClause>, CopybookError> {
    match (item.usage, inherited.usage) {
        (Some(own), Some(group)) if own != group => Err(item.at.refuse(
            "an item's usage may not contradict its group's",
            "delete one of the two usages",
        )),
        (own, group) => Ok(own.or(group)),
    }
}

/// Bytes to a boundary.
pub(super) const fn slack(offset: usize, boundary: usize) -> usize {
    (boundary - offset % boundary) % boundary
}

/// The boundary of a synchronized item: IBM aligns binary doublewords on fullwords.
const fn boundary(kind: Kind, len: usize) -> usize {
    match kind {
        Kind::Number(number) => match number.usage {
            Usage::Binary | Usage::Native if len == 2 => 2,
            Usage::Binary | Usage::Native => 4,
            Usage::Display | Usage::Packed | Usage::UnsignedPacked => 1,
        },
        Kind::Float(FloatSize::Short) => 4,
        Kind::Float(FloatSize::Long) => 8,
        Kind::Text => 1,
    }
}

/// The boundaries of the first and of the strictest elementary item at or below a node.
pub(super) fn boundaries(
    node: &Node,
    inherited: Inherited,
) -> Result<(usize, usize), CopybookError> {
    if node.members.is_empty() {
        let synchronized = inherited.synchronized || node.item.synchronized.is_some();
        let own = match synchronized {
            true => {
                let (kind, len) = storage(&node.item, inherited)?;
                boundary(kind, len)
            }
            false => 1,
        };
        return Ok((own, own));
    }
    let inherited = below(&node.item, inherited)?;
    let (mut first, mut strictest) = (None, 1);
    for member in &node.members {
        for (index, alternative) in member.alternatives.iter().enumerate() {
            let (begin, all) = boundaries(alternative, inherited)?;
            if index == 0 {
                first.get_or_insert(begin);
            }
            strictest = strictest.max(all);
        }
    }
    Ok((first.unwrap_or(1), strictest))
}

pub(super) fn storage(item: &Item, inherited: Inherited) -> Result<(Kind, usize), CopybookError> {
    let usage = usage(item, inherited)?.unwrap_or(UsageClause::Display);
    let Some((picture, word)) = &item.picture else {
        return picture::float(usage).ok_or_else(|| {
            item.at.refuse(
                "an item without items below it has a picture",
                "write PIC, or the items of the group",
            )
        });
    };
    let sign = item.sign.or(inherited.sign);
    let (kind, len) = picture::storage(
        *picture,
        Clauses {
            usage,
            sign,
            blank_when_zero: item.blank_when_zero.is_some(),
        },
        word,
    )?;
    let signed = matches!(kind, Kind::Number(number) if number.signed);
    let display = usage == UsageClause::Display;
    if item.sign.is_some() && !(signed && display) {
        return Err(word.refuse(
            "SIGN stands at DISPLAY numbers with an S in their picture",
            "delete the SIGN clause, or write the S",
        ));
    }
    if let Some(clause) = &item.blank_when_zero
        && (signed || !display || matches!(picture, Picture::Text { edited: false, .. }))
    {
        return Err(clause.refuse(
            "BLANK WHEN ZERO stands at DISPLAY numbers without S, or edited ones",
            "delete it",
        ));
    }
    if item.justified && kind != Kind::Text {
        return Err(item.at.refuse("JUSTIFIED stands at text", "delete it"));
    }
    Ok((kind, len))
}
