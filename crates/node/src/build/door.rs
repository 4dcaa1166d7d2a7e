//! The mailbox's door as the configuration wants it.

use crate::identity;
use config::{Config, Device, MailProfile};
use edge::smtp::{
    self, Devices, HouseKey, Network, Policy, Profile, Recipients, Relaxation, SmtpConfig,
    SmtpLimits,
};
use edge::tls::{Certified, Reloading, mailbox_config};
use runtime::service::ServiceError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Holds the seed of the key that opens sealed messages; made when a device first has a key.
const HOUSE_KEY: &str = "mailbox-house.key";

pub(super) fn door(
    config: &Config,
) -> Result<Arc<dyn Fn() -> SmtpConfig + Send + Sync>, ServiceError> {
    let mailbox = &config.mailbox;
    let devices = Arc::new(Devices::new(config.devices.iter().map(device)));
    let (certificate, key) = certificate(config)?;
    let tls = mailbox_config(
        Reloading::open(&certificate, &key)?,
        devices.have_certificates(),
    )?;
    let seals = config.devices.iter().any(|device| device.key.is_some());
    let house_key = if seals {
        Some(Arc::new(house_key(&config.node.data_dir)?))
    } else {
        None
    };
    let recipients = Recipients::new(&mailbox.domains, &[]);
    let mut policy = Policy {
        max_size: mailbox.max_message_bytes,
        max_session_octets: mailbox.max_session_bytes,
        require_tls: mailbox.require_tls,
        require_date: mailbox.require_date,
        profiles: mailbox.profiles.iter().map(profile).collect(),
        devices,
        house_key,
        ..Policy::new(mailbox.hostname.clone(), recipients)
    };
    policy.timeouts.min_rate = mailbox.min_rate;
    let limits = SmtpLimits {
        sessions: mailbox.max_sessions,
        sessions_per_address: mailbox.max_sessions_per_address,
        sessions_per_network: mailbox.max_sessions_per_network,
        messages_per_minute: mailbox.max_messages_per_minute,
        failed_logins: mailbox.max_failed_logins,
    };
    let door = SmtpConfig {
        implicit_tls: mailbox.implicit_tls,
        lmtp: mailbox.lmtp.clone(),
        proxies: networks(&mailbox.proxies),
        limits,
        ..SmtpConfig::new(mailbox.listen, policy, tls)
    };
    Ok(Arc::new(move || door.clone()))
}

/// The files of certificate and key; without any configured, those of a self-signed one that is made
/// at the first start.
fn certificate(config: &Config) -> Result<(PathBuf, PathBuf), ServiceError> {
    let mailbox = &config.mailbox;
    match (&mailbox.certificate, &mailbox.key) {
        (Some(certificate), Some(key)) => Ok((certificate.clone(), key.clone())),
        (Some(_), None) | (None, Some(_)) | (None, None) => {
            let names = std::slice::from_ref(&mailbox.hostname);
            Certified::load_or_create(&config.node.data_dir, "mailbox", names)?;
            Ok(Certified::files(&config.node.data_dir, "mailbox"))
        }
    }
}

/// The house's key of this node's mailbox, made if there is none.
///
/// # Errors
/// The file cannot be read or made.
pub fn house_key(data_dir: &Path) -> Result<HouseKey, ServiceError> {
    let path = data_dir.join(HOUSE_KEY);
    let seed = if path.exists() {
        identity::load(&path)?
    } else {
        runtime::durable::create_dir(data_dir)?;
        identity::create(&path)?
    };
    Ok(HouseKey::new(seed.to_bytes()))
}

// The configuration was checked: what does not parse is not there.

fn networks(texts: &[String]) -> Vec<Network> {
    let parsed = texts.iter().map(|text| Network::parse(text));
    parsed.flatten().collect()
}

fn profile(profile: &MailProfile) -> Profile {
    let relaxes = profile.relaxes.iter().map(|name| Relaxation::named(name));
    Profile {
        name: profile.name.clone(),
        networks: networks(&profile.networks),
        relaxes: relaxes.flatten().collect(),
    }
}

fn device(device: &Device) -> smtp::Device {
    let octets = |text: &Option<String>| hex::decode(text.as_ref()?).ok()?.try_into().ok();
    smtp::Device {
        id: device.id.clone(),
        addresses: device.addresses.clone(),
        networks: networks(&device.networks),
        certificate: octets(&device.certificate),
        login: device.login.as_ref().and_then(|login| login.parse().ok()),
        key: octets(&device.key),
    }
}
