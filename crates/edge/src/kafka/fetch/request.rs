//! The request of Fetch, version 13: samsa's is version 4, which knows a topic by its name only.

use crate::kafka::metadata::FETCH_BY_ID;
use crate::kafka::topic_id::TopicId;
use crate::kafka::writer::put_count;
use bytes::BufMut;
use samsa::prelude::encode::ToByte;

const API_FETCH: i16 = 1;
/// Asked by a consumer, not by a replica.
const CONSUMER: i32 = -1;
/// What is not known to us, and checked by nobody then.
const NO_EPOCH: i32 = -1;
const NO_OFFSET: i64 = -1;

/// Without a fetch session: each request names all partitions.
pub(in crate::kafka) struct FetchById<'a> {
    pub(in crate::kafka) correlation: i32,
    pub(in crate::kafka) client_id: &'a str,
    pub(in crate::kafka) wait_ms: i32,
    pub(in crate::kafka) max_bytes: i32,
    pub(in crate::kafka) isolation: i8,
    pub(in crate::kafka) topic: TopicId,
    pub(in crate::kafka) partition_max_bytes: i32,
    /// Partition, and the offset asked for.
    pub(in crate::kafka) partitions: &'a [(i32, i64)],
}

impl ToByte for FetchById<'_> {
    fn encode<W: BufMut>(&self, out: &mut W) -> samsa::prelude::Result<()> {
        API_FETCH.encode(out)?;
        FETCH_BY_ID.encode(out)?;
        self.correlation.encode(out)?;
        self.client_id.encode(out)?;
        out.put_u8(0); // tagged fields
        out.put_i32(CONSUMER);
        out.put_i32(self.wait_ms);
        out.put_i32(1); // least bytes
        out.put_i32(self.max_bytes);
        out.put_i8(self.isolation);
        out.put_i32(0); // no session
        out.put_i32(NO_EPOCH); // of the session
        put_count(out, 1);
        out.put_slice(&self.topic.0);
        put_count(out, self.partitions.len());
        for (partition, offset) in self.partitions {
            out.put_i32(*partition);
            out.put_i32(NO_EPOCH); // of the leader
            out.put_i64(*offset);
            out.put_i32(NO_EPOCH); // of the last record
            out.put_i64(NO_OFFSET); // where a replica's log begins
            out.put_i32(self.partition_max_bytes);
            out.put_u8(0);
        }
        out.put_u8(0); // tagged fields of the topic
        put_count(out, 0); // topics that a session forgets
        put_count(out, 0); // no rack: an empty string
        out.put_u8(0);
        Ok(())
    }
}
