//! Devices as the door knows them: by what they can show, not by what they claim.

use super::address::Address;
use super::profile::Network;
use super::scram::{Verifier, hmac};
use core::net::IpAddr;
use std::collections::BTreeMap;
use wire::Proof;

/// SHA-256 of a certificate's DER: what a client certificate is known by.
pub type Fingerprint = [u8; 32];

/// One device and what it can be known by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// Its id; also its SASL name.
    pub id: String,
    /// Envelope senders that are its own, in any case.
    pub addresses: Vec<String>,
    /// With these its addresses are good from here only.
    pub networks: Vec<Network>,
    /// Its client certificate.
    pub certificate: Option<Fingerprint>,
    /// Its password's verifier.
    pub login: Option<Verifier>,
    /// The ed25519 public key that signs its sealed messages.
    pub key: Option<[u8; 32]>,
}

impl Device {
    /// Whether its address alone is not enough.
    fn has_credentials(&self) -> bool {
        self.certificate.is_some() || self.login.is_some()
    }
}

/// Who a message is from, and how we know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The device's id.
    pub device: String,
    /// What it showed.
    pub proof: Proof,
}

/// Whether somebody may send from an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Claim {
    /// It is this device.
    Known(Identity),
    /// The address is nobody's, or of a device that can show nothing.
    Unknown,
    /// Only a sealed message can tell; it must be from this device.
    Sealed(String),
    /// The device must log in or show its certificate first.
    MustProve,
    /// It is another device's, or not from here.
    NotYours,
}

/// All devices of a house.
#[derive(Clone, Debug)]
pub struct Devices {
    devices: BTreeMap<String, Device>,
    by_address: BTreeMap<String, String>,
    by_certificate: BTreeMap<Fingerprint, String>,
    /// For the decoys; as secret as the verifiers that it is made of.
    secret: [u8; 32],
}

impl Default for Devices {
    fn default() -> Self {
        Self::new([])
    }
}

impl Devices {
    /// Where two devices claim one address or certificate, the first has it.
    pub fn new(devices: impl IntoIterator<Item = Device>) -> Self {
        let mut all = Self {
            devices: BTreeMap::new(),
            by_address: BTreeMap::new(),
            by_certificate: BTreeMap::new(),
            secret: [0; 32],
        };
        for device in devices {
            for address in &device.addresses {
                // As a profile would put it right (`apc@10.0.0.1`), if it is an address at all.
                let parsed = Address::parse_leniently(address);
                let address = parsed.as_ref().map_or(address.as_str(), Address::as_str);
                let address = address.to_lowercase();
                all.by_address
                    .entry(address)
                    .or_insert_with(|| device.id.clone());
            }
            if let Some(certificate) = device.certificate {
                let id = || device.id.clone();
                all.by_certificate.entry(certificate).or_insert_with(id);
            }
            if let Some(login) = &device.login {
                all.secret = hmac(&all.secret, login.secret());
            }
            all.devices.insert(device.id.clone(), device);
        }
        all
    }

    /// Whether anybody can log in.
    pub fn have_logins(&self) -> bool {
        self.devices.values().any(|device| device.login.is_some())
    }

    /// Whether client certificates mean anything here.
    pub fn have_certificates(&self) -> bool {
        !self.by_certificate.is_empty()
    }

    /// Whether this device's reports count only if it has shown who it is.
    pub fn must_prove(&self, id: &str) -> bool {
        self.devices
            .get(id)
            .is_some_and(|device| device.has_credentials() || device.key.is_some())
    }

    /// Whose certificate it is.
    pub(super) fn by_certificate(&self, certificate: &Fingerprint) -> Option<&str> {
        self.by_certificate.get(certificate).map(String::as_str)
    }

    pub(super) fn key(&self, id: &str) -> Option<&[u8; 32]> {
        self.devices.get(id).and_then(|device| device.key.as_ref())
    }

    /// A verifier for the name, whether it exists or not; and whether it does.
    pub(super) fn verifier(&self, name: &str) -> (Verifier, bool) {
        match self
            .devices
            .get(name)
            .and_then(|device| device.login.clone())
        {
            Some(verifier) => (verifier, true),
            None => (Verifier::decoy(&self.secret, name), false),
        }
    }

    /// Whether a client may send from `sender`; `proven`: who it has shown to be.
    pub(super) fn claim(
        &self,
        sender: Option<&Address>,
        peer: IpAddr,
        proven: Option<&Identity>,
    ) -> Claim {
        let owner = sender
            .and_then(|sender| self.by_address.get(&sender.as_str().to_lowercase()))
            .and_then(|id| self.devices.get(id));
        match (owner, proven) {
            (Some(owner), Some(proven)) if owner.id != proven.device => Claim::NotYours,
            (_, Some(proven)) => Claim::Known(proven.clone()),
            (None, None) => Claim::Unknown,
            // Its mail may come by relays, which cannot log in as it.
            (Some(owner), None) if owner.key.is_some() => Claim::Sealed(owner.id.clone()),
            (Some(owner), None) if owner.has_credentials() => Claim::MustProve,
            (Some(owner), None) if owner.networks.is_empty() => Claim::Unknown,
            (Some(owner), None) => {
                if owner.networks.iter().any(|network| network.contains(peer)) {
                    Claim::Known(Identity {
                        device: owner.id.clone(),
                        proof: Proof::Address,
                    })
                } else {
                    Claim::NotYours
                }
            }
        }
    }
}
