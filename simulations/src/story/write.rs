//! Small files that are whole or not there.

use std::fs;
use std::io;
use std::path::Path;

/// Writes beside and renames: whoever stops in the middle leaves no half of a file behind.
pub(crate) fn whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("new");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}
