//! A full disk, by the kernel's own refusal: a limit on the size of files, set in a child process.

use super::*;
use crate::notes::{self, NoteWriter};
use std::path::Path;
use std::process::{Command, Stdio};
use tlog::NoteSigner;
use wire::ProposalId;

const CHILD: &str = "GLASSHOUSE_LEDGER_LIMIT";

/// What the child was told is committed, one index a line.
const ACKNOWLEDGED: &str = "acknowledged";

#[test]
fn a_node_without_space_stops_with_a_sentence_and_comes_back_with_everything() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return until_full(PathBuf::from(dir));
    }
    let dir = TempDir::new().unwrap();
    in_a_child(
        "tests::space::a_node_without_space_stops_with_a_sentence_and_comes_back_with_everything",
        dir.path(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(async {
        let house = House::at(dir, "a");
        let acknowledged = std::fs::read_to_string(house.dir(ACKNOWLEDGED)).unwrap();
        let acknowledged: Vec<u64> = acknowledged
            .lines()
            .map(|line| line.parse().unwrap())
            .collect();
        assert!(acknowledged.len() > 10, "{acknowledged:?}");
        let ledger = house.start("a").await;
        size_reaches(&ledger, acknowledged.last().unwrap() + 1).await;
        let written = history(&ledger).await;
        for (n, index) in (0..).zip(acknowledged) {
            assert_eq!(written[index as usize].record.act, act("a", n));
        }
        ledger.propose(act("a", 9_999)).await.unwrap();
    });
}

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
fn a_checkpoint_that_a_full_disk_refuses_leaves_no_piece_in_the_history() {
    let Some(dir) = std::env::var_os(CHILD) else {
        let dir = TempDir::new().unwrap();
        return in_a_child(
            "tests::space::a_checkpoint_that_a_full_disk_refuses_leaves_no_piece_in_the_history",
            dir.path(),
        );
    };
    let house = House::at(TempDir::with_prefix_in("child", &dir).unwrap(), "a");
    house.wire("a");
    let dir = &house.dir("a");
    let (origin, key) = (
        notes::origin("demo").unwrap(),
        SigningKey::from_bytes(&[1; 32]),
    );
    let signer = NoteSigner::new(&origin, &key);
    let mut writer = NoteWriter::open(dir, &signer.verifier()).unwrap();
    writer.save_checkpoint(&"a".repeat(200)).unwrap();
    let (_, one) = notes::read_history(dir).unwrap();
    // The second one fits but for its last bytes, and a short one behind it fits.
    limit_file_size(2 * one - 8);
    let refused = writer.save_checkpoint(&"b".repeat(200)).unwrap_err();
    assert!(
        refused.to_string().contains("cannot append to"),
        "{refused}"
    );
    let len = || std::fs::metadata(dir.join(notes::HISTORY)).unwrap().len();
    assert_eq!(len(), one, "the piece is cut off");
    writer.save_checkpoint("c").unwrap();
    // A piece that could not be cut off then is cut off before the next one is written.
    limit_file_size(len() + 30);
    house.break_disk("a");
    writer.remember(&[b'd'; 200]).unwrap_err();
    let torn = len();
    limit_file_size(10_000);
    writer.remember(b"e").unwrap_err();
    assert_eq!(len(), torn, "nothing goes behind the piece");
    house.wire("a");
    writer.save_checkpoint("f").unwrap();
    drop(writer);
    let (kept, end) = notes::read_history(dir).unwrap();
    let kept: Vec<u8> = kept.iter().map(|note| note[0]).collect();
    assert_eq!((kept, end), (b"acf".to_vec(), len()));
}

fn until_full(dir: PathBuf) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let mut house = House::at(TempDir::with_prefix_in("child", &dir).unwrap(), "a");
        house.timings.propose_limit = Duration::from_secs(2);
        // The directory itself is the parent's: it looks at it afterwards.
        let config = LedgerConfig {
            dir: dir.join("a"),
            ..house.config("a")
        };
        let ledger = house.open(config).await.unwrap();
        size_reaches(&ledger, 1).await;
        limit_file_size(4_000);
        let mut acknowledged = String::new();
        for n in 0.. {
            let record = Record {
                id: ProposalId(Digest::of(&u64::to_be_bytes(n)).0[..16].try_into().unwrap()),
                proposer: "a".into(),
                time: wire::UnixMillis(1),
                act: act("a", n),
            };
            match ledger.propose_record(record).await {
                Ok(index) => acknowledged.push_str(&format!("{index}\n")),
                Err(error) => {
                    assert!(error.to_string().contains("raft.log"), "{error}");
                    break;
                }
            }
        }
        let why = ledger.stopped().await;
        assert!(
            why.contains("cannot append to") && why.contains("check space"),
            "{why}"
        );
        std::fs::write(dir.join(ACKNOWLEDGED), acknowledged).unwrap();
        ledger.kill().await;
    });
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
