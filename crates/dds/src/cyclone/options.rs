//! Quality of service in Cyclone's terms.
#![expect(
    unsafe_code,
    reason = "binding to the C library; each block says why it is sound"
)]

use super::sys::nanos;
use crate::qos::{Durability, Liveliness, Ownership, Qos, Reliability, Representation};
use crate::rules::Policy;
use cyclonedds_rust_sys as c;
use std::ffi::CString;

/// A C QoS object.
pub(super) struct QosSet(*mut c::dds_qos_t);

impl QosSet {
    fn new() -> Self {
        // SAFETY: allocates; Cyclone aborts the process when out of memory.
        Self(unsafe { c::dds_create_qos() })
    }

    pub(super) fn as_ptr(&self) -> *const c::dds_qos_t {
        self.0
    }

    /// For a publisher or subscriber: its partitions.
    pub(super) fn partitions(partitions: &[CString]) -> Self {
        let set = Self::new();
        let mut names: Vec<_> = partitions.iter().map(|name| name.as_ptr()).collect();
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        // SAFETY: `names` holds `count` pointers to live NUL-terminated strings, copied by the call.
        unsafe { c::dds_qset_partition(set.0, count, names.as_mut_ptr()) };
        set
    }

    /// For a participant.
    pub(super) fn properties(all: &[(CString, CString)]) -> Self {
        let set = Self::new();
        for (name, value) in all {
            // SAFETY: two live NUL-terminated strings, copied by the call.
            unsafe { c::dds_qset_prop(set.0, name.as_ptr(), value.as_ptr()) };
        }
        set
    }

    /// What reader and writer have in common.
    fn endpoint(qos: &Qos) -> Self {
        let set = Self::new();
        let durability = match qos.durability {
            Durability::Volatile => c::dds_durability_kind_DDS_DURABILITY_VOLATILE,
            Durability::TransientLocal => c::dds_durability_kind_DDS_DURABILITY_TRANSIENT_LOCAL,
        };
        let reliability = match qos.reliability {
            Reliability::BestEffort => c::dds_reliability_kind_DDS_RELIABILITY_BEST_EFFORT,
            Reliability::Reliable => c::dds_reliability_kind_DDS_RELIABILITY_RELIABLE,
        };
        let (liveliness, lease) = match qos.liveliness {
            Liveliness::Automatic { lease } => {
                (c::dds_liveliness_kind_DDS_LIVELINESS_AUTOMATIC, lease)
            }
            Liveliness::ManualByTopic { lease } => (
                c::dds_liveliness_kind_DDS_LIVELINESS_MANUAL_BY_TOPIC,
                Some(lease),
            ),
        };
        let ownership = match qos.ownership {
            Ownership::Shared => c::dds_ownership_kind_DDS_OWNERSHIP_SHARED,
            Ownership::Exclusive { .. } => c::dds_ownership_kind_DDS_OWNERSHIP_EXCLUSIVE,
        };
        // SAFETY: `set` is a live QoS object; all else is numbers that Cyclone checks at creation.
        unsafe {
            c::dds_qset_durability(set.0, durability);
            // A write that finds no room says so at once: it may run on a publisher's thread.
            c::dds_qset_reliability(set.0, reliability, 0);
            c::dds_qset_liveliness(set.0, liveliness, lease.map_or(i64::MAX, nanos));
            c::dds_qset_ownership(set.0, ownership);
            if let Some(deadline) = qos.deadline {
                c::dds_qset_deadline(set.0, nanos(deadline));
            }
        }
        set
    }

    /// For a writer.
    pub(super) fn writer(qos: &Qos) -> Self {
        let set = Self::endpoint(qos);
        let keep_last = c::dds_history_kind_DDS_HISTORY_KEEP_LAST;
        let (history, depth) = match qos.backlog {
            0 | 1 => (keep_last, 1),
            2.. => (
                c::dds_history_kind_DDS_HISTORY_KEEP_ALL,
                c::DDS_LENGTH_UNLIMITED,
            ),
        };
        // The identifiers of DDS-XTypes 1.3 §7.6.3.1.1.
        let representation: c::dds_data_representation_id_t = match qos.representation {
            Representation::Xcdr2 => 2,
            Representation::Xcdr1 => 0,
        };
        let (retained, unlimited) = (i32::from(qos.retained.max(1)), c::DDS_LENGTH_UNLIMITED);
        // SAFETY: as above.
        unsafe {
            c::dds_qset_history(set.0, history, depth);
            c::dds_qset_durability_service(
                set.0, 0, keep_last, retained, unlimited, unlimited, unlimited,
            );
            // One value, which the call copies.
            c::dds_qset_data_representation(set.0, 1, &representation);
            // The lane's thread flushes when nothing waits.
            c::dds_qset_writer_batching(set.0, true);
            // A writer that goes away (a node restarts, a role moves) says nothing about its devices.
            c::dds_qset_writer_data_lifecycle(set.0, false);
            if let Some(lifespan) = qos.lifespan {
                c::dds_qset_lifespan(set.0, nanos(lifespan));
            }
            match qos.ownership {
                Ownership::Shared => {}
                Ownership::Exclusive { strength } => {
                    c::dds_qset_ownership_strength(set.0, strength);
                }
            }
        }
        set
    }

    /// For a reader. No resource limits: a Cyclone reader that refuses a sample makes the delivering
    /// thread retry for ever, which delivers twice to its other readers and deadlocks its deletion.
    pub(super) fn reader(qos: &Qos) -> Self {
        let set = Self::endpoint(qos);
        let depth = i32::from(qos.backlog.max(qos.retained).max(1));
        // SAFETY: as above.
        unsafe {
            c::dds_qset_history(set.0, c::dds_history_kind_DDS_HISTORY_KEEP_LAST, depth);
            if let Some(filter) = qos.time_filter {
                c::dds_qset_time_based_filter(set.0, nanos(filter));
            }
        }
        set
    }
}

impl Drop for QosSet {
    fn drop(&mut self) {
        // SAFETY: made by `dds_create_qos`, freed once.
        unsafe { c::dds_delete_qos(self.0) };
    }
}

/// A policy on which two ends did not agree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// One of those we set.
    Ours(Policy),
    /// Another of DDS, by its name in the specification.
    Other(&'static str),
}

/// The policy behind one of Cyclone's policy ids.
pub(super) fn policy(id: u32) -> Refused {
    match id {
        c::dds_qos_policy_id_DDS_DURABILITY_QOS_POLICY_ID => Refused::Ours(Policy::Durability),
        c::dds_qos_policy_id_DDS_DEADLINE_QOS_POLICY_ID => Refused::Ours(Policy::Deadline),
        c::dds_qos_policy_id_DDS_OWNERSHIP_QOS_POLICY_ID => Refused::Ours(Policy::Ownership),
        c::dds_qos_policy_id_DDS_LIVELINESS_QOS_POLICY_ID => Refused::Ours(Policy::Liveliness),
        c::dds_qos_policy_id_DDS_RELIABILITY_QOS_POLICY_ID => Refused::Ours(Policy::Reliability),
        c::dds_qos_policy_id_DDS_LATENCYBUDGET_QOS_POLICY_ID => Refused::Other("latency budget"),
        c::dds_qos_policy_id_DDS_DESTINATIONORDER_QOS_POLICY_ID => {
            Refused::Other("destination order")
        }
        c::dds_qos_policy_id_DDS_PRESENTATION_QOS_POLICY_ID => Refused::Other("presentation"),
        c::dds_qos_policy_id_DDS_TYPE_CONSISTENCY_ENFORCEMENT_QOS_POLICY_ID => {
            Refused::Other("type (it is not assignable)")
        }
        c::dds_qos_policy_id_DDS_DATA_REPRESENTATION_QOS_POLICY_ID => {
            Refused::Other("data representation")
        }
        _ => Refused::Other("unknown policy"),
    }
}
