//! libtorch from the PyPI wheel of torch, pinned by hash, and out of the same wheel Python's torch (docs/decisions/0003).

use super::apt::Apt;
use super::tools::find_program;
use crate::command::{Command, Failure, doing};
use crate::place::Place;
use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The one version that tch 0.26.0 binds.
const VERSION: &str = "2.13.0";

/// What comes over the network, in MB; for the progress line only.
const DOWNLOAD_MB: u64 = 539;

/// The wheel for each Python, whose torch is in it. Any machine gets the same bytes as others with its Python, or nothing.
const TORCH: [(&str, &str); 5] = [
    (
        "cp310",
        "c78b7b4d04461855a764cf01bae9a462bb88bc93defcfa11235cbc8fdf3e12c4",
    ),
    (
        "cp311",
        "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
    ),
    (
        "cp312",
        "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b",
    ),
    (
        "cp313",
        "a3a9a21312872af8a26950b2c15680335a386a1f56ed03e780653d78b9607e9e",
    ),
    (
        "cp314",
        "49f1ea385c754e54919408a9bb3b5a72b0b755bbe2c916c1d6f70afbec4908a2",
    ),
];

/// The one whose libtorch is used where the Python is another or none.
const USUAL: usize = 1;

/// Two small ones whose libraries `libtorch_cpu.so` names.
const WHEELS: &str = "\
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
";

/// The wheels' tags, said outright: the interpreter that downloads need not match them. Beside these, version and ABI.
const TAGS: [&str; 10] = [
    "--implementation",
    "cp",
    "--abi",
    "none",
    "--platform",
    "manylinux_2_28_x86_64",
    "--platform",
    "manylinux_2_25_x86_64",
    "--platform",
    "manylinux2014_x86_64",
];

/// The oldest pip that takes `--platform` more than once.
const OLDEST_PIP: u32 = 21;

/// Makes `.libtorch` lead to a libtorch, unless LIBTORCH leads to another one.
pub(super) fn bring(place: &Place) -> Result<(), Failure> {
    let link = place.libtorch();
    if let Some(own) =
        std::env::var_os("LIBTORCH").filter(|own| !own.is_empty() && Path::new(own) != link)
    {
        return check_own(&place.root.join(own));
    }
    if complete(&link) {
        return Ok(());
    }
    let (tag, hash) = wheel(&python_tag());
    let home = place.cache.join(format!("libtorch-{VERSION}-{tag}"));
    if !complete(&home) {
        fetch(place, &home, (tag, hash))?;
    }
    match fs::symlink_metadata(&link) {
        Ok(found) if found.file_type().is_symlink() => {
            doing(link.display(), fs::remove_file(&link))?
        }
        Ok(_) => {
            return Err(Failure::new(format!(
                "{} is not libtorch {VERSION}: move it away, or set LIBTORCH to the libtorch that you want",
                link.display()
            )));
        }
        Err(_) => {}
    }
    doing(link.display(), std::os::unix::fs::symlink(&home, &link))
}

/// The stamp is written last, and torch-sys checks it again.
fn complete(folder: &Path) -> bool {
    fs::read_to_string(folder.join("build-version")).is_ok_and(|version| version.trim() == VERSION)
        && folder.join("lib/libtorch_cpu.so").is_file()
        && folder.join("python/torch/lib").join(NO_CUDA).is_file()
}

/// `cp311` and its like; empty without a Python.
fn python_tag() -> String {
    let tag = "import sys; print('cp%d%d' % sys.version_info[:2])";
    let output = Command::new("python3").args(["-c", tag]).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn wheel(tag: &str) -> (&'static str, &'static str) {
    let found = TORCH.iter().find(|(of, _)| *of == tag);
    *found.unwrap_or(&TORCH[USUAL])
}

fn check_own(folder: &Path) -> Result<(), Failure> {
    if folder.join("lib/libtorch_cpu.so").is_file() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "LIBTORCH is {}, where there is no lib/libtorch_cpu.so: point it at a libtorch {VERSION}, or unset it and have one brought",
        folder.display()
    )))
}

/// Downloads into a folder beside `home` and moves the result into place when it is whole.
fn fetch(place: &Place, home: &Path, (tag, hash): (&str, &str)) -> Result<(), Failure> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(Failure::new(format!(
            "libtorch {VERSION} is pinned for Linux on x86-64 only: on this machine set LIBTORCH to a libtorch {VERSION} of your own"
        )));
    }
    doing(place.cache.display(), fs::create_dir_all(&place.cache))?;
    let staging = Staging::new(&place.cache)?;
    let begin = Instant::now();
    println!(
        "setup: libtorch {VERSION} is missing, downloading {DOWNLOAD_MB} MB to {}",
        place.cache.display()
    );
    let pip = Pip::find(&staging.0)?;
    let list = staging.0.join("wheels.txt");
    let wheels = format!("torch=={VERSION} --hash=sha256:{hash}\n{WHEELS}");
    doing(list.display(), fs::write(&list, wheels))?;
    let mut download = pip.command(&staging.0);
    download.args([
        "download",
        "--quiet",
        "--no-cache-dir",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]);
    download
        .args(["--python-version", &tag[2..], "--abi", tag])
        .args(TAGS)
        .arg("--dest")
        .arg(&staging.0)
        .arg("--requirement")
        .arg(&list);
    watch(&mut download, &staging.0).map_err(|_| {
        Failure::new(format!(
            "libtorch could not be downloaded, pip says above why: check the connection to PyPI (or PIP_INDEX_URL), or set LIBTORCH to a libtorch {VERSION} of your own"
        ))
    })?;
    let mut unpack = Command::new("python3");
    unpack
        .args(["-c", include_str!("unpack.py")])
        .arg(&staging.0);
    unpack.run_unattended()?;
    let made = staging.0.join("out/torch");
    without_cuda(&staging.0, &made.join("python/torch/lib"))?;
    doing(
        made.display(),
        fs::write(made.join("build-version"), format!("{VERSION}\n")),
    )?;
    if fs::rename(&made, home).is_err() && !complete(home) {
        // Something incomplete from elsewhere stands in the way.
        doing(home.display(), fs::remove_dir_all(home))?;
        doing(home.display(), fs::rename(&made, home))?;
    }
    println!(
        "setup: libtorch {VERSION} is in place after {:.0} s",
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// What stands for CUDA's libraries in Python's torch, and their names, which it is found under.
const NO_CUDA: &str = "libno_cuda.so";
const CUDA: [&str; 5] = [
    "libtorch.so",
    "libtorch_cuda.so",
    "libcudnn.so.9",
    "libcufile.so.0",
    "libnccl.so.2",
];

/// Python's torch of the wheel names libraries of 3 GB that nobody calls without a GPU: it gets one that has their
/// names.
fn without_cuda(staging: &Path, libraries: &Path) -> Result<(), Failure> {
    let (names, versions) = (staging.join("no_cuda.s"), staging.join("no_cuda.map"));
    doing(
        names.display(),
        fs::write(&names, include_str!("libtorch/no_cuda.s")),
    )?;
    let version = "libcudnn.so.9 { global: cudnnGetProperty; };\n";
    doing(versions.display(), fs::write(&versions, version))?;
    let mut link = Command::new("c++");
    link.args(["-shared", "-nostdlib", "-o"])
        .arg(libraries.join(NO_CUDA))
        .arg(format!("-Wl,--version-script={}", versions.display()))
        .arg(&names)
        .arg("-lstdc++");
    link.run_unattended()?;
    for name in CUDA {
        let link = libraries.join(name);
        doing(link.display(), std::os::unix::fs::symlink(NO_CUDA, &link))?;
    }
    Ok(())
}

/// Runs the download and tells of its progress by what has arrived: a line that rewrites itself
/// on a terminal, elsewhere one line every ten seconds.
fn watch(download: &mut Command, folder: &Path) -> Result<(), Failure> {
    let terminal = std::io::stdout().is_terminal();
    let pause = Duration::from_millis(200);
    let mut child = download.start()?;
    let mut told = Instant::now();
    let status = loop {
        if let Some(status) = doing("pip", child.try_wait())? {
            break status;
        }
        std::thread::sleep(pause);
        // A file is there twice while pip moves it.
        let arrived = (size(folder) / 1_000_000).min(DOWNLOAD_MB);
        if terminal {
            print!("\rsetup: {arrived} of {DOWNLOAD_MB} MB ");
            let _ = std::io::stdout().flush();
        } else if told.elapsed() >= Duration::from_secs(10) {
            told = Instant::now();
            println!("setup: {arrived} of {DOWNLOAD_MB} MB");
        }
    };
    if terminal {
        println!();
    }
    download.judge(status)
}

/// Bytes in all files below `folder`; files that vanish meanwhile do not count.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// A folder of this process; removed when done, and by the next one if we were killed.
struct Staging(PathBuf);

const STAGING: &str = ".libtorch-part-";

impl Staging {
    fn new(cache: &Path) -> Result<Self, Failure> {
        for entry in doing(cache.display(), fs::read_dir(cache))?.flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(STAGING));
            if owner.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
                doing(entry.path().display(), fs::remove_dir_all(entry.path()))?;
            }
        }
        let folder = cache.join(format!("{STAGING}{}", std::process::id()));
        doing(folder.display(), fs::create_dir_all(&folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Some pip that can do the download.
struct Pip {
    python: PathBuf,
}

impl Pip {
    /// The system's, else one in a virtual environment of its own, else the distribution's.
    fn find(staging: &Path) -> Result<Self, Failure> {
        if find_program("python3").is_none() {
            Self::install(&["python3", "python3-pip"])?;
        }
        let system = Self {
            python: "python3".into(),
        };
        if system.usable() {
            return Ok(system);
        }
        if let Some(own) = Self::in_venv(staging) {
            return Ok(own);
        }
        Self::install(&["python3-pip", "python3-venv"])?;
        if system.usable() {
            return Ok(system);
        }
        Self::in_venv(staging).ok_or_else(Self::missing)
    }

    fn install(packages: &[&str]) -> Result<(), Failure> {
        println!("setup: pip is missing, installing {}", packages.join(" "));
        Apt::find().ok_or_else(Self::missing)?.install(packages)
    }

    fn missing() -> Failure {
        Failure::new(format!(
            "pip is missing: libtorch is downloaded with it; get it with `sudo apt-get install python3-pip` (or `python3 -m ensurepip`), or set LIBTORCH to a libtorch {VERSION} of your own"
        ))
    }

    /// A throw-away environment with a recent pip.
    fn in_venv(staging: &Path) -> Option<Self> {
        let folder = staging.join("venv");
        let made = Command::new("python3")
            .args(["-m", "venv"])
            .arg(&folder)
            .output()
            .ok()?;
        let own = Self {
            python: folder.join("bin/python"),
        };
        if !made.status.success() {
            return None;
        }
        if !own.usable() {
            let newer = ["install", "--quiet", "--upgrade", "pip"];
            own.command(staging).args(newer).run_unattended().ok()?;
        }
        own.usable().then_some(own)
    }

    /// Everything temporary goes to `folder`: the system's own place may be small.
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command
            .args(["-m", "pip", "--disable-pip-version-check"])
            .with("TMPDIR", folder);
        command
    }

    fn usable(&self) -> bool {
        let output = Command::new(&self.python)
            .args(["-m", "pip", "--version"])
            .output();
        output.is_ok_and(|output| {
            pip_version(&String::from_utf8_lossy(&output.stdout)) >= Some(OLDEST_PIP)
        })
    }
}

/// `pip 23.2.1 from …` is 23.
fn pip_version(text: &str) -> Option<u32> {
    text.strip_prefix("pip ")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
