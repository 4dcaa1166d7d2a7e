//! Small files and folders that a power loss leaves whole: a file is replaced so that either the old or
//! the new content is there, a folder is made with its name.

pub mod number;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Writes aside, syncs, renames, syncs the folder. When it returns, the new content is on the
/// medium; until then the old one is.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    put(
        path,
        options.write(true).create(true).truncate(true),
        content,
    )
}

/// As [`replace`], for what only its owner may read.
pub fn replace_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    // One that a crash left may be readable by others.
    match fs::remove_file(aside(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = File::options();
    put(
        path,
        options.write(true).create_new(true).mode(0o600),
        content,
    )
}

fn put(path: &Path, options: &OpenOptions, content: &[u8]) -> io::Result<()> {
    let aside = aside(path);
    let mut file = options.open(&aside)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(&aside, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Files on their way out, so that nobody takes what is left of one for damage.
const GONE: &str = "gone";

/// Removes files of the folder `dir` for good: their first `head` bytes are overwritten before their names
/// go. What stands behind is unreadable from then on if the head holds what its keys need, as far as the
/// medium writes in place (a flash translation layer or a copying file system may keep the old blocks).
pub fn destroy(dir: &Path, files: &[&Path], head: usize) -> io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let gone: Vec<PathBuf> = files
        .iter()
        .map(|path| path.with_added_extension(GONE))
        .collect();
    for (path, gone) in files.iter().zip(&gone) {
        fs::rename(path, gone)?;
    }
    // Before anything is overwritten: after a power cut a file must not have its name and no head.
    sync_dir(dir)?;
    gone.iter()
        .try_for_each(|path| wipe_and_remove(path, head))?;
    sync_dir(dir)
}

/// Goes on where a crash left [`destroy`].
pub fn finish_destroying(dir: &Path, head: usize) -> io::Result<()> {
    let mut left = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == GONE) {
            left.push(path);
        }
    }
    left.iter().try_for_each(|path| wipe_and_remove(path, head))
}

fn wipe_and_remove(path: &Path, head: usize) -> io::Result<()> {
    wipe(&File::options().write(true).open(path)?, head)?;
    fs::remove_file(path)
}

/// Overwrites the first `head` bytes of a file, as far as it has them.
pub fn wipe(file: &File, head: usize) -> io::Result<()> {
    let there = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    file.write_all_at(&vec![0; there.min(head)], 0)?;
    file.sync_data()
}

/// Sees to it that the folder `dir` is there, with all above it, and that its name is on the medium:
/// syncing a folder keeps the names in it, not its own, and with that everything below would be gone.
///
/// Also for a folder that is there already: whoever made it may have died before its name was synced.
pub fn create_dir(dir: &Path) -> io::Result<()> {
    let Some(parent) = dir.parent() else {
        return Ok(()); // the root
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    if !parent.is_dir() {
        create_dir(parent)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => sync_dir(parent),
        Err(_) if dir.is_dir() => match sync_dir(parent) {
            // Somebody else's folder, in which somebody else made ours: its name is theirs to keep.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        },
        Err(error) => Err(error),
    }
}

/// Created, renamed and removed names in `dir` are on the medium afterwards.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_content_stays_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        // A leftover of a crash is in nobody's way.
        fs::write(dir.path().join("mark.new"), b"half").unwrap();
        replace(&path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        // A folder in the way: refused, and the old content stands.
        fs::create_dir(dir.path().join("mark.new")).unwrap();
        replace(&path, b"four").unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"three");
    }

    #[test]
    fn a_secret_is_never_readable_by_others() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let aside = dir.path().join("key.new");
        fs::write(&aside, b"half").unwrap();
        fs::set_permissions(&aside, PermissionsExt::from_mode(0o644)).unwrap();
        replace_secret(&path, b"secret").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_destroyed_has_no_head_any_more_and_a_crash_does_not_stop_it() {
        let dir = tempfile::tempdir().unwrap();
        let [path, witness] = ["file", "witness"].map(|name| dir.path().join(name));
        for interrupted in [false, true] {
            fs::write(&path, b"headbody").unwrap();
            // Another name of the same blocks.
            fs::hard_link(&path, &witness).unwrap();
            if interrupted {
                fs::rename(&path, dir.path().join("file.gone")).unwrap();
                finish_destroying(dir.path(), 4).unwrap();
            } else {
                destroy(dir.path(), &[&path], 4).unwrap();
            }
            assert_eq!(fs::read(&witness).unwrap(), b"\0\0\0\0body");
            fs::remove_file(&witness).unwrap();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
        fs::write(&path, b"x").unwrap();
        destroy(dir.path(), &[&path], 4).unwrap();
        assert!(!path.exists(), "shorter than its head");
    }

    #[test]
    fn a_folder_is_made_with_all_above_it_and_may_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        create_dir(&path).unwrap();
        fs::write(path.join("kept"), b"x").unwrap();
        create_dir(&path).unwrap();
        assert!(path.join("kept").is_file());
        create_dir(Path::new("/")).unwrap();
        // A file in the way is no folder.
        create_dir(&path.join("kept")).unwrap_err();
        create_dir(&path.join("kept/below")).unwrap_err();
    }
}
