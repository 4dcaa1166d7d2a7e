//! Which start of the node this is. Peers take a greater number for the newer process and refuse an
//! older one, so it has to grow from start to start, also when somebody sets the wall clock back.

use runtime::{clock, durable};
use std::io;
use std::path::Path;

/// The last one, in the data folder.
const FILE: &str = "incarnation";

/// The number of this start: the wall clock in milliseconds, or one more than the last start's if the
/// clock is behind that. On the disk before anybody hears it.
///
/// # Errors
/// The folder cannot be read or written.
pub fn next(dir: &Path) -> io::Result<u64> {
    let path = dir.join(FILE);
    let last = match std::fs::read_to_string(&path) {
        // A damaged file says no more than none: then the clock has to do.
        Ok(text) => text.trim().parse::<u64>().unwrap_or(0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => 0,
        Err(error) => return Err(error),
    };
    let next = clock::unix_now().0.max(last.saturating_add(1));
    durable::replace(&path, next.to_string().as_bytes())?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_even_if_the_clock_was_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let now = clock::unix_now().0;
        let first = next(dir.path()).unwrap();
        assert!(
            first >= now && first < now + 60_000,
            "the clock's own: {first}"
        );
        let ahead = now + 3_600_000;
        std::fs::write(dir.path().join(FILE), ahead.to_string()).unwrap();
        assert_eq!(next(dir.path()).unwrap(), ahead + 1);
        assert_eq!(next(dir.path()).unwrap(), ahead + 2);
        std::fs::write(dir.path().join(FILE), b"\xff torn").unwrap();
        assert!(next(dir.path()).unwrap() >= now);
    }
}
