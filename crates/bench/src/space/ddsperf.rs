//! Cyclone's measuring tool (Debian: `cyclonedds-tools`), both ends of it.

use crate::Failure;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DOMAIN: &str = "92";
/// Loopback without multicast, as ours.
const CONFIG: &str = "<CycloneDDS><Domain Id=\"any\"><General><Interfaces><NetworkInterface \
    address=\"127.0.0.1\" multicast=\"false\"/></Interfaces><AllowMulticast>false</AllowMulticast>\
    </General><Discovery><ParticipantIndex>auto</ParticipantIndex><Peers><Peer \
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

    /// Samples of `size` bytes a second, reliable, as the receiving end counts them.
    pub fn flood(&self, size: usize, span: Duration) -> Result<f64, Failure> {
        let size = size.to_string();
        let text = self.both(span, &["pub", "size", &size], &["sub"])?;
        last_rate(&text).ok_or_else(|| format!("ddsperf told no rate:\n{text}").into())
    }

    /// Round trips of `size` bytes, waiting in threads as ours does or in Cyclone's listeners.
    pub fn trips(&self, size: usize, waits: &str, span: Duration) -> Result<Trip, Failure> {
        let size = size.to_string();
        let here = ["ping", "size", &size, waits];
        let text = self.both(span, &["pong", waits], &here)?;
        last_trip(&text).ok_or_else(|| format!("ddsperf told no round trip:\n{text}").into())
    }
}

/// `… rate 159.37 kS/s …` of the last second.
fn last_rate(text: &str) -> Option<f64> {
    let rate = |line: &str| {
        let (_, after) = line.split_once(" rate ")?;
        let mut words = after.split_whitespace();
        let value: f64 = words.next()?.parse().ok()?;
        match words.next()? {
            "kS/s" => Some(value * 1e3),
            "S/s" => Some(value),
            _ => None,
        }
    };
    text.lines().filter_map(rate).next_back()
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
        assert_eq!(last_rate(rate), Some(204_850.0));
        let trip = "[1] 4.000  vm:2 size 1024 mean 18.946us min 14.421us 50% 15.5us 90% 16.921us 99% 45.75us max 2767.141us cnt 26333\n";
        let expected = Trip {
            p50: 31.0,
            p99: 91.5,
        };
        assert_eq!(last_trip(trip), Some(expected));
        assert_eq!((last_rate(""), last_trip("")), (None, None));
    }
}
