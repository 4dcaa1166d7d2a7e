//! Partition names: the DDS partition QoS, with POSIX `fnmatch` wildcards on the reading side.

/// Longest partition name, in bytes. Room ids are far shorter.
const PARTITION_MAX: usize = 128;

fn sized(name: &str) -> bool {
    !name.is_empty() && name.len() <= PARTITION_MAX && !name.contains(['\0', ','])
}

/// May one write to it?
pub(crate) fn is_name(name: &str) -> bool {
    sized(name) && !name.contains(['*', '?', '[', ']'])
}

/// May one subscribe to it? Bracket expressions are left out: implementations differ on them.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    sized(pattern) && !pattern.contains(['[', ']'])
}

/// Does `name` match `pattern`? `*` is any run of characters, `?` any one.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // The last star met, and the name position it covers up to: where to go on after a mismatch.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some('?') => (p, n) = (p + 1, n + 1),
            Some(c) if *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, covered)) => {
                    (p, n) = (at + 1, covered + 1);
                    star = Some((at, covered + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        let cases = [
            ("room-a", "room-a", true),
            ("room-a", "room-b", false),
            ("*", "room-a", true),
            ("room-*", "room-a", true),
            ("room-?", "room-a", true),
            ("room-?", "room-ab", false),
            ("*-a", "room-b-a", true),
            ("r*m*a", "room-a", true),
            ("r*m*z", "room-a", false),
            ("room-a*", "room-a", true),
            ("?", "", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn names_and_patterns_are_told_apart() {
        for (text, name, pattern) in [
            ("room-a", true, true),
            ("room-*", false, true),
            ("", false, false),
            ("a,b", false, false),
            ("a[b]", false, false),
        ] {
            assert_eq!((is_name(text), is_pattern(text)), (name, pattern), "{text}");
        }
    }
}
