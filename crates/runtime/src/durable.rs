//! Replacing a small file so that a crash leaves either the old or the new content.

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
}
