//! Cyclone's measuring tool (Debian: `cyclonedds-tools`), both ends of it.

use super::Flood;
use crate::{Failure, memory};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const DOMAIN: &str = "92";
/// Loopback without multicast, as ours.
const CONFIG: &str = "<CycloneDDS><Domain Id=\"any\"><General><Interfaces><NetworkInterface \
    address=\"127.0.0.1\" multicast=\"false\"/></Interfaces><AllowMulticast>false</AllowMulticast>\
    </General><Discovery><ParticipantIndex>auto</ParticipantIndex>\
    <MaxAutoParticipantIndex>99</MaxAutoParticipantIndex><Peers><Peer \
    address=\"127.0.0.1\"/></Peers></Discovery></Domain></CycloneDDS>";

/// A round trip in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trip {
    /// Median.
    pub p50: f64,
    /// The slowest hundredth.
    pub p99: f64,
}

/// The tool.
pub struct DdsPerf(PathBuf);

/// One end, ended with its handle.
struct End(Child);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl DdsPerf {
    /// On the search path.
    pub fn find() -> Result<Self, Failure> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|folder| folder.join("ddsperf"))
            .find(|tool| tool.is_file())
            .map(Self)
            .ok_or_else(|| {
                "ddsperf is missing; get it with apt-get install cyclonedds-tools".into()
            })
    }

    fn command(&self, span: Duration, mode: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        // The first second is discovery and warm-up.
        let seconds = (span.as_secs() + 1).to_string();
        command
            .env("CYCLONEDDS_URI", CONFIG)
            .args(["-i", DOMAIN, "-D", &seconds])
            .args(mode)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        command
    }

    fn both(&self, span: Duration, other: &[&str], here: &[&str]) -> Result<String, Failure> {
        let mut silent = self.command(span + Duration::from_secs(2), other);
        let _other = End(silent.stdout(Stdio::null()).spawn()?);
        let output = self.command(span, here).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Samples of `size` bytes, reliable, as the receiving end counts them, and what they took of both ends.
    pub fn flood(&self, size: usize, span: Duration) -> Result<Flood, Failure> {
        let (size, before) = (size.to_string(), memory::processor_of_the_ended());
        let text = self.both(span, &["pub", "size", &size], &["sub"])?;
        // Both have ended, and nobody else did meanwhile.
        let used = memory::processor_of_the_ended().saturating_sub(before);
        let told = |mark: &str| {
            let missing = || Failure::from(format!("ddsperf told no{mark}:\n{text}"));
            last_after(&text, mark).ok_or_else(missing)
        };
        let (rate, total) = (told(" rate ")?, told(" total ")?);
        Ok(Flood {
            rate,
            cost: 1e6 * used.as_secs_f64() / total,
            resident: mib(told(" rss:")?),
        })
    }

    /// Resident memory in MiB of a participant to whom nobody writes.
    pub fn at_rest(&self) -> Result<f64, Failure> {
        // A line a second, also when nothing comes: after the first it has everything that it will have.
        let (resting, lines) = self.talking(&["-1", "sub"])?;
        let mut lines = lines.lines().map_while(Result::ok);
        let settled = lines.any(|line| line.contains(" total "));
        let resident = settled.then(|| memory::resident(resting.0.id())).flatten();
        resident.ok_or_else(|| "ddsperf ended early".into())
    }

    /// How long a new process takes, from its start, to tell of `count` participants that are there.
    pub fn discover(&self, count: usize) -> Result<Duration, Failure> {
        let mut others = Vec::new();
        for _ in 0..count {
            let (other, mut lines) = self.talking(&["sub"])?;
            // Of itself it tells first.
            lines.read_line(&mut String::new())?;
            others.push((other, lines));
        }
        let start = Instant::now();
        let (_newest, lines) = self.talking(&["sub"])?;
        let lines = lines.lines().map_while(Result::ok);
        let mut met = lines.filter(|line| line.ends_with(": new"));
        match count.checked_sub(1).and_then(|last| met.nth(last)) {
            Some(_) => Ok(start.elapsed()),
            None => Err(format!("ddsperf ended before it had met {count} others").into()),
        }
    }

    /// One that takes part for half a minute, and what it says.
    fn talking(&self, mode: &[&str]) -> Result<(End, BufReader<ChildStdout>), Failure> {
        let mut command = self.command(Duration::from_secs(30), mode);
        let mut end = End(command.stdout(Stdio::piped()).spawn()?);
        let said = end.0.stdout.take().ok_or("a child without an output")?;
        Ok((end, BufReader::new(said)))
    }

    /// Round trips of `size` bytes, waiting in threads as ours does or in Cyclone's listeners.
    pub fn trips(&self, size: usize, waits: &str, span: Duration) -> Result<Trip, Failure> {
        let size = size.to_string();
        let here = ["ping", "size", &size, waits];
        let text = self.both(span, &["pong", waits], &here)?;
        last_trip(&text).ok_or_else(|| format!("ddsperf told no round trip:\n{text}").into())
    }
}

/// The number behind `mark` in the last line that has it, with its prefix carried out: `rate 159.37 kS/s`,
/// `total 701420`, `rss:7.3MB`.
fn last_after(text: &str, mark: &str) -> Option<f64> {
    let number = |line: &str| {
        let (_, after) = line.split_once(mark)?;
        let end = after.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (value, unit) = after.split_at(end.unwrap_or(after.len()));
        let scale = match unit.trim_start().chars().next() {
            Some('k') => 1e3,
            Some('M') => 1e6,
            _ => 1.0,
        };
        Some(scale * value.parse::<f64>().ok()?)
    };
    text.lines().filter_map(number).next_back()
}

/// Its megabytes are of 1,048,576 bytes (`ddsperf.c`, `print_rusage`); read as a million here.
fn mib(bytes: f64) -> f64 {
    bytes / 1e6
}

/// `… 50% 15.494us 90% 16.921us 99% 45.680us …` of the last second. It tells half of each round
/// trip: at 27,482 a second, one after the other, they take 36 µs and it says 18.
fn last_trip(text: &str) -> Option<Trip> {
    let trip = |line: &str| {
        let after = |mark: &str| {
            let (_, value) = line.split_once(mark)?;
            let half: f64 = value.split_once("us")?.0.trim().parse().ok()?;
            Some(2.0 * half)
        };
        Some(Trip {
            p50: after(" 50% ")?,
            p99: after(" 99% ")?,
        })
    };
    text.lines().filter_map(trip).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_lines_are_read() {
        let rate = "[1] 4.003  size 256 total 701420 lost 0 delta 204210 lost 0 rate 204.85 kS/s 419.54 Mb/s (70.36 kS/s 144.10 Mb/s)\n[1] 5.0 rss:7.3MB\n";
        assert_eq!(last_after(rate, " rate "), Some(204_850.0));
        assert_eq!(last_after(rate, " total "), Some(701_420.0));
        assert_eq!(last_after(rate, " rss:").map(mib), Some(7.3));
        let trip = "[1] 4.000  vm:2 size 1024 mean 18.946us min 14.421us 50% 15.5us 90% 16.921us 99% 45.75us max 2767.141us cnt 26333\n";
        let expected = Trip {
            p50: 31.0,
            p99: 91.5,
        };
        assert_eq!(last_trip(trip), Some(expected));
        assert_eq!((last_after("", " rate "), last_trip("")), (None, None));
    }
}
