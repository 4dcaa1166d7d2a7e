use super::*;
use runtime::journal::{Journal, JournalOptions, OpenError};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn configuration(dir: &Path) -> Config {
    let text = r#"
[node]
name = "solo"
data_dir = "data"
[cluster]
name = "test"
listen = "127.0.0.1:7000"
identity = "node.identity"
[[cluster.peer]]
name = "solo"
address = "127.0.0.1:7000"
identity = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
[mailbox]
listen = "127.0.0.1:2525"
domains = ["glasshouse.example"]
[dds]
domain = 1
"#;
    fs::create_dir_all(dir.join("data")).unwrap();
    fs::write(dir.join("node.toml"), text).unwrap();
    config::load(&dir.join("node.toml")).unwrap()
}

fn vault(dir: &Path) -> Result<Arc<Vault>, KeyFileError> {
    let data = dir.join("data");
    let config = configuration(dir);
    Vault::of_node(&config, &[&data.join("mail")], &data.join("quarantine")).map(Arc::new)
}

fn options(vault: &Arc<Vault>, epoch: &watch::Sender<KeyEpoch>) -> JournalOptions {
    JournalOptions {
        cipher: Some(Arc::new(JournalKeys::new(
            vault.clone(),
            Purpose::MailJournal,
            epoch.subscribe(),
        ))),
        ..JournalOptions::default()
    }
}

async fn append(dir: &Path, vault: &Arc<Vault>, payloads: &[&str]) {
    let epoch = watch::Sender::new(KeyEpoch(0));
    let (journal, _) = Journal::open(dir.join("data/mail"), options(vault, &epoch)).unwrap();
    for (payload, number) in payloads.iter().zip(1..) {
        epoch.send_replace(KeyEpoch(number));
        journal.append(payload.as_bytes().to_vec()).await.unwrap();
    }
}

fn read(dir: &Path, vault: &Arc<Vault>) -> Result<Vec<String>, OpenError> {
    let epoch = watch::Sender::new(KeyEpoch(0));
    let (journal, _) = Journal::open(dir.join("data/mail"), options(vault, &epoch))?;
    let text = |payload| String::from_utf8(payload).unwrap();
    let records = journal.read_from(1)?;
    records
        .map(|record| record.map(|record| text(record.payload)))
        .collect()
}

#[tokio::test]
async fn mails_are_sealed_under_the_key_that_was_made_and_read_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = vault(dir.path()).unwrap();
    let key = dir.path().join("data/wrapping.key");
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    append(dir.path(), &first, &["one MARKER", "two MARKER"]).await;
    for entry in fs::read_dir(dir.path().join("data/mail")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"MARKER"));
    }
    let again = vault(dir.path()).unwrap();
    assert_eq!(
        read(dir.path(), &again).unwrap(),
        ["one MARKER", "two MARKER"]
    );
}

/// The file and its copy.
fn both(dir: &Path) -> [PathBuf; 2] {
    ["wrapping.key", "wrapping.key.copy"].map(|name| dir.join("data").join(name))
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_missing_damaged_exposed_or_other_key_is_told_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), &vault(dir.path()).unwrap(), &["one"]).await;
    let files = both(dir.path());
    let whole = fs::read(&files[0]).unwrap();
    let refused = |what: &str| {
        let error = vault(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("wrapping.key") && error.contains(what),
            "{error}"
        );
    };

    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    refused("is missing");
    assert!(!files[0].exists(), "no new one is made");
    for at in 0..whole.len() {
        let mut turned = whole.clone();
        turned[at] ^= 1;
        files.iter().for_each(|file| put(file, &turned));
        refused("line 1");
        files.iter().for_each(|file| put(file, &whole[..at]));
        refused("line 1");
    }
    files.iter().for_each(|file| put(file, &whole));
    fs::set_permissions(&files[1], PermissionsExt::from_mode(0o640)).unwrap();
    refused("chmod 600");

    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    add(&files[0]).unwrap();
    let other = vault(dir.path()).unwrap();
    let error = read(dir.path(), &other).unwrap_err().to_string();
    assert!(
        error.contains("wrapping.key")
            && error.contains(".journal")
            && error.contains("put that one back"),
        "{error}"
    );
    // The right one is put back into one of the two files: no key is given up.
    put(&files[0], &whole);
    assert_eq!(
        read(dir.path(), &vault(dir.path()).unwrap()).unwrap(),
        ["one"]
    );
    assert_eq!(ids(&files[0]).unwrap().len(), 2);
    put(&files[0], &whole);
    put(&files[1], &whole);
    assert_eq!(
        read(dir.path(), &vault(dir.path()).unwrap()).unwrap(),
        ["one"]
    );
}

#[tokio::test]
async fn one_copy_of_the_key_is_enough_and_the_other_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), &vault(dir.path()).unwrap(), &["one"]).await;
    let files = both(dir.path());
    let whole = fs::read(&files[0]).unwrap();
    for broken in &files {
        for content in [None, Some(&b""[..]), Some(&whole[..40])] {
            match content {
                Some(content) => put(broken, content),
                None => fs::remove_file(broken).unwrap(),
            }
            let vault = vault(dir.path()).unwrap();
            assert_eq!(read(dir.path(), &vault).unwrap(), ["one"]);
            for file in &files {
                assert_eq!(fs::read(file).unwrap(), whole);
                assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
            }
        }
    }
}

#[tokio::test]
async fn a_new_key_takes_over_and_the_former_ones_still_open() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("data/wrapping.key");
    append(dir.path(), &vault(dir.path()).unwrap(), &["one"]).await;
    let before = ids(&key).unwrap();
    add(&key).unwrap();
    let now = ids(&key).unwrap();
    assert_eq!((now.len(), now[1]), (2, before[0]));
    append(dir.path(), &vault(dir.path()).unwrap(), &["two"]).await;
    assert_eq!(
        read(dir.path(), &vault(dir.path()).unwrap()).unwrap(),
        ["one", "two"]
    );
}

#[tokio::test]
async fn a_journal_of_an_older_release_is_read_on() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let mail = dir.path().join("data/mail");
    let (journal, _) = Journal::open(&mail, JournalOptions::default()).unwrap();
    journal.append(b"plain".to_vec()).await.unwrap();
    drop(journal);
    let vault = vault(dir.path()).unwrap();
    append(dir.path(), &vault, &["sealed"]).await;
    assert_eq!(read(dir.path(), &vault).unwrap(), ["plain", "sealed"]);
    assert!(journal::holds_sealed(&mail).unwrap());
}
