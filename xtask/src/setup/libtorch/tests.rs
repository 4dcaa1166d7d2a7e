use super::*;

fn libtorch_in(folder: &Path, version: &str) {
    fs::create_dir_all(folder.join("lib")).unwrap();
    fs::write(folder.join("lib/libtorch_cpu.so"), "").unwrap();
    let python = folder.join("python/torch/lib");
    fs::create_dir_all(&python).unwrap();
    fs::write(python.join(NO_CUDA), "").unwrap();
    fs::write(folder.join("build-version"), version).unwrap();
}

#[test]
fn only_the_pinned_version_with_its_library_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!complete(folder.path()));
    libtorch_in(folder.path(), "2.12.0\n");
    assert!(!complete(folder.path()));
    libtorch_in(folder.path(), "2.13.0\n");
    assert!(complete(folder.path()));
    fs::remove_file(folder.path().join("lib/libtorch_cpu.so")).unwrap();
    assert!(!complete(folder.path()));
}

#[test]
fn each_python_gets_its_own_wheel_and_a_foreign_one_the_usual() {
    for (tag, hash) in TORCH {
        assert_eq!(wheel(tag), (tag, hash));
        assert_eq!(hash.len(), 64);
    }
    for tag in ["cp27", ""] {
        assert_eq!(wheel(tag).0, "cp311");
    }
}

#[test]
fn an_own_libtorch_without_the_library_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let text = check_own(folder.path()).unwrap_err().to_string();
    assert!(
        text.contains("no lib/libtorch_cpu.so") && text.contains("unset it"),
        "{text}"
    );
    libtorch_in(folder.path(), "anything: the user knows");
    check_own(folder.path()).unwrap();
}

#[test]
fn a_killed_download_is_cleared_away_by_the_next_one_and_a_running_one_is_not() {
    let cache = tempfile::tempdir().unwrap();
    let of = |process: u32| cache.path().join(format!("{STAGING}{process}"));
    let (dead, alive) = (of(u32::MAX), of(1));
    fs::create_dir_all(dead.join("half")).unwrap();
    fs::create_dir_all(&alive).unwrap();
    let staging = Staging::new(cache.path()).unwrap();
    assert!(!dead.exists() && alive.exists());
    fs::write(staging.0.join("torch.whl"), [0; 1000]).unwrap();
    fs::create_dir(staging.0.join("venv")).unwrap();
    fs::write(staging.0.join("venv/x"), [0; 24]).unwrap();
    assert_eq!(size(&staging.0), 1024);
    let own = staging.0.clone();
    drop(staging);
    assert!(!own.exists(), "nothing is left behind");
}

#[test]
fn pip_says_its_version() {
    assert_eq!(
        pip_version("pip 23.2.1 from /usr/lib/python3 (python 3.11)"),
        Some(23)
    );
    assert_eq!(pip_version("No module named pip"), None);
    assert!(pip_version("") < Some(OLDEST_PIP));
}
