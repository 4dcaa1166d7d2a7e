//! A full disk, by the kernel's own refusal: a limit on the size of files, set in a child process.

use super::*;
use std::path::Path;
use std::process::{Command, Stdio};

const CHILD: &str = "GLASSHOUSE_BROKER_LIMIT";

/// Runs the test `name` once more, in a process whose limits are its own.
fn in_a_child(name: &str, dir: &Path) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CHILD, dir)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn what_a_full_disk_refuses_leaves_no_piece_in_a_log() {
    let Some(dir) = std::env::var_os(CHILD) else {
        let dir = tempfile::tempdir().unwrap();
        return in_a_child(
            "tests::space::what_a_full_disk_refuses_leaves_no_piece_in_a_log",
            dir.path(),
        );
    };
    let path = Path::new(&dir).join("t-0.log");
    let mut log = Log::open(path.clone(), 10_000).unwrap();
    assert_eq!(log.append(batch(3, 100).into()), Ok(0));
    limit_file_size(400);
    // The first of the two would fit.
    let two = [batch(1, 100), batch(1, 100)].concat();
    assert_eq!(log.append(two.into()), Err(Code::StorageError));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 161);
    assert_eq!(log.append(batch(2, 100).into()), Ok(3));
    assert_eq!(
        log.append(batch(1, 100).into()),
        Err(Code::StorageError),
        "a piece of it would fit"
    );
    limit_file_size(10_000);
    assert_eq!(log.append(batch(1, 50).into()), Ok(5));
    drop(log);
    let log = Log::open(path, 10_000).unwrap();
    assert_eq!((log.start(), log.end()), (0, 6));
}

#[test]
fn what_a_full_disk_refuses_leaves_no_piece_among_the_offsets() {
    let Some(dir) = std::env::var_os(CHILD) else {
        let dir = tempfile::tempdir().unwrap();
        return in_a_child(
            "tests::space::what_a_full_disk_refuses_leaves_no_piece_among_the_offsets",
            dir.path(),
        );
    };
    let path = Path::new(&dir).join("offsets.tsv");
    let at = |offset| Committed {
        offset,
        metadata: "ü".repeat(20),
    };
    let mut offsets = Offsets::open(&path).unwrap();
    offsets.put("g", "t", 0, at(1)).unwrap();
    let line = std::fs::metadata(&path).unwrap().len();
    limit_file_size(2 * line - 2);
    offsets.put("g", "t", 0, at(2)).unwrap_err();
    assert_eq!(offsets.get("g", "t", 0), Some(&at(1)));
    limit_file_size(10_000);
    offsets.put("g", "t", 1, at(3)).unwrap();
    drop(offsets);
    let offsets = Offsets::open(&path).unwrap();
    assert_eq!(offsets.get("g", "t", 0), Some(&at(1)));
    assert_eq!(offsets.get("g", "t", 1), Some(&at(3)));
    // A line that a crash cut is none, also if it ends within a character.
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 2]).unwrap();
    let offsets = Offsets::open(&path).unwrap();
    assert_eq!(offsets.get("g", "t", 0), Some(&at(1)));
    assert_eq!(offsets.get("g", "t", 1), None);
}

/// Sets this process's soft limit; the signal that would go with it is ignored, so that the write
/// fails with `EFBIG`.
#[expect(
    unsafe_code,
    reason = "setrlimit and signal have no safe wrapper among the dependencies"
)]
fn limit_file_size(bytes: u64) {
    // SAFETY: both calls take plain values and a pointer to a local that outlives the call.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit), 0);
        limit.rlim_cur = bytes;
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}
