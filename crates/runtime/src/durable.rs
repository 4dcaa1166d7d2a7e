//! Small files and folders that a power loss leaves whole: a file is replaced so that either the old or
//! the new content is there, a folder is made with its name.

pub mod number;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes aside, syncs, renames, syncs the folder. When it returns, the new content is on the
/// medium; until then the old one is.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let aside = path.with_file_name(name);
    let mut file = File::create(&aside)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(&aside, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
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
