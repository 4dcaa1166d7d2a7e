//! What a server and all its processes have cost.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Of the kernel's clock in `/proc/PID/stat` (`USER_HZ`, 100 on every Linux of today).
const TICK: Duration = Duration::from_millis(10);

/// One process in `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Its own.
    own: u32,
    /// Of children that it has waited for.
    waited: u32,
}

/// Fields count behind the name, which stands in parentheses and may contain anything (proc(5)).
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
    // utime, stime, cutime, cstime: fields 14 to 17 of the line.
    Some(Stat {
        parent: number(1)?,
        own: number(11)? + number(12)?,
        waited: number(13)? + number(14)?,
    })
}

/// `root` and what has come of it and still runs.
pub fn family(root: u32) -> Vec<u32> {
    members(&all(), root)
}

/// Processor time of `root` and of all that has come of it, also of children that have ended.
pub fn processor(root: u32) -> Duration {
    let all = all();
    let ticks = members(&all, root)
        .iter()
        .filter_map(|pid| all.get(pid))
        .map(|stat| stat.own + stat.waited)
        .sum::<u32>();
    TICK * ticks
}

/// Processor time of this process and its threads, and of its children that were waited for.
pub fn own() -> Option<(Duration, Duration)> {
    let stat = parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
    Some((TICK * stat.own, TICK * stat.waited))
}

/// Memory of `root` and its family in KiB, where pages that several share are shared out among them.
pub fn memory(root: u32) -> Option<f64> {
    family(root).into_iter().map(proportional).sum()
}

fn proportional(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn all() -> BTreeMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parse(&text)?))
    })
    .collect()
}

fn members(all: &BTreeMap<u32, Stat>, root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(
            all.iter()
                .filter(|(_, stat)| stat.parent == parent)
                .map(|(pid, _)| *pid),
        );
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_whatever_the_name() {
        let line = "42 (a ) b) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        assert_eq!(
            parse(line),
            Some(Stat {
                parent: 7,
                own: 30,
                waited: 70
            })
        );
        assert_eq!(parse("42 (short) S 7"), None);
    }

    #[test]
    fn children_and_theirs_are_family() {
        let stat = |parent| Stat {
            parent,
            own: 1,
            waited: 0,
        };
        let all = BTreeMap::from([(1, stat(0)), (2, stat(1)), (3, stat(2)), (4, stat(0))]);
        assert_eq!(members(&all, 1), [1, 2, 3]);
        let me = std::process::id();
        assert!(family(me).contains(&me));
        assert!(memory(me).is_some_and(|kib| kib > 100.0));
    }
}
