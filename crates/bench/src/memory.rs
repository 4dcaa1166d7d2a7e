//! Resident memory of a process.

use std::fs;
use std::path::Path;

/// Resident set of `pid` in MiB; `None` when it is gone.
pub fn resident(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Processes that run `program` with `word` somewhere in their arguments: those that a launcher
/// started for us in a directory that only we know.
pub fn running(program: &Path, word: &str) -> Vec<u32> {
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let runs = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        runs && String::from_utf8_lossy(&arguments).contains(word)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_is_found() {
        let me = std::process::id();
        assert!(resident(me).is_some_and(|mib| mib > 0.5));
        let exe = std::env::current_exe().unwrap();
        assert!(running(&exe, "").contains(&me));
        assert!(!running(&exe, "no argument of this test").contains(&me));
    }
}
