use crate::codec::{Code, Malformed, Reader, Writer};
use crate::state::Shared;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait that a client may ask for.
const MAX_WAIT_MS: i32 = 30_000;
/// Most bytes of one answer; clients ask for up to 50 MiB.
const MAX_ANSWER: usize = 16 << 20;

struct Wanted {
    topic: String,
    /// Partition, offset, bytes.
    partitions: Vec<(i32, i64, usize)>,
}

pub(super) async fn handle(shared: &Shared, reader: &mut Reader) -> Result<Writer, Malformed> {
    reader.i32()?; // replica
    let wait = reader.i32()?.clamp(0, MAX_WAIT_MS).unsigned_abs();
    let least = usize::try_from(reader.i32()?).unwrap_or(0);
    let most = usize::try_from(reader.i32()?).unwrap_or(0).min(MAX_ANSWER);
    reader.i8()?; // isolation level: there are no transactions
    let wanted = reader.array(|r| {
        let topic = r.string()?;
        let partitions =
            r.array(|r| Ok((r.i32()?, r.i64()?, usize::try_from(r.i32()?).unwrap_or(0))))?;
        Ok(Wanted { topic, partitions })
    })?;
    let deadline = Instant::now() + Duration::from_millis(u64::from(wait));
    let mut appended = shared.appended.subscribe();
    loop {
        appended.mark_unchanged();
        let (answer, bytes, failed) = read(shared, &wanted, most);
        if failed || bytes >= least.max(1) || Instant::now() >= deadline {
            return Ok(answer);
        }
        // Either way: look once more.
        let _waited = tokio::time::timeout_at(deadline, appended.changed()).await;
    }
}

/// The answer as of now, with its bytes of records, and whether a partition failed.
fn read(shared: &Shared, wanted: &[Wanted], most: usize) -> (Writer, usize, bool) {
    let mut out = Writer::default();
    let (mut bytes, mut failed) = (0, false);
    let mut state = shared.lock();
    out.i32(0); // throttle time
    out.array(wanted.iter(), |out, Wanted { topic, partitions }| {
        out.string(topic);
        out.array(partitions.iter(), |out, (partition, offset, limit)| {
            let (code, end, set) = match state.log(topic, *partition) {
                None => (Code::UnknownTopicOrPartition, -1, Default::default()),
                Some(log) if *offset < log.start() || *offset > log.end() => {
                    (Code::OffsetOutOfRange, log.end(), Default::default())
                }
                // The first partition with records gets at least one batch, whatever its size.
                Some(log) if bytes > 0 && bytes >= most => {
                    (Code::None, log.end(), Default::default())
                }
                Some(log) => (
                    Code::None,
                    log.end(),
                    log.read(*offset, (*limit).min(most - bytes.min(most))),
                ),
            };
            failed |= code != Code::None;
            bytes += set.len();
            out.i32(*partition);
            out.code(code);
            out.i64(end); // high watermark
            out.i64(end); // last stable offset
            out.i32(-1); // aborted transactions
            out.bytes(&set);
        });
    });
    (out, bytes, failed)
}
