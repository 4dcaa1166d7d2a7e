use crate::codec::{Code, Malformed, Reader, Writer};
use crate::state::Shared;

/// The only node.
const NODE: i32 = 0;

pub(super) fn handle(
    shared: &Shared,
    reader: &mut Reader,
    version: i16,
) -> Result<Writer, Malformed> {
    let wanted = reader.nullable_array(Reader::string)?;
    let mut state = shared.lock();
    let topics: Vec<(String, Code)> = match wanted {
        // Version 0 says "all" by an empty list.
        Some(names) if version > 0 || !names.is_empty() => names
            .into_iter()
            .map(|name| {
                let code = match shared.config.auto_create_partitions {
                    _ if state.topics.contains_key(&name) => Code::None,
                    0 => Code::UnknownTopicOrPartition,
                    partitions => shared.create_topic(&mut state, &name, partitions),
                };
                (name, code)
            })
            .collect(),
        Some(_) | None => state
            .topics
            .keys()
            .map(|name| (name.clone(), Code::None))
            .collect(),
    };
    let mut out = Writer::default();
    out.i32(1);
    node(shared, &mut out);
    if version >= 1 {
        out.null_string(); // rack
        out.i32(NODE); // controller
    }
    out.array(topics.into_iter(), |out, (topic, code)| {
        out.code(code);
        out.string(&topic);
        if version >= 1 {
            out.bool(false); // internal
        }
        let partitions = state.topics.get(&topic).map_or(0, Vec::len);
        out.array(0..partitions, |out, partition| {
            out.code(Code::None);
            out.count(partition);
            out.i32(NODE); // leader
            out.array([NODE].into_iter(), Writer::i32); // replicas
            out.array([NODE].into_iter(), Writer::i32); // in sync
        });
    });
    Ok(out)
}

pub(super) fn coordinator(shared: &Shared, reader: &mut Reader) -> Result<Writer, Malformed> {
    reader.string()?;
    let mut out = Writer::default();
    out.code(Code::None);
    node(shared, &mut out);
    Ok(out)
}

fn node(shared: &Shared, out: &mut Writer) {
    out.i32(NODE);
    out.string(&shared.host);
    out.i32(i32::from(shared.port));
}
