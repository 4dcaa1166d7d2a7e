//! Where the house meets the world: mail in ([`smtp`]) and out ([`mailer`]), the mainframe's feed
//! ([`kafka`]) and the schemas of its values ([`registry`]), certificates ([`tls`]), pauses
//! where it fails ([`backoff`]). Only adapters; what they carry is decided in `telemetry`.

pub mod backoff;
pub mod kafka;
pub mod mailer;
pub mod registry;
pub mod smtp;
pub mod tls;
