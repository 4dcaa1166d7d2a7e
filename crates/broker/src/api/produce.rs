use crate::codec::{Code, Malformed, Reader, Writer};
use crate::state::Shared;

pub(super) fn handle(
    shared: &Shared,
    reader: &mut Reader,
    version: i16,
) -> Result<Option<Writer>, Malformed> {
    if version >= 3 {
        reader.nullable_string()?; // transactional id
    }
    let acks = reader.i16()?;
    reader.i32()?; // time limit: we answer at once
    let topics = reader.array(|r| Ok((r.string()?, r.array(|r| Ok((r.i32()?, r.bytes()?)))?)))?;
    let mut out = Writer::default();
    {
        let mut state = shared.lock();
        out.array(topics.into_iter(), |out, (topic, partitions)| {
            out.string(&topic);
            out.array(partitions.into_iter(), |out, (partition, set)| {
                let (result, start) = match state.log(&topic, partition) {
                    Some(log) => (log.append(set), log.start()),
                    None => (Err(Code::UnknownTopicOrPartition), -1),
                };
                out.i32(partition);
                out.code(result.err().unwrap_or(Code::None));
                out.i64(result.unwrap_or(-1));
                if version >= 2 {
                    out.i64(-1); // log append time: the producer's timestamps are kept
                }
                if version >= 5 {
                    out.i64(start);
                }
            });
        });
    }
    if version >= 1 {
        out.i32(0); // throttle time
    }
    shared.appended.send_modify(|count| *count += 1);
    Ok((acks != 0).then_some(out))
}

/// Ids are given out for clients that insist; sequences are not checked.
pub(super) fn init_producer(shared: &Shared, reader: &mut Reader) -> Result<Writer, Malformed> {
    reader.nullable_string()?;
    reader.i32()?;
    let mut state = shared.lock();
    state.producers += 1;
    let mut out = Writer::default();
    out.i32(0); // throttle time
    out.code(Code::None);
    out.i64(state.producers);
    out.i16(0); // epoch
    Ok(out)
}
