//! Small habits of durable files.

use super::StoreError;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs disk work where it stands. On a multi-threaded runtime the worker first hands its other
/// tasks over; on a current_thread runtime (simulation, tests) it blocks, which keeps the order of
/// events deterministic.
pub(super) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Replaces `dir/name` so that a crash leaves either the old or the new content.
pub(super) fn replace(dir: &Path, name: &str, content: &[u8]) -> Result<(), StoreError> {
    let (path, temporary) = (dir.join(name), dir.join(format!("{name}.new")));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    write().map_err(StoreError::io("write", &path))?;
    sync_dir(dir)
}

/// Makes creations and renames in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(StoreError::io("sync directory", dir))
}
