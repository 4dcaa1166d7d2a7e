//! One module per family of requests. Versions advertised are those whose encodings we speak; all
//! are within what current clients send.

mod fetch;
pub(crate) mod groups;
mod metadata;
mod offsets;
mod produce;
mod topics;

use crate::codec::{Code, Malformed, Reader, Writer};
use crate::state::Shared;

/// Key, lowest and highest version of an API.
struct Versions(i16, i16, i16);

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const FIND_COORDINATOR: i16 = 10;
const JOIN_GROUP: i16 = 11;
const HEARTBEAT: i16 = 12;
const LEAVE_GROUP: i16 = 13;
const SYNC_GROUP: i16 = 14;
const API_VERSIONS: i16 = 18;
const CREATE_TOPICS: i16 = 19;
const DELETE_TOPICS: i16 = 20;
const INIT_PRODUCER_ID: i16 = 22;

const APIS: &[Versions] = &[
    // librdkafka uses batches of version 2 only if it sees Produce 0 to 3 and Fetch 4; what is sent
    // as versions 0 to 2 is refused by its message format.
    Versions(PRODUCE, 0, 7),
    Versions(FETCH, 4, 4),
    Versions(LIST_OFFSETS, 1, 1),
    Versions(METADATA, 0, 1),
    Versions(OFFSET_COMMIT, 2, 2),
    Versions(OFFSET_FETCH, 1, 2),
    Versions(FIND_COORDINATOR, 0, 0),
    Versions(JOIN_GROUP, 0, 2),
    Versions(HEARTBEAT, 0, 0),
    Versions(LEAVE_GROUP, 0, 0),
    Versions(SYNC_GROUP, 0, 2),
    Versions(API_VERSIONS, 0, 0),
    Versions(CREATE_TOPICS, 2, 3),
    Versions(DELETE_TOPICS, 1, 3),
    Versions(INIT_PRODUCER_ID, 0, 0),
];

/// What stands before every request.
pub(crate) struct Header {
    key: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) client: String,
}

impl Header {
    pub(crate) fn read(reader: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            key: reader.i16()?,
            version: reader.i16()?,
            correlation: reader.i32()?,
            client: reader.nullable_string()?.unwrap_or_default(),
        })
    }
}

/// The answer's body; `None` for a request that wants no answer. An error closes the connection:
/// there is no way to tell what the client would understand.
pub(crate) async fn handle(
    shared: &Shared,
    header: &Header,
    reader: &mut Reader,
) -> Result<Option<Writer>, Malformed> {
    let known = APIS
        .iter()
        .find(|api| api.0 == header.key)
        .ok_or(Malformed("unknown API"))?;
    if !(known.1..=known.2).contains(&header.version) {
        if header.key != API_VERSIONS {
            return Err(Malformed("API version was not advertised"));
        }
        // KIP-511: the answer in version 0 tells the client which versions to use.
        return Ok(Some(api_versions(Code::UnsupportedVersion)));
    }
    match header.key {
        PRODUCE => produce::handle(shared, reader, header.version),
        FETCH => fetch::handle(shared, reader).await.map(Some),
        LIST_OFFSETS => offsets::list(shared, reader).map(Some),
        METADATA => metadata::handle(shared, reader, header.version).map(Some),
        OFFSET_COMMIT => offsets::commit(shared, reader).map(Some),
        OFFSET_FETCH => offsets::fetch(shared, reader, header.version).map(Some),
        FIND_COORDINATOR => metadata::coordinator(shared, reader).map(Some),
        JOIN_GROUP => groups::join(shared, reader, header).await.map(Some),
        HEARTBEAT => groups::heartbeat(shared, reader).map(Some),
        LEAVE_GROUP => groups::leave(shared, reader).map(Some),
        SYNC_GROUP => groups::sync(shared, reader, header.version).await.map(Some),
        API_VERSIONS => Ok(Some(api_versions(Code::None))),
        CREATE_TOPICS => topics::create(shared, reader).map(Some),
        DELETE_TOPICS => topics::delete(shared, reader).map(Some),
        INIT_PRODUCER_ID => produce::init_producer(shared, reader).map(Some),
        _ => Err(Malformed("unknown API")),
    }
}

fn api_versions(code: Code) -> Writer {
    let mut out = Writer::default();
    out.code(code);
    out.array(APIS.iter(), |out, Versions(key, lowest, highest)| {
        out.i16(*key);
        out.i16(*lowest);
        out.i16(*highest);
    });
    out
}
