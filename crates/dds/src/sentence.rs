//! What is said when two ends do not meet.

/// Which end is ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Writer,
    Reader,
}

/// Names both ends of a mismatch. `ours`: partitions and what our end says about the policy;
/// `others`: what each end that does not fit says about it, and its name, as far as known.
pub(crate) fn incompatible(
    topic: &str,
    policy: &str,
    end: End,
    ours: (String, Option<String>),
    others: &[(Option<String>, String)],
) -> String {
    let value = |says: &Option<String>| {
        says.as_ref()
            .map(|says| format!(" ({says})"))
            .unwrap_or_default()
    };
    let named: Vec<String> = others
        .iter()
        .map(|(says, name)| format!("{name}{}", value(says)))
        .collect();
    let named = match named.as_slice() {
        [] => "elsewhere".to_owned(),
        some => some.join(" and "),
    };
    let (partitions, says) = (ours.0, value(&ours.1));
    let remedy = "give both ends the same profile";
    match end {
        End::Writer => format!(
            "topic {topic}: the {policy} that our writer in partition {partitions} offers{says} is not what a reader asks for: {named}; {remedy}"
        ),
        End::Reader => format!(
            "topic {topic}: the {policy} that our reader of partition {partitions} asks for{says} is not what a writer offers: {named}; {remedy}"
        ),
    }
}
