//! DDS Security 1.1: only who has a certificate and permissions of the house joins the domain.
//!
//! The plugins are Cyclone's own, linked into the binary by the feature `security`
//! (docs/decisions/0027). All that they need are files, which they read and check while joining.

use super::options::QosSet;
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// The files that a participant shows and checks others by. PEM, and signed documents as S/MIME (DDS
/// Security 1.1 §9.3, §9.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Security {
    /// Certificate of the authority that vouches for participants.
    pub identity_ca: PathBuf,
    /// Certificate of the authority that signs governance and permissions; may be the same.
    pub permissions_ca: PathBuf,
    /// This participant's certificate, by the identity authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// What is protected, and how: one document for the whole domain, signed.
    pub governance: PathBuf,
    /// What this participant may read and write, signed.
    pub permissions: PathBuf,
}

/// A plugin as Cyclone looks it up: the property's infix, the library, and the ending of its two functions.
const PLUGINS: [(&str, &str, &str); 3] = [
    ("auth", "dds_security_auth", "authentication"),
    ("access", "dds_security_ac", "access_control"),
    ("crypto", "dds_security_crypto", "crypto"),
];

const MISSING: &str = "DDS Security is asked for, and this program is built without it; build it with \
     `--features security` (which needs OpenSSL's headers), or leave the security files out";

impl Security {
    /// Whether this build has the plugins.
    pub const BUILT_IN: bool = cfg!(feature = "security");

    /// The files by their names in the configuration.
    pub fn files(&self) -> [(&'static str, &Path); 6] {
        [
            ("identity_ca", &self.identity_ca),
            ("permissions_ca", &self.permissions_ca),
            ("certificate", &self.certificate),
            ("private_key", &self.private_key),
            ("governance", &self.governance),
            ("permissions", &self.permissions),
        ]
    }

    /// Why it cannot be had, before Cyclone is asked.
    pub(super) fn fault(&self) -> Option<String> {
        if !Self::BUILT_IN {
            return Some(MISSING.to_owned());
        }
        self.files().into_iter().find_map(|(name, path)| {
            let error = std::fs::File::open(path).err()?;
            Some(format!("{name} {} cannot be read: {error}", path.display()))
        })
    }

    /// The participant's properties (DDS Security 1.1 §9.3.1, §9.4.1, and Cyclone's for its libraries).
    pub(super) fn properties(&self) -> Result<QosSet, String> {
        let mut all: Vec<(String, String)> = Vec::new();
        for (infix, library, function) in PLUGINS {
            let name = |what: &str| format!("dds.sec.{infix}.library.{what}");
            all.push((name("path"), library.to_owned()));
            all.push((name("init"), format!("init_{function}")));
            all.push((name("finalize"), format!("finalize_{function}")));
        }
        for (name, path) in self.files() {
            let property = match name {
                "certificate" => "dds.sec.auth.identity_certificate".to_owned(),
                "identity_ca" | "private_key" => format!("dds.sec.auth.{name}"),
                _ => format!("dds.sec.access.{name}"),
            };
            let path = path
                .to_str()
                .ok_or_else(|| format!("{name} {} is no path in UTF-8", path.display()))?;
            all.push((property, format!("file:{path}")));
        }
        let text = |text: String| CString::new(text).map_err(|error| error.to_string());
        let all: Result<Vec<_>, String> = all
            .into_iter()
            .map(|(name, value)| Ok((text(name)?, text(value)?)))
            .collect();
        Ok(QosSet::properties(&all?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Security {
        let file = |name: &str| Path::new("/nowhere").join(name);
        Security {
            identity_ca: file("ca.pem"),
            permissions_ca: file("ca.pem"),
            certificate: file("me.pem"),
            private_key: file("me.key"),
            governance: file("governance.p7s"),
            permissions: file("permissions.p7s"),
        }
    }

    #[test]
    fn what_cannot_be_had_is_said_before_joining() {
        let config = super::super::DomainConfig {
            security: Some(files()),
            ..super::super::DomainConfig::loopback(0)
        };
        let error = super::super::CycloneSpace::join(&config).err();
        let error = error.expect("there are no such files").to_string();
        let expected = if Security::BUILT_IN {
            "identity_ca /nowhere/ca.pem cannot be read: No such file"
        } else {
            "built without it; build it with `--features security`"
        };
        assert!(error.contains(expected), "{error}");
    }
}
