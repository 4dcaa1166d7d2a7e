//! The port's contract is one suite that every implementation passes.
#![allow(
    unused_imports,
    unused_macros,
    reason = "each test binary uses its part"
)]

use dds::{DataSpace, Qos, Topic};

pub(crate) type Space = Box<dyn DataSpace>;
/// Makes spaces that meet each other.
pub(crate) type Spaces<'a> = &'a dyn Fn() -> Space;

pub(crate) fn topic(name: &str, qos: Qos) -> Topic {
    Topic::new(name, qos).expect("a DDS name")
}

/// Every promise, for every implementation.
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let domain = dds::MemoryDomain::new();
                super::$promise(&|| Box::new(domain.join())).await;
            })*
        }
        mod cyclone {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let config = super::common::config();
                super::$promise(&|| Box::new(dds::CycloneSpace::join(&config).expect("joined"))).await;
            })*
        }
    };
}
pub(crate) use contract;
