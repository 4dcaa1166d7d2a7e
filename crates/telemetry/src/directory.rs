//! The devices that may report, and how a mail's sender becomes one of them.

use std::collections::BTreeMap;
use wire::{DeviceId, RoomId};

/// Most addresses in a directory: ten thousand devices with a few addresses each.
pub const MAX_ADDRESSES: usize = 65_536;

/// One known device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Its id everywhere in the house.
    pub id: DeviceId,
    /// The room it stands in.
    pub room: RoomId,
    /// Its class: devices of one class share the meaning of their metrics.
    pub class: String,
    /// Addresses it sends from, as envelope sender or in From:
    /// `ups1@example.net`, `apc@[10.0.0.1]`.
    pub addresses: Vec<String>,
}

/// Why a list of devices is no directory.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Two devices, one address.
    #[error(
        "address <{address}> is given to device {first} and to device {second}; a sender must name one device"
    )]
    SharedAddress {
        /// The address, normalised.
        address: String,
        /// Who has it.
        first: DeviceId,
        /// Who also claims it.
        second: DeviceId,
    },
    /// The same id twice.
    #[error("device {0} is listed twice; ids are unique")]
    SharedId(DeviceId),
    /// Not `local@domain`.
    #[error(
        "\"{address}\" of device {device} is no mail address; write local@domain or local@[10.0.0.1]"
    )]
    BadAddress {
        /// The device.
        device: DeviceId,
        /// As given.
        address: String,
    },
    /// Over [`MAX_ADDRESSES`].
    #[error(
        "the directory has more than {MAX_ADDRESSES} addresses; split the devices over more nodes"
    )]
    TooMany,
}

/// Known devices by id and by sender address.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    devices: BTreeMap<DeviceId, Device>,
    by_address: BTreeMap<String, DeviceId>,
}

impl Directory {
    /// A directory of these devices; ids and addresses must be unique.
    pub fn new(devices: impl IntoIterator<Item = Device>) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        for device in devices {
            directory.add(device)?;
        }
        Ok(directory)
    }

    fn add(&mut self, device: Device) -> Result<(), DirectoryError> {
        if self.devices.contains_key(&device.id) {
            return Err(DirectoryError::SharedId(device.id));
        }
        for given in &device.addresses {
            let address = normalised(given).ok_or_else(|| DirectoryError::BadAddress {
                device: device.id.clone(),
                address: given.clone(),
            })?;
            if let Some(first) = self.by_address.insert(address.clone(), device.id.clone())
                && first != device.id
            {
                return Err(DirectoryError::SharedAddress {
                    address,
                    first,
                    second: device.id,
                });
            }
            if self.by_address.len() > MAX_ADDRESSES {
                return Err(DirectoryError::TooMany);
            }
        }
        self.devices.insert(device.id.clone(), device);
        Ok(())
    }

    /// The device that sends from `address` (any case, with or without angle brackets).
    pub fn by_address(&self, address: &str) -> Option<&Device> {
        self.by_address
            .get(&normalised(address)?)
            .and_then(|id| self.devices.get(id))
    }

    /// The device with this id.
    pub fn get(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    /// All devices, by id.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }
}

/// `local@domain` in lower case without brackets around it. A bare IPv4 domain becomes an address
/// literal: old gear writes `apc@10.0.0.1` where RFC 5321 §4.1.3 wants `apc@[10.0.0.1]`.
fn normalised(address: &str) -> Option<String> {
    let bare = address
        .trim()
        .trim_start_matches('<')
        .trim_end_matches('>')
        .trim();
    let (local, domain) = bare.rsplit_once('@')?;
    if local.is_empty() || domain.is_empty() || bare.chars().any(|c| c.is_control() || c == ' ') {
        return None;
    }
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let is_ipv4 = domain.split('.').count() == 4
        && domain.split('.').all(|octet| octet.parse::<u8>().is_ok());
    let local = local.to_ascii_lowercase();
    Some(if is_ipv4 {
        format!("{local}@[{domain}]")
    } else {
        format!("{local}@{domain}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, addresses: &[&str]) -> Device {
        Device {
            id: id.into(),
            room: "hall-1".into(),
            class: "ups".to_owned(),
            addresses: addresses.iter().map(|&a| a.to_owned()).collect(),
        }
    }

    #[test]
    fn finds_a_device_by_every_spelling_of_its_address() {
        let directory =
            Directory::new([device("ups-1", &["APC@[10.0.0.1]", "ups1@Example.net"])]).unwrap();
        for (address, found) in [
            ("apc@[10.0.0.1]", true),
            ("<apc@[10.0.0.1]>", true),
            ("apc@10.0.0.1", true),
            ("UPS1@EXAMPLE.NET", true),
            ("ups1@example.net.", true),
            ("apc@[10.0.0.2]", false),
            ("apc", false),
            ("", false),
            ("<>", false),
        ] {
            assert_eq!(directory.by_address(address).is_some(), found, "{address}");
        }
    }

    #[test]
    fn refuses_what_would_make_a_sender_ambiguous() {
        let shared = Directory::new([device("a", &["x@y"]), device("b", &["X@Y"])]);
        assert!(
            matches!(shared, Err(DirectoryError::SharedAddress { .. })),
            "{shared:?}"
        );
        let twice = Directory::new([device("a", &["x@y"]), device("a", &["z@y"])]);
        assert_eq!(twice.unwrap_err(), DirectoryError::SharedId("a".into()));
        let bad = Directory::new([device("a", &["not an address"])]);
        assert!(
            matches!(bad, Err(DirectoryError::BadAddress { .. })),
            "{bad:?}"
        );
    }
}
