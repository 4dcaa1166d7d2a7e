use crate::codec::{Code, Malformed, Reader, Writer};
use crate::state::Shared;

pub(super) fn create(shared: &Shared, reader: &mut Reader) -> Result<Writer, Malformed> {
    let topics = reader.array(|r| {
        let topic = (r.string()?, r.i32()?);
        r.i16()?; // replication factor: there is one node
        r.array(|r| Ok((r.i32()?, r.array(Reader::i32)?)))?; // manual assignment
        r.array(|r| Ok((r.string()?, r.nullable_string()?)))?; // settings
        Ok(topic)
    })?;
    reader.i32()?; // time limit
    let only_check = reader.bool()?;
    let mut state = shared.lock();
    let mut out = Writer::default();
    out.i32(0); // throttle time
    out.array(topics.into_iter(), |out, (topic, partitions)| {
        // −1: the broker's default.
        let partitions = if partitions == -1 {
            shared.config.auto_create_partitions.max(1)
        } else {
            partitions
        };
        let code = if only_check {
            Code::None
        } else {
            shared.create_topic(&mut state, &topic, partitions)
        };
        out.string(&topic);
        out.code(code);
        out.null_string(); // message
    });
    Ok(out)
}

pub(super) fn delete(shared: &Shared, reader: &mut Reader) -> Result<Writer, Malformed> {
    let topics = reader.array(Reader::string)?;
    reader.i32()?; // time limit
    let mut state = shared.lock();
    let mut out = Writer::default();
    out.i32(0); // throttle time
    out.array(topics.into_iter(), |out, topic| {
        let code = match state.topics.remove(&topic) {
            Some(logs) => {
                logs.into_iter().for_each(crate::log::Log::delete);
                Code::None
            }
            None => Code::UnknownTopicOrPartition,
        };
        out.string(&topic);
        out.code(code);
    });
    Ok(out)
}
