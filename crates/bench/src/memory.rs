//! Resident memory and processor time of a process.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Resident set of `pid` in MiB; `None` when it is gone.
pub fn resident(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Processor time that `pid` has used, its threads' together; `None` when it is gone.
pub fn processor(pid: u32) -> Option<Duration> {
    // `utime` and `stime`.
    times(pid, 11)
}

/// Processor time of the children of this process that have ended.
pub fn processor_of_the_ended() -> Duration {
    // `cutime` and `cstime`.
    times(std::process::id(), 13).unwrap_or_default()
}

/// Processor time of the thread that asks.
pub fn processor_of_thread() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(unsafe_code, reason = "clock_gettime(2) fills in what it is given")]
    // SAFETY: it writes to the one `timespec`, which lives here.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "Linux has the clock of a thread");
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(time.tv_sec.unsigned_abs(), nanos)
}

/// Two neighbouring fields of `/proc/PID/stat` together, counted from 0 behind the name (proc(5)).
fn times(pid: u32, first: usize) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(first);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((next()? + next()?) * TICK_MS))
}

/// What the kernel counts processor time in for user space: a hundredth of a second on every architecture
/// that it runs on here (`USER_HZ`).
const TICK_MS: u64 = 10;

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
        let before = processor(me).unwrap();
        let spin = std::time::Instant::now();
        while processor(me).unwrap() < before + Duration::from_millis(20) {
            assert!(
                spin.elapsed() < Duration::from_secs(30),
                "no time was counted"
            );
        }
        let exe = std::env::current_exe().unwrap();
        assert!(running(&exe, "").contains(&me));
        assert!(!running(&exe, "no argument of this test").contains(&me));
    }
}
