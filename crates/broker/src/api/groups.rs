use super::Header;
use crate::codec::{Code, Malformed, Reader, Writer};
use crate::groups::{Group, Join, Joined};
use crate::state::{MAX_GROUPS, Shared};
use bytes::Bytes;
use tokio::time::Instant;

/// Called now and then: sessions run out, join phases end.
pub(crate) fn expire(shared: &Shared) {
    let now = Instant::now();
    shared
        .lock()
        .groups
        .values_mut()
        .for_each(|group| group.expire(now));
}

pub(super) async fn join(
    shared: &Shared,
    reader: &mut Reader,
    header: &Header,
) -> Result<Writer, Malformed> {
    let group_id = reader.string()?;
    let session_ms = reader.i32()?;
    let rebalance_ms = if header.version >= 1 {
        reader.i32()?
    } else {
        session_ms
    };
    let id = reader.string()?;
    let protocol_type = reader.string()?;
    let protocols = reader.array(|r| Ok((r.string()?, r.bytes()?)))?;
    let join = Join {
        session_ms,
        rebalance_ms,
        protocol_type,
        protocols,
    };
    let waiting = {
        let mut state = shared.lock();
        let now = Instant::now();
        if state.groups.len() >= MAX_GROUPS {
            state.groups.retain(|_, group| group.has_members());
        }
        state.members_named += 1;
        let known = !id.is_empty();
        let member = if known {
            id.clone()
        } else {
            format!("{}-{}-{}", header.client, shared.port, state.members_named)
        };
        let group = state
            .groups
            .entry(group_id)
            .or_insert_with(|| Group::new(now));
        group.join(
            now,
            member,
            known,
            join,
            shared.config.initial_rebalance_delay,
        )
    };
    let joined = match waiting {
        // The other end goes away when the same member joins again: this request is then void.
        Ok(answer) => answer.await.map_err(|_| Code::UnknownMember),
        Err(code) => Err(code),
    };
    let mut out = Writer::default();
    if header.version >= 2 {
        out.i32(0); // throttle time
    }
    let (code, joined) = match joined {
        Ok(joined) => (Code::None, joined),
        Err(code) => (
            code,
            Joined {
                generation: -1,
                protocol: String::new(),
                leader: String::new(),
                member: id,
                members: Vec::new(),
            },
        ),
    };
    out.code(code);
    out.i32(joined.generation);
    out.string(&joined.protocol);
    out.string(&joined.leader);
    out.string(&joined.member);
    out.array(joined.members.into_iter(), |out, (member, metadata)| {
        out.string(&member);
        out.bytes(&metadata);
    });
    Ok(out)
}

pub(super) async fn sync(
    shared: &Shared,
    reader: &mut Reader,
    version: i16,
) -> Result<Writer, Malformed> {
    let group_id = reader.string()?;
    let generation = reader.i32()?;
    let member = reader.string()?;
    let assignments = reader.array(|r| Ok((r.string()?, r.bytes()?)))?;
    let waiting = match shared.lock().groups.get_mut(&group_id) {
        Some(group) => group.sync(Instant::now(), &member, generation, assignments),
        None => Err(Code::UnknownMember),
    };
    let synced = match waiting {
        Ok(answer) => answer.await.unwrap_or(Err(Code::RebalanceInProgress)),
        Err(code) => Err(code),
    };
    let mut out = Writer::default();
    if version >= 1 {
        out.i32(0); // throttle time
    }
    let (code, assignment) = match synced {
        Ok(assignment) => (Code::None, assignment),
        Err(code) => (code, Bytes::new()),
    };
    out.code(code);
    out.bytes(&assignment);
    Ok(out)
}

pub(super) fn heartbeat(shared: &Shared, reader: &mut Reader) -> Result<Writer, Malformed> {
    let group_id = reader.string()?;
    let generation = reader.i32()?;
    let member = reader.string()?;
    let result = match shared.lock().groups.get_mut(&group_id) {
        Some(group) => group.heartbeat(Instant::now(), &member, generation),
        None => Err(Code::UnknownMember),
    };
    Ok(answer(result))
}

pub(super) fn leave(shared: &Shared, reader: &mut Reader) -> Result<Writer, Malformed> {
    let group_id = reader.string()?;
    let member = reader.string()?;
    let result = match shared.lock().groups.get_mut(&group_id) {
        Some(group) => group.leave(Instant::now(), &member),
        None => Err(Code::UnknownMember),
    };
    Ok(answer(result))
}

fn answer(result: Result<(), Code>) -> Writer {
    let mut out = Writer::default();
    out.code(result.err().unwrap_or(Code::None));
    out
}
