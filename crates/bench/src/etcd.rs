//! etcd, from Debian's package or any other one.

use crate::Failure;
use crate::group::MemberPlan;
use crate::ports::Ports;
use std::path::{Path, PathBuf};

/// Names the binary, before the path is searched.
pub const VARIABLE: &str = "ETCD";

/// Where `deploy/tools/fetch-etcd.sh` unpacks Debian's package, from the repository's root.
const UNPACKED: &str = ".tools/etcd/usr/bin/etcd";

/// How members talk to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerLinks {
    /// etcd's default.
    Plain,
    /// TLS with certificates on both sides, as ours are always encrypted.
    Tls,
}

/// The program: `$ETCD`, what was unpacked in the repository, or from the path.
pub fn find() -> Result<PathBuf, Failure> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(UNPACKED);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("etcd"));
    let found = named
        .into_iter()
        .chain([unpacked])
        .chain(on_path)
        .find(|file| file.is_file());
    found.ok_or_else(|| {
        format!(
            "etcd is missing: this benchmark compares with it; `cargo xtask setup --for bench` \
             unpacks Debian's package etcd-server, or let {VARIABLE} name the program"
        )
        .into()
    })
}

/// `count` members with their data under `dir`, as they come: heartbeat, election and fsync are
/// etcd's defaults.
pub fn plans(
    program: &Path,
    count: usize,
    dir: &Path,
    links: PeerLinks,
    ports: &mut Ports,
) -> Result<Vec<MemberPlan>, Failure> {
    let scheme = match links {
        PeerLinks::Plain => "http",
        PeerLinks::Tls => "https",
    };
    std::fs::create_dir_all(dir)?;
    let certificate = match links {
        PeerLinks::Plain => None,
        PeerLinks::Tls => Some(certificate(dir)?),
    };
    let mut addresses = Vec::new();
    for _ in 0..count {
        addresses.push((ports.free()?, ports.free()?));
    }
    let name = |at: usize| format!("member{at}");
    let cluster: Vec<String> = (0..count)
        .map(|at| format!("{}={scheme}://{}", name(at), addresses[at].1))
        .collect();
    let plan = |at: usize| {
        let (clients, peers) = addresses[at];
        let mut arguments: Vec<String> = Vec::new();
        let mut set = |flag: &str, value: String| arguments.push(format!("--{flag}={value}"));
        set("name", name(at));
        set("data-dir", dir.join(name(at)).display().to_string());
        set("listen-client-urls", format!("http://{clients}"));
        set("advertise-client-urls", format!("http://{clients}"));
        set("listen-peer-urls", format!("{scheme}://{peers}"));
        set("initial-advertise-peer-urls", format!("{scheme}://{peers}"));
        set("initial-cluster", cluster.join(","));
        set("initial-cluster-state", "new".to_owned());
        set("initial-cluster-token", dir.display().to_string());
        set("logger", "zap".to_owned());
        set("log-level", "error".to_owned());
        if let Some((certificate, key)) = &certificate {
            set("peer-cert-file", certificate.clone());
            set("peer-key-file", key.clone());
            set("peer-trusted-ca-file", certificate.clone());
            set("peer-client-cert-auth", "true".to_owned());
        }
        MemberPlan {
            program: program.to_owned(),
            arguments,
            clients,
            log: dir.join(format!("{}.log", name(at))),
        }
    };
    Ok((0..count).map(plan).collect())
}

/// A certificate for 127.0.0.1 that signs itself, and its key, as files.
fn certificate(dir: &Path) -> Result<(String, String), Failure> {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let signed = params.self_signed(&key)?;
    let (certificate, key_file) = (dir.join("peer.crt"), dir.join("peer.key"));
    std::fs::write(&certificate, signed.pem())?;
    std::fs::write(&key_file, key.serialize_pem())?;
    Ok((
        certificate.display().to_string(),
        key_file.display().to_string(),
    ))
}
