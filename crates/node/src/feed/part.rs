//! Which part of the topic is this node's to read.

use std::collections::BTreeSet;
use wire::Role;

/// A part of a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// All of it, and its ledger knows no positions yet (before [`wire::Level::FEEDS`]).
    Whole,
    /// Some shares of `of`.
    Shares {
        /// How many shares the topic has.
        of: u16,
        /// Those held.
        held: BTreeSet<u16>,
    },
}

impl Part {
    /// What the roles that this node holds say about a topic; `None`: it is not to read it.
    pub(super) fn of(topic: &str, roles: &BTreeSet<Role>) -> Option<Self> {
        let mut part = None;
        for role in roles {
            match role {
                Role::FeedShare(share) if share.topic == topic => match &mut part {
                    // A topic is divided in one way at a time; the ledger sees to it.
                    Some(Self::Shares { of, held }) if *of == share.of => {
                        held.insert(share.share);
                    }
                    Some(Self::Shares { .. } | Self::Whole) | None => {
                        part = Some(Self::Shares {
                            of: share.of,
                            held: BTreeSet::from([share.share]),
                        });
                    }
                },
                Role::Feed(whole) if whole == topic => part = part.or(Some(Self::Whole)),
                Role::FeedShare(_) | Role::Feed(_) | Role::Room(_) => {}
            }
        }
        part
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => f.write_str("all partitions"),
            Self::Shares { of, held } => {
                let held: Vec<String> = held.iter().map(|share| (share + 1).to_string()).collect();
                write!(f, "share {} of {of}", held.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::FeedShare;

    #[test]
    fn roles_add_up_to_a_part() {
        let share = |topic: &str, share| {
            let topic = topic.to_owned();
            Role::FeedShare(FeedShare {
                topic,
                of: 4,
                share,
            })
        };
        let part = |roles: &[Role]| Part::of("t", &roles.iter().cloned().collect());
        assert_eq!(part(&[share("u", 1), Role::Room("t".into())]), None);
        assert_eq!(part(&[Role::Feed("t".to_owned())]), Some(Part::Whole));
        let two = Part::Shares {
            of: 4,
            held: BTreeSet::from([0, 3]),
        };
        assert_eq!(
            part(&[share("t", 3), share("u", 1), share("t", 0)]),
            Some(two.clone())
        );
        // Seen in the middle of the change from one to the other.
        let both = part(&[Role::Feed("t".to_owned()), share("t", 3), share("t", 0)]);
        assert_eq!(both, Some(two.clone()));
        assert_eq!(two.to_string(), "share 1, 4 of 4");
    }
}
