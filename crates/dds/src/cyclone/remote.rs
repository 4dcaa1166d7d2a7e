//! Who is at the other end: endpoints and participants as Cyclone's built-in topics list them, so
//! that a complaint can name the process that somebody has to go to.
#![expect(
    unsafe_code,
    reason = "binding to the C library; each block says why it is sound"
)]

use super::sys::{self, Code, Entity, check};
use crate::partition;
use crate::qos::{Durability, Liveliness, Ownership, Qos, Reliability};
use cyclonedds_rust_sys as c;
use std::ffi::{CStr, c_char, c_void};
use std::fmt::Write as _;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// Entities read at once; a domain with more is read in several goes.
const BATCH: usize = 64;

/// An endpoint of the domain.
pub(super) struct Endpoint {
    /// `GUID of process NAME (pid N) on host HOST`, as far as its participant tells.
    pub(super) name: String,
    pub(super) partitions: Vec<String>,
    /// What it offers or asks for; fields that are no business of the other end are ours.
    pub(super) qos: Qos,
}

impl Endpoint {
    /// Does it share a partition with one that names `ours`?
    pub(super) fn shares(&self, ours: &[String]) -> bool {
        let meet = |a: &str, b: &str| partition::matches(a, b) || partition::matches(b, a);
        self.partitions
            .iter()
            .any(|theirs| ours.iter().any(|ours| meet(theirs, ours)))
    }
}

/// Which endpoints to list.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Writers,
    Readers,
}

/// All endpoints of `kind` on `topic` that the participant knows, its own included.
pub(super) fn endpoints(
    participant: &Arc<Entity>,
    kind: Kind,
    topic: &str,
) -> Result<Vec<Endpoint>, Code> {
    let builtin = match kind {
        Kind::Writers => BUILTIN + 3,
        Kind::Readers => BUILTIN + 4,
    };
    let mut found = Vec::new();
    each(participant, builtin, |sample| {
        // SAFETY: a valid sample of the built-in publication and subscription topics has this type.
        let endpoint = unsafe { &*sample.cast::<c::dds_builtintopic_endpoint>() };
        // SAFETY: the name of a valid sample is a NUL-terminated string.
        if unsafe { string(endpoint.topic_name) }.as_deref() == Some(topic) {
            found.push((endpoint.key, endpoint.participant_key, read(endpoint.qos)));
        }
    })?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut processes = Vec::new();
    each(participant, BUILTIN + 1, |sample| {
        // SAFETY: a valid sample of the built-in participant topic has this type.
        let participant = unsafe { &*sample.cast::<c::dds_builtintopic_participant>() };
        processes.push((participant.key.v, process(participant.qos)));
    })?;
    Ok(found
        .into_iter()
        .map(|(key, owner, (partitions, qos))| {
            let process = processes.iter().find(|(key, _)| *key == owner.v);
            let mut name = guid(&key.v);
            if let Some((_, process)) = process {
                name.push_str(process);
            }
            Endpoint {
                name,
                partitions,
                qos,
            }
        })
        .collect())
}

/// Built-in topics count up from here: participants, topics, writers, readers (dds.h; the macros
/// are too involved for the generated bindings).
const BUILTIN: c::dds_entity_t = 0x7fff_0000;

fn each(
    participant: &Arc<Entity>,
    topic: c::dds_entity_t,
    mut f: impl FnMut(*mut c_void),
) -> Result<(), Code> {
    let reader = sys::create_builtin_reader(participant, topic)?;
    loop {
        let mut loans = [ptr::null_mut::<c_void>(); BATCH];
        // SAFETY: `dds_sample_info` consists of numbers and bools, for which zero is valid.
        let mut infos: [c::dds_sample_info; BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: both arrays have the length given, and the loans are null, so Cyclone lends.
        let count = check(unsafe {
            c::dds_take(
                reader.handle(),
                loans.as_mut_ptr(),
                infos.as_mut_ptr(),
                BATCH,
                BATCH as u32,
            )
        })?;
        if count <= 0 {
            return Ok(());
        }
        for (loan, info) in loans.iter().zip(&infos).take(count as usize) {
            if info.valid_data {
                f(*loan);
            }
        }
        // SAFETY: exactly the loans that the take made, returned once.
        check(unsafe { c::dds_return_loan(reader.handle(), loans.as_mut_ptr(), count) })?;
    }
}

/// A GUID as Cyclone's tools print it.
fn guid(bytes: &[u8; 16]) -> String {
    bytes
        .chunks(4)
        .map(|word| {
            word.iter()
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        })
        .collect::<Vec<_>>()
        .join(":")
}

fn process(qos: *const c::dds_qos_t) -> String {
    let property = |name: &CStr| {
        let mut value = ptr::null_mut::<c_char>();
        // SAFETY: the QoS belongs to a loaned sample; the call allocates what it answers.
        let known = unsafe { c::dds_qget_prop(qos, name.as_ptr(), &mut value) };
        // SAFETY: on success a NUL-terminated string that is ours, freed once.
        known.then(|| unsafe { owned(value) }).flatten()
    };
    let mut text = String::new();
    if let Some(name) = property(c"__ProcessName") {
        let _ = write!(text, " of process {name}");
    }
    if let Some(pid) = property(c"__Pid") {
        let _ = write!(text, " (pid {pid})");
    }
    if let Some(host) = property(c"__Hostname") {
        let _ = write!(text, " on host {host}");
    }
    text
}

/// # Safety
/// `value` must be null or a NUL-terminated string that Cyclone allocated and that is not used again.
unsafe fn owned(value: *mut c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    let text = unsafe { string(value) };
    // SAFETY: as above; freeing null does nothing.
    unsafe { c::dds_free(value.cast()) };
    text
}

/// # Safety
/// `text` must be null or point to a NUL-terminated string.
unsafe fn string(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| {
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned()
    })
}

/// Partitions and quality of service; what the endpoint does not state is DDS' default.
fn read(qos: *const c::dds_qos_t) -> (Vec<String>, Qos) {
    let (mut reliability, mut durability) = (
        c::dds_reliability_kind_DDS_RELIABILITY_BEST_EFFORT,
        c::dds_durability_kind_DDS_DURABILITY_VOLATILE,
    );
    let (mut deadline, mut lease, mut blocking) = (i64::MAX, i64::MAX, 0);
    let mut liveliness = c::dds_liveliness_kind_DDS_LIVELINESS_AUTOMATIC;
    let mut ownership = c::dds_ownership_kind_DDS_OWNERSHIP_SHARED;
    let (mut count, mut names) = (0_u32, ptr::null_mut::<*mut c_char>());
    // SAFETY: the QoS belongs to a loaned sample, the pointers are to live values; a getter that
    // finds its policy absent leaves them as they are.
    unsafe {
        c::dds_qget_reliability(qos, &mut reliability, &mut blocking);
        c::dds_qget_durability(qos, &mut durability);
        c::dds_qget_deadline(qos, &mut deadline);
        c::dds_qget_liveliness(qos, &mut liveliness, &mut lease);
        c::dds_qget_ownership(qos, &mut ownership);
        c::dds_qget_partition(qos, &mut count, &mut names);
    }
    let mut partitions = Vec::new();
    if !names.is_null() {
        for at in 0..count as usize {
            // SAFETY: an array of `count` strings, ours to free one by one.
            partitions.extend(unsafe { owned(*names.add(at)) });
        }
        // SAFETY: the array itself, allocated by the call, freed once.
        unsafe { c::dds_free(names.cast()) };
    }
    if partitions.is_empty() {
        partitions.push(String::new());
    }
    let time = |nanos: i64| {
        (nanos != i64::MAX).then(|| Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
    };
    let manual = liveliness == c::dds_liveliness_kind_DDS_LIVELINESS_MANUAL_BY_TOPIC;
    let qos = Qos {
        reliability: if reliability == c::dds_reliability_kind_DDS_RELIABILITY_RELIABLE {
            Reliability::Reliable
        } else {
            Reliability::BestEffort
        },
        durability: if durability == c::dds_durability_kind_DDS_DURABILITY_VOLATILE {
            Durability::Volatile
        } else {
            Durability::TransientLocal
        },
        deadline: time(deadline),
        liveliness: match (manual, time(lease)) {
            (true, Some(lease)) => Liveliness::ManualByTopic { lease },
            (true, None) => Liveliness::ManualByTopic {
                lease: Duration::MAX,
            },
            (false, lease) => Liveliness::Automatic { lease },
        },
        ownership: if ownership == c::dds_ownership_kind_DDS_OWNERSHIP_SHARED {
            Ownership::Shared
        } else {
            Ownership::Exclusive { strength: 0 }
        },
        ..Qos::TELEMETRY
    };
    (partitions, qos)
}
