use crate::codec::{Code, Malformed, Reader, Writer};
use crate::offsets::{Committed, MAX_METADATA};
use crate::state::Shared;
use tokio::time::Instant;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

pub(super) fn list(shared: &Shared, reader: &mut Reader) -> Result<Writer, Malformed> {
    reader.i32()?; // replica
    let topics = reader.array(|r| Ok((r.string()?, r.array(|r| Ok((r.i32()?, r.i64()?)))?)))?;
    let mut state = shared.lock();
    let mut out = Writer::default();
    out.array(topics.into_iter(), |out, (topic, partitions)| {
        out.string(&topic);
        out.array(partitions.into_iter(), |out, (partition, time)| {
            let (code, timestamp, offset) = match (state.log(&topic, partition), time) {
                (None, _) => (Code::UnknownTopicOrPartition, -1, -1),
                (Some(log), LATEST) => (Code::None, -1, log.end()),
                (Some(log), EARLIEST) => (Code::None, -1, log.start()),
                (Some(log), time) => {
                    let (timestamp, offset) = log.find(time).unwrap_or((-1, -1));
                    (Code::None, timestamp, offset)
                }
            };
            out.i32(partition);
            out.code(code);
            out.i64(timestamp);
            out.i64(offset);
        });
    });
    Ok(out)
}

pub(super) fn commit(shared: &Shared, reader: &mut Reader) -> Result<Writer, Malformed> {
    let group = reader.string()?;
    let generation = reader.i32()?;
    let member = reader.string()?;
    reader.i64()?; // retention
    let topics = reader.array(|r| {
        Ok((
            r.string()?,
            r.array(|r| Ok((r.i32()?, r.i64()?, r.nullable_string()?)))?,
        ))
    })?;
    let mut state = shared.lock();
    let allowed = match state.groups.get_mut(&group) {
        Some(group) => group.may_commit(Instant::now(), &member, generation),
        None if generation < 0 => Ok(()),
        None => Err(Code::UnknownMember),
    };
    let mut out = Writer::default();
    out.array(topics.into_iter(), |out, (topic, partitions)| {
        out.string(&topic);
        out.array(
            partitions.into_iter(),
            |out, (partition, offset, metadata)| {
                let metadata = metadata.unwrap_or_default();
                let exists = state.log(&topic, partition).is_some();
                let code = match allowed {
                    Err(code) => code,
                    Ok(()) if !exists => Code::UnknownTopicOrPartition,
                    Ok(()) if metadata.len() > MAX_METADATA => Code::InvalidRecord,
                    Ok(()) => match state.offsets.put(
                        &group,
                        &topic,
                        partition,
                        Committed { offset, metadata },
                    ) {
                        Ok(()) => Code::None,
                        Err(_) => Code::StorageError,
                    },
                };
                out.i32(partition);
                out.code(code);
            },
        );
    });
    Ok(out)
}

pub(super) fn fetch(
    shared: &Shared,
    reader: &mut Reader,
    version: i16,
) -> Result<Writer, Malformed> {
    let group = reader.string()?;
    let topics = reader.nullable_array(|r| Ok((r.string()?, r.array(Reader::i32)?)))?;
    let state = shared.lock();
    let topics = topics.unwrap_or_else(|| state.offsets.of_group(&group));
    let mut out = Writer::default();
    out.array(topics.into_iter(), |out, (topic, partitions)| {
        out.string(&topic);
        out.array(partitions.into_iter(), |out, partition| {
            let committed = state.offsets.get(&group, &topic, partition);
            out.i32(partition);
            out.i64(committed.map_or(-1, |committed| committed.offset));
            out.string(committed.map_or("", |committed| &committed.metadata));
            out.code(Code::None);
        });
    });
    if version >= 2 {
        out.code(Code::None);
    }
    Ok(out)
}
