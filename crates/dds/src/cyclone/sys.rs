//! The two dozen C functions of Cyclone DDS that we use, made safe. All `unsafe` of the crate is here.
//!
//! Soundness rests on: [`Entity`] owns its handle and holds its parents, so no child outlives them;
//! Cyclone's entity functions are thread-safe and check handles; buffers passed in live for the call;
//! references to samples taken are given back once.
#![expect(
    unsafe_code,
    reason = "binding to the C library; each block says why it is sound"
)]

use super::cdr;
use super::descriptor::{RawOctets, RawSample, with_descriptor};
use super::options::QosSet;
use crate::lane::lock;
use crate::sample::{NAME_MAX, SEALED_MAX, Sample};
use cyclonedds_rust_sys as c;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Samples taken from a reader at once: enough to amortise the call, few enough that little is held
/// outside the bounded queues.
const TAKE_BATCH: usize = 64;

/// What Cyclone answered instead of success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Code(i32);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: returns a pointer to a static NUL-terminated string for every input.
        let text = unsafe { CStr::from_ptr(c::dds_strretcode(self.0)) };
        write!(f, "{} ({})", text.to_string_lossy(), self.0)
    }
}

impl Code {
    /// A write that found no room in time; nothing was written.
    pub(super) fn is_timeout(self) -> bool {
        self.0 == c::DDS_RETCODE_TIMEOUT
    }
}

pub(super) fn check(code: i32) -> Result<i32, Code> {
    if code < 0 { Err(Code(code)) } else { Ok(code) }
}

/// An entity of Cyclone, deleted when dropped; its parents outlive it.
pub(super) struct Entity {
    handle: c::dds_entity_t,
    deleted: AtomicBool,
    /// What a reader's listener points to.
    listener: Mutex<Option<Arc<dyn OnData>>>,
    _parents: Vec<Arc<Entity>>,
}

/// Is told on a thread of Cyclone that a reader holds something new. Must neither wait nor call Cyclone.
pub(super) trait OnData: Send + Sync + 'static {
    fn on_data(&self);
}

impl Entity {
    fn adopt(handle: c::dds_entity_t, parents: &[&Arc<Entity>]) -> Result<Arc<Self>, Code> {
        check(handle)?;
        let parents = parents.iter().map(|parent| Arc::clone(parent)).collect();
        Ok(Arc::new(Self {
            handle,
            deleted: AtomicBool::new(false),
            listener: Mutex::default(),
            _parents: parents,
        }))
    }

    /// For calls made outside this module; valid while `self` lives.
    pub(super) fn handle(&self) -> c::dds_entity_t {
        self.handle
    }

    /// Deletes now.
    pub(super) fn delete(&self) {
        if !self.deleted.swap(true, Ordering::AcqRel) {
            // SAFETY: the handle is ours and deleted once, as the flag says.
            let code = unsafe { c::dds_delete(self.handle) };
            if code < 0 {
                tracing::warn!(code = %Code(code), "a DDS entity could not be deleted");
                // Its listener may still be called: what that points to has to stay.
                std::mem::forget(lock(&self.listener).take());
            }
        }
    }

    pub(super) fn set_status_mask(&self, mask: u32) -> Result<(), Code> {
        // SAFETY: handle and mask are plain numbers that Cyclone checks.
        check(unsafe { c::dds_set_status_mask(self.handle, mask) }).map(drop)
    }

    pub(super) fn trigger(&self, on: bool) {
        // SAFETY: as above; on anything but a guard condition it is an error without effect.
        let _ = unsafe { c::dds_set_guardcondition(self.handle, on) };
    }
}

impl Drop for Entity {
    fn drop(&mut self) {
        self.delete();
    }
}

pub(super) fn create_domain(id: u32, config: &CStr) -> Result<Arc<Entity>, Code> {
    // SAFETY: `config` is a NUL-terminated string that Cyclone parses during the call.
    Entity::adopt(unsafe { c::dds_create_domain(id, config.as_ptr()) }, &[])
}

pub(super) fn create_participant(
    domain: &Arc<Entity>,
    id: u32,
    qos: Option<&QosSet>,
) -> Result<Arc<Entity>, Code> {
    let qos = qos.map_or(ptr::null(), QosSet::as_ptr);
    // SAFETY: null QoS and listener mean the defaults; a QoS object lives for the call.
    Entity::adopt(
        unsafe { c::dds_create_participant(id, qos, ptr::null()) },
        &[domain],
    )
}

pub(super) fn create_topic(participant: &Arc<Entity>, name: &CStr) -> Result<Arc<Entity>, Code> {
    // Without a QoS of its own: readers and writers state theirs in full, and a participant may then
    // have them with different ones.
    let handle = with_descriptor(|descriptor| {
        // SAFETY: descriptor and name live for the call; the descriptor describes `RawSample`,
        // the only type that is ever written to or read from this topic.
        unsafe {
            c::dds_create_topic(
                participant.handle,
                descriptor,
                name.as_ptr(),
                ptr::null(),
                ptr::null(),
            )
        }
    });
    Entity::adopt(handle, &[participant])
}

pub(super) fn create_writer(
    participant: &Arc<Entity>,
    topic: &Arc<Entity>,
    group: &QosSet,
    qos: &QosSet,
) -> Result<Arc<Entity>, Code> {
    // SAFETY: handles are live (`Arc`), the QoS objects live for the calls.
    unsafe {
        let publisher = c::dds_create_publisher(participant.handle, group.as_ptr(), ptr::null());
        let publisher = Entity::adopt(publisher, &[participant])?;
        let writer =
            c::dds_create_writer(publisher.handle, topic.handle, qos.as_ptr(), ptr::null());
        Entity::adopt(writer, &[&publisher, topic])
    }
}

/// A reader that tells `on_data` of what comes.
pub(super) fn create_reader<L: OnData>(
    participant: &Arc<Entity>,
    topic: &Arc<Entity>,
    group: &QosSet,
    qos: &QosSet,
    on_data: Arc<L>,
) -> Result<Arc<Entity>, Code> {
    // SAFETY: as for the writer. The listener's argument is `on_data`, which the entity keeps until
    // `dds_delete` has returned; that waits for calls under way and lets no more begin. The listener
    // object is copied by `dds_create_reader`.
    unsafe {
        let subscriber = c::dds_create_subscriber(participant.handle, group.as_ptr(), ptr::null());
        let subscriber = Entity::adopt(subscriber, &[participant])?;
        let listener = c::dds_create_listener(Arc::as_ptr(&on_data).cast_mut().cast::<c_void>());
        c::dds_lset_data_available(listener, Some(data_available::<L>));
        let reader = c::dds_create_reader(subscriber.handle, topic.handle, qos.as_ptr(), listener);
        c::dds_delete_listener(listener);
        let reader = Entity::adopt(reader, &[&subscriber, topic])?;
        *lock(&reader.listener) = Some(on_data);
        Ok(reader)
    }
}

/// # Safety
/// `told` must point to a live `L`.
unsafe extern "C" fn data_available<L: OnData>(_reader: c::dds_entity_t, told: *mut c_void) {
    // SAFETY: the caller's promise.
    let told = unsafe { &*told.cast::<L>() };
    // Nothing may unwind into C. What could panic here is a waker of somebody's executor.
    if catch_unwind(AssertUnwindSafe(|| told.on_data())).is_err() {
        tracing::error!("waking a data space subscription panicked");
    }
}

/// A reader of one of Cyclone's built-in topics, which hold what discovery knows.
pub(super) fn create_builtin_reader(
    participant: &Arc<Entity>,
    topic: c::dds_entity_t,
) -> Result<Arc<Entity>, Code> {
    // SAFETY: the participant is live, the topic a pseudo handle that Cyclone checks.
    let reader =
        unsafe { c::dds_create_reader(participant.handle, topic, ptr::null(), ptr::null()) };
    Entity::adopt(reader, &[participant])
}

/// A wait set with a guard condition (token 0) that ends a wait from outside.
pub(super) struct WaitSet {
    set: Arc<Entity>,
    guard: Arc<Entity>,
}

impl WaitSet {
    pub(super) fn new(participant: &Arc<Entity>) -> Result<Self, Code> {
        // SAFETY: the participant is live; attaching checks both handles.
        unsafe {
            let set = Entity::adopt(c::dds_create_waitset(participant.handle), &[participant])?;
            let guard = Entity::adopt(
                c::dds_create_guardcondition(participant.handle),
                &[participant],
            )?;
            check(c::dds_waitset_attach(set.handle, guard.handle, 0))?;
            Ok(Self { set, guard })
        }
    }

    /// The guard condition, to be triggered by whoever wants the waiter's attention.
    pub(super) fn guard(&self) -> Arc<Entity> {
        Arc::clone(&self.guard)
    }

    /// Wakes when the status of `entity` changes (see its status mask).
    pub(super) fn attach(&self, entity: &Entity, token: isize) -> Result<(), Code> {
        // SAFETY: both handles are live and checked.
        check(unsafe { c::dds_waitset_attach(self.set.handle, entity.handle, token) }).map(drop)
    }

    /// Waits until something attached triggers; the tokens of what did.
    pub(super) fn wait(&self, tokens: &mut Vec<isize>) -> Result<(), Code> {
        let mut found: [c::dds_attach_t; 64] = [0; 64];
        // SAFETY: `found` has the length given; the return value may exceed it and is cut.
        let count = check(unsafe {
            c::dds_waitset_wait(self.set.handle, found.as_mut_ptr(), found.len(), i64::MAX)
        })?;
        tokens.clear();
        tokens.extend_from_slice(&found[..found.len().min(count.max(0) as usize)]);
        Ok(())
    }
}

/// Writes one sample, or answers that there was no room for it in the reliable history
/// ([`Code::is_timeout`]). Never waits: writers have no blocking time.
pub(super) fn write(writer: &Entity, sample: &Sample) -> Result<(), Code> {
    let (key, name) = (c_string(&sample.key)?, c_string(&sample.writer)?);
    let length =
        u32::try_from(sample.sealed.len()).map_err(|_| Code(c::DDS_RETCODE_BAD_PARAMETER))?;
    let raw = RawSample {
        key: key.as_ptr(),
        writer: name.as_ptr(),
        seq: sample.sequence,
        key_epoch: sample.key_epoch,
        source_time_ns: sample.source_time_ns,
        sealed: RawOctets {
            maximum: length,
            length,
            buffer: sample.sealed.as_ptr(),
            release: false,
        },
    };
    // SAFETY: `raw` has the layout that the topic's descriptor announces and borrows live buffers;
    // Cyclone serializes during the call and keeps no pointer.
    check(unsafe { c::dds_write(writer.handle, ptr::from_ref(&raw).cast::<c_void>()) }).map(drop)
}

/// Sends what was written but still waits for company in a datagram.
pub(super) fn flush(writer: &Entity) -> Result<(), Code> {
    // SAFETY: a handle that Cyclone checks.
    check(unsafe { c::dds_write_flush(writer.handle) }).map(drop)
}

/// Disposes of an instance.
pub(super) fn dispose(writer: &Entity, key: &str) -> Result<(), Code> {
    let key = c_string(key)?;
    let raw = RawSample {
        key: key.as_ptr(),
        writer: c"".as_ptr(),
        seq: 0,
        key_epoch: 0,
        source_time_ns: 0,
        sealed: RawOctets {
            maximum: 0,
            length: 0,
            buffer: ptr::null(),
            release: false,
        },
    };
    // SAFETY: as for `write`; only the key is looked at.
    check(unsafe { c::dds_dispose(writer.handle, ptr::from_ref(&raw).cast::<c_void>()) }).map(drop)
}

fn c_string(text: &str) -> Result<CString, Code> {
    CString::new(text).map_err(|_| Code(c::DDS_RETCODE_BAD_PARAMETER))
}

/// Waits until all matched readers acknowledged what `writer` wrote.
pub(super) fn wait_for_acks(writer: &Entity, limit: Duration) -> Result<(), Code> {
    // SAFETY: a handle and a number.
    check(unsafe { c::dds_wait_for_acks(writer.handle, nanos(limit)) }).map(drop)
}

/// A duration as Cyclone counts it.
pub(super) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// One element taken from a reader.
pub(super) enum Taken {
    Sample(Sample),
    Disposed(String),
    /// A sample that breaks the rules of [`Sample`].
    Malformed,
}

/// A sample in its serialized form, of which Cyclone counts the holders.
struct Serialized(*mut c::ddsi_serdata);

impl Serialized {
    fn size(&self) -> usize {
        // SAFETY: we hold it, so it is alive.
        unsafe { c::ddsi_serdata_size(self.0) as usize }
    }

    /// Copies these bytes, of which there are `size`, to the end of `into`, which has room for them.
    fn append(&self, bytes: Range<usize>, into: &mut Vec<u8>) {
        let room = &mut into.spare_capacity_mut()[..bytes.len()];
        if bytes.is_empty() || bytes.end > self.size() {
            return;
        }
        // SAFETY: we hold it; the range is within its size; `room` is as long, and Cyclone fills all of it.
        unsafe {
            c::ddsi_serdata_to_ser(self.0, bytes.start, bytes.len(), room.as_mut_ptr().cast());
            into.set_len(into.len() + bytes.len());
        }
    }
}

impl Drop for Serialized {
    fn drop(&mut self) {
        // SAFETY: a reference that the take gave us, given back once.
        unsafe { c::ddsi_serdata_unref(self.0) };
    }
}

/// Takes up to a batch from `reader`, appends it to `out`; whether there may be more.
pub(super) fn take(reader: &Entity, out: &mut Vec<Taken>) -> Result<bool, Code> {
    let mut found: [*mut c::ddsi_serdata; TAKE_BATCH] = [ptr::null_mut(); TAKE_BATCH];
    // SAFETY: an all-zero `dds_sample_info` is valid: numbers and a bool.
    let mut infos: [c::dds_sample_info; TAKE_BATCH] = unsafe { std::mem::zeroed() };
    // SAFETY: both arrays have the length given; a mask of 0 means any state.
    let count = check(unsafe {
        c::dds_takecdr(
            reader.handle,
            found.as_mut_ptr(),
            TAKE_BATCH as u32,
            infos.as_mut_ptr(),
            0,
        )
    })?;
    let count = count.max(0) as usize;
    let mut bytes = Vec::with_capacity(cdr::HEAD_MAX);
    for (data, info) in found.into_iter().zip(&infos).take(count) {
        let data = Serialized(data);
        let size = data.size();
        bytes.clear();
        data.append(0..size.min(cdr::HEAD_MAX), &mut bytes);
        let disposed = info.instance_state == c::DDS_NOT_ALIVE_DISPOSED_INSTANCE_STATE;
        // A state change arrives on its own or with the last sample that was not taken yet.
        if !info.valid_data {
            if disposed {
                out.push(cdr::key(&bytes).map_or(Taken::Malformed, Taken::Disposed));
            }
            continue;
        }
        let head = cdr::head(&bytes, size).filter(|head| head.sealed.len() <= SEALED_MAX);
        let Some(head) = head else {
            out.push(Taken::Malformed);
            continue;
        };
        let mut sealed = Vec::with_capacity(head.sealed.len());
        data.append(head.sealed, &mut sealed);
        let gone = (disposed && info.sample_rank == 0).then(|| head.key.clone());
        out.push(Taken::Sample(Sample {
            key: head.key,
            writer: head.writer,
            sequence: head.sequence,
            key_epoch: head.key_epoch,
            source_time_ns: head.source_time_ns,
            sealed,
        }));
        out.extend(gone.map(Taken::Disposed));
    }
    Ok(count == TAKE_BATCH)
}

/// # Safety
/// `text` must be null or point to a NUL-terminated string.
unsafe fn text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    (bytes.len() <= NAME_MAX)
        .then(|| std::str::from_utf8(bytes).ok().map(str::to_owned))
        .flatten()
}

/// Current count and change since the last look.
#[derive(Clone, Copy, Default)]
pub(super) struct Matched {
    pub(super) current: u32,
    pub(super) change: i32,
}

/// Deadlines that were missed, and the instance of the last one.
#[derive(Clone, Copy)]
pub(super) struct Missed {
    pub(super) change: i32,
    pub(super) total: u32,
    pub(super) instance: u64,
}

/// The key of an instance of `endpoint`; `None` when it is forgotten already.
pub(super) fn key_of(endpoint: &Entity, instance: u64) -> Option<String> {
    // SAFETY: all-zero is a valid `RawSample`: null pointers, numbers and a bool.
    let mut raw: RawSample = unsafe { std::mem::zeroed() };
    let into = ptr::from_mut(&mut raw).cast::<c_void>();
    // SAFETY: `raw` has the layout of the endpoint's type; only its key is filled in.
    check(unsafe { c::dds_instance_get_key(endpoint.handle, instance, into) }).ok()?;
    // SAFETY: the key is null or NUL-terminated, and ours to free.
    unsafe {
        let key = text(raw.key);
        c::dds_string_free(raw.key.cast_mut());
        key
    }
}

macro_rules! status {
    ($name:ident, $raw:ident, $get:ident, $out:ty, |$status:ident| $map:expr) => {
        /// Reads and resets this status of the endpoint.
        pub(super) fn $name(entity: &Entity) -> Result<$out, Code> {
            // SAFETY: the status structs are plain numbers, for which zero is valid, and their size
            // is checked against the C headers when the bindings are built.
            let mut $status: c::$raw = unsafe { std::mem::zeroed() };
            // SAFETY: the pointer is to a live struct of the right type.
            check(unsafe { c::$get(entity.handle, &mut $status) })?;
            Ok($map)
        }
    };
}

status!(
    readers_of,
    dds_publication_matched_status,
    dds_get_publication_matched_status,
    Matched,
    |s| Matched {
        current: s.current_count,
        change: s.current_count_change
    }
);
status!(
    writers_of,
    dds_subscription_matched_status,
    dds_get_subscription_matched_status,
    Matched,
    |s| Matched {
        current: s.current_count,
        change: s.current_count_change
    }
);
status!(
    offered,
    dds_offered_incompatible_qos_status,
    dds_get_offered_incompatible_qos_status,
    (i32, u32),
    |s| (s.total_count_change, s.last_policy_id)
);
status!(
    requested,
    dds_requested_incompatible_qos_status,
    dds_get_requested_incompatible_qos_status,
    (i32, u32),
    |s| (s.total_count_change, s.last_policy_id)
);
status!(
    deadline,
    dds_requested_deadline_missed_status,
    dds_get_requested_deadline_missed_status,
    Missed,
    |s| Missed {
        change: s.total_count_change,
        total: s.total_count,
        instance: s.last_instance_handle
    }
);
status!(
    broken_deadline,
    dds_offered_deadline_missed_status,
    dds_get_offered_deadline_missed_status,
    (i32, u32),
    |s| (s.total_count_change, s.total_count)
);
status!(
    broken_liveliness,
    dds_liveliness_lost_status,
    dds_get_liveliness_lost_status,
    (i32, u32),
    |s| (s.total_count_change, s.total_count)
);
/// How many matched writers are alive and how many are not, and the change of the latter.
#[derive(Clone, Copy)]
pub(super) struct Alive {
    pub(super) alive: u32,
    pub(super) silent: u32,
    pub(super) change: i32,
}

status!(
    liveliness,
    dds_liveliness_changed_status,
    dds_get_liveliness_changed_status,
    Alive,
    |s| Alive {
        alive: s.alive_count,
        silent: s.not_alive_count,
        change: s.not_alive_count_change
    }
);
