//! This very host as a device: its own counters out of `/proc` (proc(5)) as rows of metrics.

use std::path::{Path, PathBuf};
use wire::UnixMillis;

use crate::mail::{Metric, Row};

/// `/proc/diskstats` counts in these (kernel documentation, iostats: "sectors" are 512 bytes).
const SECTOR_KIB: f64 = 0.5;

/// A file under `/proc` could not be used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Not readable.
    #[error("cannot read {}: {source}; host metrics need a Linux /proc", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Without a line it always has.
    #[error("{} has no usable \"{wanted}\"; host metrics need a Linux /proc", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
}

/// Reads the counters and turns them into rates since the previous reading.
#[derive(Debug)]
pub struct HostSampler {
    root: PathBuf,
    last: Counters,
    last_at: UnixMillis,
}

/// What only grows.
#[derive(Clone, Debug, Default)]
struct Counters {
    /// user, nice, system, idle, iowait, irq, softirq, steal, in ticks.
    cpu: [f64; 8],
    switches: f64,
    forks: f64,
    disk_read: f64,
    disk_written: f64,
    disk_busy_ms: f64,
    received: f64,
    sent: f64,
    loopback: f64,
}

impl HostSampler {
    /// Takes the first reading at `at`, below `/proc`.
    pub fn start(at: UnixMillis) -> Result<Self, HostError> {
        Self::start_below(Path::new("/proc"), at)
    }

    /// As [`start`](Self::start), below another folder.
    pub fn start_below(root: &Path, at: UnixMillis) -> Result<Self, HostError> {
        let root = root.to_owned();
        let last = Counters::read(&root)?;
        Ok(Self {
            root,
            last,
            last_at: at,
        })
    }

    /// The host's metrics at `at`; rates are over the time since the previous reading.
    pub fn sample(&mut self, at: UnixMillis) -> Result<Row, HostError> {
        let now = Counters::read(&self.root)?;
        let seconds = at.0.saturating_sub(self.last_at.0).max(1) as f64 / 1000.0;
        let mut metrics = now.rates_since(&self.last, seconds);
        metrics.extend(memory(&self.root)?);
        metrics.extend(load(&self.root)?);
        self.last = now;
        self.last_at = at;
        Ok(Row { at, metrics })
    }
}

impl Counters {
    fn read(root: &Path) -> Result<Self, HostError> {
        let mut counters = Self::default();
        counters.read_stat(root)?;
        counters.read_disks(root)?;
        counters.read_net(root)?;
        Ok(counters)
    }

    fn read_stat(&mut self, root: &Path) -> Result<(), HostError> {
        let (path, text) = read(root, "stat")?;
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "));
        let line = line.ok_or(HostError::Unexpected {
            path,
            wanted: "cpu",
        })?;
        for (slot, value) in self.cpu.iter_mut().zip(numbers(line)) {
            *slot = value;
        }
        let single = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|line| numbers(line).next())
                .unwrap_or_default()
        };
        self.switches = single("ctxt ");
        self.forks = single("processes ");
        Ok(())
    }

    /// Whole devices only: partitions would count twice. Not present in some containers.
    fn read_disks(&mut self, root: &Path) -> Result<(), HostError> {
        let Ok((_, text)) = read(root, "diskstats") else {
            return Ok(());
        };
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        let names: Vec<&str> = rows.iter().filter_map(|row| row.get(2).copied()).collect();
        for row in rows.iter().filter(|row| row.len() >= 13) {
            let name = row[2];
            let virtual_device = ["loop", "ram", "dm-", "md"]
                .iter()
                .any(|p| name.starts_with(p));
            let part_of_another = names.iter().any(|whole| {
                name != *whole
                    && name.strip_prefix(whole).is_some_and(|rest| {
                        rest.trim_start_matches('p')
                            .bytes()
                            .all(|b| b.is_ascii_digit())
                    })
            });
            if !virtual_device && !part_of_another {
                let at = |column: usize| row[column].parse::<f64>().unwrap_or_default();
                self.disk_read += at(5) * SECTOR_KIB;
                self.disk_written += at(9) * SECTOR_KIB;
                self.disk_busy_ms += at(12);
            }
        }
        Ok(())
    }

    fn read_net(&mut self, root: &Path) -> Result<(), HostError> {
        let (_, text) = read(root, "net/dev")?;
        for (name, rest) in text.lines().filter_map(|line| line.split_once(':')) {
            let fields: Vec<f64> = numbers(rest).collect();
            let (received, sent) = match fields.as_slice() {
                [received, _, _, _, _, _, _, _, sent, ..] => (received / 1024.0, sent / 1024.0),
                _ => continue,
            };
            if name.trim() == "lo" {
                self.loopback += received;
            } else {
                self.received += received;
                self.sent += sent;
            }
        }
        Ok(())
    }

    fn rates_since(&self, before: &Self, seconds: f64) -> Vec<Metric> {
        let ticks: Vec<f64> = self
            .cpu
            .iter()
            .zip(before.cpu)
            .map(|(now, then)| (now - then).max(0.0))
            .collect();
        let total = ticks.iter().sum::<f64>().max(1.0);
        let percent = |ticks: f64| 100.0 * ticks / total;
        let rate = |now: f64, then: f64| (now - then).max(0.0) / seconds;
        vec![
            Metric::new("cpu.user", percent(ticks[0] + ticks[1]), "%"),
            Metric::new("cpu.system", percent(ticks[2] + ticks[5] + ticks[6]), "%"),
            Metric::new("cpu.iowait", percent(ticks[4]), "%"),
            Metric::new("cpu.steal", percent(ticks[7]), "%"),
            Metric::new("cpu.idle", percent(ticks[3]), "%"),
            Metric::new("switches_per_s", rate(self.switches, before.switches), ""),
            Metric::new("forks_per_s", rate(self.forks, before.forks), ""),
            Metric::new(
                "disk.read_kib_s",
                rate(self.disk_read, before.disk_read),
                "",
            ),
            Metric::new(
                "disk.write_kib_s",
                rate(self.disk_written, before.disk_written),
                "",
            ),
            Metric::new(
                "disk.busy",
                rate(self.disk_busy_ms, before.disk_busy_ms) / 10.0,
                "%",
            ),
            Metric::new(
                "net.receive_kib_s",
                rate(self.received, before.received),
                "",
            ),
            Metric::new("net.send_kib_s", rate(self.sent, before.sent), ""),
            Metric::new(
                "net.loopback_kib_s",
                rate(self.loopback, before.loopback),
                "",
            ),
        ]
    }
}

fn memory(root: &Path) -> Result<[Metric; 3], HostError> {
    let (path, text) = read(root, "meminfo")?;
    let field = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| numbers(line).next())
    };
    let total = field("MemTotal")
        .filter(|&total| total > 0.0)
        .ok_or(HostError::Unexpected {
            path,
            wanted: "MemTotal",
        })?;
    let available = field("MemAvailable").unwrap_or_default();
    let swap = field("SwapTotal").unwrap_or_default();
    let swap_used = swap - field("SwapFree").unwrap_or_default();
    Ok([
        Metric::new("memory.used", 100.0 * (total - available) / total, "%"),
        Metric::new(
            "memory.cached",
            100.0 * field("Cached").unwrap_or_default() / total,
            "%",
        ),
        Metric::new(
            "swap.used",
            if swap > 0.0 {
                100.0 * swap_used / swap
            } else {
                0.0
            },
            "%",
        ),
    ])
}

fn load(root: &Path) -> Result<[Metric; 3], HostError> {
    let (path, text) = read(root, "loadavg")?;
    let wrong = || HostError::Unexpected {
        path: path.clone(),
        wanted: "load average",
    };
    let mut fields = text.split_whitespace();
    let mut average = || {
        fields
            .next()
            .and_then(|f| f.parse::<f64>().ok())
            .ok_or_else(wrong)
    };
    let (one, five, _fifteen) = (average()?, average()?, average()?);
    let running = fields
        .next()
        .and_then(|f| f.split_once('/'))
        .and_then(|(n, _)| n.parse().ok());
    Ok([
        Metric::new("load.1", one, ""),
        Metric::new("load.5", five, ""),
        Metric::new("processes.running", running.unwrap_or_default(), ""),
    ])
}

fn read(root: &Path, name: &str) -> Result<(PathBuf, String), HostError> {
    let path = root.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(source) => Err(HostError::Unreadable { path, source }),
    }
}

fn numbers(text: &str) -> impl Iterator<Item = f64> {
    text.split_whitespace()
        .map_while(|field| field.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(row: &Row, name: &str) -> f64 {
        row.metrics
            .iter()
            .find(|metric| metric.name == name)
            .unwrap()
            .value
    }

    fn write(root: &Path, stat: &str, disk: &str, net: &str) {
        std::fs::create_dir_all(root.join("net")).unwrap();
        std::fs::write(root.join("stat"), stat).unwrap();
        std::fs::write(root.join("diskstats"), disk).unwrap();
        std::fs::write(root.join("net/dev"), net).unwrap();
        let memory = "MemTotal: 1000 kB\nMemAvailable: 250 kB\nCached: 100 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";
        std::fs::write(root.join("meminfo"), memory).unwrap();
        std::fs::write(root.join("loadavg"), "0.50 0.25 0.10 3/120 4711\n").unwrap();
    }

    #[test]
    fn counters_become_rates() {
        let dir = tempfile::tempdir().unwrap();
        let disk = |read: u32, busy: u32| {
            format!(
                "259 0 nvme0n1 1 0 {read} 0 1 0 0 0 0 {busy} 0\n259 1 nvme0n1p1 1 0 {read} 0 1 0 0 0 0 {busy} 0\n7 0 loop0 1 0 99999 0 1 0 0 0 0 9 0\n"
            )
        };
        let net = |lo: u32, eth: u32| {
            format!(
                "Inter-| x\n face |bytes\n    lo: {lo} 0 0 0 0 0 0 0 {lo} 0\n  eth0: {eth} 0 0 0 0 0 0 0 0 0\n"
            )
        };
        write(
            dir.path(),
            "cpu  0 0 0 0 0 0 0 0\nctxt 100\nprocesses 5\n",
            &disk(0, 0),
            &net(0, 0),
        );
        let mut sampler = HostSampler::start_below(dir.path(), UnixMillis(10_000)).unwrap();
        write(
            dir.path(),
            "cpu  20 10 20 40 10 0 0 0\nctxt 300\nprocesses 9\n",
            &disk(4096, 500),
            &net(2048, 4096),
        );
        let row = sampler.sample(UnixMillis(12_000)).unwrap();
        for (name, expected) in [
            ("cpu.user", 30.0),
            ("cpu.system", 20.0),
            ("cpu.idle", 40.0),
            ("cpu.iowait", 10.0),
            ("switches_per_s", 100.0),
            ("forks_per_s", 2.0),
            ("disk.read_kib_s", 1024.0),
            ("disk.busy", 25.0),
            ("net.receive_kib_s", 2.0),
            ("net.loopback_kib_s", 1.0),
            ("memory.used", 75.0),
            ("memory.cached", 10.0),
            ("swap.used", 0.0),
            ("load.1", 0.5),
            ("processes.running", 3.0),
        ] {
            assert_eq!(value(&row, name), expected, "{name}");
        }
    }

    #[test]
    fn this_host_has_finite_metrics() {
        let mut sampler = HostSampler::start(UnixMillis(0)).unwrap();
        let row = sampler.sample(UnixMillis(1_000)).unwrap();
        assert_eq!(row.metrics.len(), 19);
        assert!(
            row.metrics.iter().all(|metric| metric.value.is_finite()),
            "{row:?}"
        );
        assert!(value(&row, "memory.used") > 0.0);
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = HostSampler::start_below(dir.path(), UnixMillis(0))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("stat") && error.contains("cannot read"),
            "{error}"
        );
    }
}
