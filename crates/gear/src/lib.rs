//! Gear to try a glass house with: devices that mail in the layouts of real ones, this very host
//! as a device, recorded servers of the Server Machine Dataset, and faults to inject.
//!
//! Rendering is pure: time and seed are arguments, so a run can be repeated byte by byte. Only
//! [`host`] and [`smd`] read files.

pub mod fault;
pub mod host;
pub mod mail;
pub mod mainframe;
pub mod movements;
pub mod seed;
pub mod smd;

pub use fault::{Fault, Injector};
pub use mail::{Device, DeviceKind, Kind, Mail, Metric, Row, State, catalog, render};
