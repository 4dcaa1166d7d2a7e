//! The end of logs, and what is added to them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The end of a log is looked for in this many bytes; a line has some 200.
const TAIL_BYTES: u64 = 256 << 10;
/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The last `lines` lines.
pub fn tail(log: &Path, lines: usize) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}

/// Several logs that are read as they grow.
pub struct Follower {
    logs: Vec<Followed>,
}

struct Followed {
    name: String,
    path: PathBuf,
    read: u64,
    begun: Vec<u8>,
}

impl Follower {
    /// Of logs by name, from their present end.
    pub fn new(logs: Vec<(String, PathBuf)>) -> Self {
        let logs = logs
            .into_iter()
            .map(|(name, path)| Followed {
                read: path.metadata().map_or(0, |data| data.len()),
                name,
                path,
                begun: Vec::new(),
            })
            .collect();
        Self { logs }
    }

    /// Writes every whole line that was added since the last time.
    pub fn step(&mut self, out: &mut impl Write) -> io::Result<()> {
        let many = self.logs.len() > 1;
        for log in &mut self.logs {
            let Ok(mut file) = File::open(&log.path) else {
                // Its node has not been started yet.
                continue;
            };
            if file.metadata()?.len() < log.read {
                // Somebody has emptied it.
                (log.read, log.begun) = (0, Vec::new());
            }
            file.seek(SeekFrom::Start(log.read))?;
            let count = file.take(TAIL_BYTES).read_to_end(&mut log.begun)?;
            log.read += count as u64;
            let Some(end) = log.begun.iter().rposition(|byte| *byte == b'\n') else {
                continue;
            };
            let rest = log.begun.split_off(end + 1);
            for line in String::from_utf8_lossy(&std::mem::replace(&mut log.begun, rest)).lines() {
                if many {
                    writeln!(out, "{}  {line}", log.name)?;
                } else {
                    writeln!(out, "{line}")?;
                }
            }
        }
        out.flush()
    }

    /// Goes on until `out` takes no more.
    pub fn run(mut self, out: &mut impl Write) -> io::Result<()> {
        loop {
            self.step(out)?;
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_and_what_comes_after() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        std::fs::write(&one, "a\nb\nc\n").unwrap();
        assert_eq!(tail(&one, 2).unwrap(), "b\nc");
        assert_eq!(tail(&one, 9).unwrap(), "a\nb\nc");
        assert!(tail(&two, 1).is_err());

        let mut follower =
            Follower::new(vec![("x".into(), one.clone()), ("y".into(), two.clone())]);
        let mut out = Vec::new();
        let add = |path: &Path, text: &str| {
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        add(&one, "d\nhal");
        add(&two, "new\n");
        follower.step(&mut out).unwrap();
        add(&one, "f\n");
        follower.step(&mut out).unwrap();
        std::fs::write(&two, "e\n").unwrap();
        follower.step(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "x  d\ny  new\nx  half\ny  e\n"
        );
    }
}
