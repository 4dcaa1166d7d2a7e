//! A node's identity: an ed25519 key, made on the node and never sent anywhere.

use ed25519_dalek::SigningKey;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why an identity could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file is missing or unreadable.
    #[error(
        "cannot read the identity {path}: {error}; make one with `glasshouse identity {path} --new`"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Others can read it.
    #[error(
        "the identity {path} can be read by others (mode {mode:03o}); allow its owner only: `chmod 600 {path}`"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a seed.
    #[error(
        "the identity {path} is not an ed25519 seed of 64 hex digits; restore it from a backup or make a new one and give its public key to the other nodes"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Could not be made.
    #[error("cannot make the identity {path}: {reason}")]
    NotMade {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Reads the seed in `path`.
pub fn load(path: &Path) -> Result<SigningKey, IdentityError> {
    let unreadable = |error| IdentityError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mode = std::fs::metadata(path).map_err(unreadable)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let mut seed = [0u8; 32];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| IdentityError::Malformed {
        path: path.to_owned(),
    })?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Makes a new identity in `path`, readable by its owner only.
pub fn create(path: &Path) -> Result<SigningKey, IdentityError> {
    let not_made = |reason: String| IdentityError::NotMade {
        path: path.to_owned(),
        reason,
    };
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(|error| not_made(error.to_string()))?;
    let mut file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| not_made(error.to_string()))?;
    file.write_all(hex::encode(seed).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| not_made(error.to_string()))?;
    Ok(SigningKey::from_bytes(&seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_loaded_again_and_guarded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.identity");
        assert!(load(&path).unwrap_err().to_string().contains("--new"));
        let key = create(&path).unwrap();
        assert_eq!(load(&path).unwrap().to_bytes(), key.to_bytes());
        assert!(create(&path).unwrap_err().to_string().contains("exists"));

        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, "not hex").unwrap();
        assert!(
            load(&path)
                .unwrap_err()
                .to_string()
                .contains("64 hex digits")
        );
    }
}
