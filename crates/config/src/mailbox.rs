//! Rules of the mailbox's limits, doors, profiles, and of what devices are known by.

use super::check::Problems;
use super::schema::{Config, Device};
use edge::smtp::{Network, Relaxation, Verifier};
use std::collections::BTreeSet;

const NETWORK: &str = "a network such as 192.0.2.0/24, or a single address";

impl Config {
    pub(super) fn check_mailbox(&self, found: &mut Problems) {
        let mailbox = &self.mailbox;
        for (key, value) in [
            (
                "max_sessions_per_network",
                mailbox.max_sessions_per_network as u64,
            ),
            ("max_failed_logins", u64::from(mailbox.max_failed_logins)),
            (
                "max_messages_per_minute",
                u64::from(mailbox.max_messages_per_minute),
            ),
            ("max_session_bytes", mailbox.max_session_bytes),
            ("min_rate", u64::from(mailbox.min_rate)),
        ] {
            found.require(value > 0, format!("mailbox.{key}"), value, "at least 1");
        }
        found.require(
            mailbox.implicit_tls != Some(mailbox.listen) || mailbox.listen.port() == 0,
            "mailbox.implicit_tls",
            mailbox.implicit_tls,
            "another address than mailbox.listen",
        );
        for (i, proxy) in mailbox.proxies.iter().enumerate() {
            let key = format!("mailbox.proxies[{i}]");
            found.require(Network::parse(proxy).is_some(), key, proxy, NETWORK);
        }
        let mut names = BTreeSet::new();
        for (i, profile) in mailbox.profiles.iter().enumerate() {
            let key = |field: &str| format!("mailbox.profile[{i}].{field}");
            found.require(
                !profile.name.is_empty() && names.insert(&profile.name),
                key("name"),
                &profile.name,
                "unique among the profiles and not empty",
            );
            found.require(
                !profile.networks.is_empty()
                    && profile
                        .networks
                        .iter()
                        .all(|text| Network::parse(text).is_some()),
                key("networks"),
                &profile.networks,
                format!("at least one, each {NETWORK}"),
            );
            let all = Relaxation::ALL.map(Relaxation::name);
            found.require(
                profile
                    .relaxes
                    .iter()
                    .all(|name| Relaxation::named(name).is_some()),
                key("relaxes"),
                &profile.relaxes,
                format!("some of {all:?}"),
            );
        }
        let mut certificates = BTreeSet::new();
        for (i, device) in self.devices.iter().enumerate() {
            if let Some(certificate) = &device.certificate {
                found.require(
                    certificates.insert(certificate.to_ascii_lowercase()),
                    format!("device[{i}].certificate"),
                    certificate,
                    "used by one device only",
                );
            }
        }
    }
}

impl Device {
    /// What number `i` is known by.
    pub(super) fn check_proofs(&self, i: usize, found: &mut Problems) {
        let key = |field: &str| format!("device[{i}].{field}");
        for network in &self.networks {
            found.require(
                Network::parse(network).is_some(),
                key("networks"),
                network,
                NETWORK,
            );
        }
        if let Some(certificate) = &self.certificate {
            found.require(
                octets(certificate).is_some(),
                key("certificate"),
                certificate,
                "64 hex digits, as `glasshouse device fingerprint` prints them",
            );
        }
        if let Some(login) = &self.login {
            // Not shown: whoever sees it may try passwords on it.
            let verifier = login.parse::<Verifier>();
            let rule = verifier.as_ref().err().map(ToString::to_string);
            found.require(
                verifier.is_ok(),
                key("login"),
                "(not shown)",
                rule.unwrap_or_default(),
            );
        }
        if let Some(signing) = &self.key {
            let parsed = octets(signing);
            found.require(
                parsed.is_some_and(|key| ed25519_dalek::VerifyingKey::from_bytes(&key).is_ok()),
                key("key"),
                signing,
                "an ed25519 public key of 64 hex digits",
            );
        }
    }
}

fn octets(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}
