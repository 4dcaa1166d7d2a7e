//! Small habits of durable files.

use super::StoreError;
use runtime::durable;
use std::fs::File;
use std::io;
use std::path::Path;
use tokio::runtime::Handle;

/// May work that blocks be given to other threads? On a current_thread runtime (simulation, tests)
/// it may not: the order of events must follow from the seed.
pub(super) fn threads() -> bool {
    Handle::try_current().is_ok() && !runtime::blocking::on_one_thread()
}

/// Most bytes that are copied to or from the page cache where one stands: copying them costs less
/// than waking another thread to take over meanwhile.
const COPIED: u64 = 64 << 10;

/// Work on `bytes` bytes of files that syncs nothing.
pub(super) fn copying<T>(bytes: u64, work: impl FnOnce() -> T) -> T {
    if bytes <= COPIED {
        work()
    } else {
        runtime::blocking::in_place(work)
    }
}

/// Makes what was written to `file`, which is at `path`, durable.
pub(super) fn sync_data(file: &File, path: &Path) -> Result<(), StoreError> {
    let sync = || file.sync_data();
    observed(path, sync).map_err(StoreError::io("sync", path))
}

/// Cuts `file`, which is at `path`, to `len` bytes, durably.
pub(super) fn cut(file: &File, path: &Path, len: u64) -> Result<(), StoreError> {
    let cut = || file.set_len(len).and_then(|()| file.sync_all());
    observed(path, cut).map_err(StoreError::io("cut", path))
}

/// In tests a disk stands in between that refuses, or loses what was never synced.
fn observed(path: &Path, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    #[cfg(test)]
    return super::tests::power::observe(path, sync);
    #[cfg(not(test))]
    return {
        let _ = path;
        sync()
    };
}

/// Replaces `dir/name` so that a crash leaves either the old or the new content.
pub(super) fn replace(dir: &Path, name: &str, content: &[u8]) -> Result<(), StoreError> {
    let path = dir.join(name);
    let replace = || durable::replace(&path, content);
    observed(&path, replace).map_err(StoreError::io("write", &path))
}

/// Makes creations, renames and removals in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    durable::sync_dir(dir).map_err(StoreError::io("sync directory", dir))
}
