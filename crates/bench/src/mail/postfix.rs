//! Postfix as Debian packages it, unpacked and not installed: a whole instance with directories of
//! its own, and its `smtp-sink`.

use super::server::{Program, Server};
use super::{Certificate, HOST};
use crate::Failure;
use crate::ports::Ports;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the programs find their own libraries by.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// Folders of its queue that belong to its user alone.
const QUEUE: [&str; 11] = [
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
    "saved", "trace",
];

/// Folders of its queue in which a message lies that is still to be delivered.
const UNDELIVERED: [&str; 4] = ["maildrop", "incoming", "active", "deferred"];

/// In which it must have delivered what it accepted: it throws everything away.
const PATIENCE: Duration = Duration::from_secs(120);

/// The services of Debian's `master.cf` that this needs, none of them in a chroot.
const SERVICES: &str = "\
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
anvil     unix  - - n -     1 anvil
showq     unix  n - n -     - showq
";

/// Where Postfix was unpacked.
#[derive(Clone)]
pub struct Postfix {
    usr: PathBuf,
}

impl Postfix {
    /// What `cargo xtask setup --for bench` brings.
    pub fn find() -> Result<Self, Failure> {
        let usr = super::tools().join("postfix/usr");
        match usr.join("sbin/smtp-source").canonicalize() {
            Ok(_) => Ok(Self {
                usr: usr.canonicalize()?,
            }),
            Err(_) => Err(
                "Postfix is missing: this benchmark sends with its smtp-source and compares \
                 with it; `cargo xtask setup --for bench` unpacks Debian's package"
                    .into(),
            ),
        }
    }

    fn libraries(&self) -> PathBuf {
        self.usr.join("lib/postfix")
    }

    /// One of its programs, to be run to its end.
    pub fn command(&self, program: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(self.usr.join(program));
        command.env(LIBRARIES, self.libraries());
        command
    }

    /// A whole Postfix with its defaults: it syncs each message before it acknowledges. Mail for the
    /// house goes to its `discard` transport.
    pub async fn start(
        &self,
        dir: &Path,
        certificate: &Certificate,
        ports: &mut Ports,
    ) -> Result<Server, Failure> {
        if !is_root()? {
            return Err("its master process runs as root only".into());
        }
        let address = ports.free()?;
        let (owner, group) = (
            account("/etc/passwd", &["postfix", "daemon"])?,
            account("/etc/group", &["postdrop", "mail"])?,
        );
        let configuration = dir.join("etc");
        fs::create_dir_all(&configuration)?;
        folders(dir, owner.id, group.id)?;
        let text = self.configuration(dir, certificate, &owner.name, &group.name);
        fs::write(configuration.join("main.cf"), text)?;
        let door = format!("{address} inet n - n - - smtpd\n{SERVICES}");
        fs::write(configuration.join("master.cf"), door)?;
        let mut command = Command::new(self.usr.join("lib/postfix/sbin/master"));
        command
            .env(LIBRARIES, self.libraries())
            // -d keeps its standard error, for the complaint about a bad start; it then leads a group only
            // if we make one, and it ends its processes by that.
            .args(["-d", "-c"])
            .arg(&configuration)
            .process_group(0);
        let program = Program::start(command, File::create(dir.join("log"))?)?;
        Server::of("Postfix", address, program, Some(dir.join("queue"))).await
    }

    fn configuration(
        &self,
        dir: &Path,
        certificate: &Certificate,
        owner: &str,
        group: &str,
    ) -> String {
        let (usr, dir) = (self.usr.display(), dir.display());
        format!(
            "compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
daemon_directory = {usr}/lib/postfix/sbin
command_directory = {usr}/sbin
shlib_directory = {usr}/lib/postfix
meta_directory = {usr}/../etc/postfix
mail_owner = {owner}
setgid_group = {group}
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C {LIBRARIES}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = {HOST}.example
mydestination =
mynetworks = 127.0.0.0/8
relay_domains = house.example
relay_transport = discard:
default_transport = discard:
alias_maps =
alias_database =
smtpd_tls_security_level = may
smtpd_tls_cert_file = {}
smtpd_tls_key_file = {}
",
            certificate.certificate.display(),
            certificate.key.display(),
        )
    }

    /// Its `smtp-sink`, which throws away what it gets.
    pub async fn sink(&self, files: usize, ports: &mut Ports) -> Result<Server, Failure> {
        let address = ports.free()?;
        let mut command = super::with_files(files, &self.usr.join("sbin/smtp-sink"));
        command.env(LIBRARIES, self.libraries());
        if is_root()? {
            command.args(["-u", "nobody"]);
        }
        command.args(["-m", &files.to_string(), &address.to_string(), "1000"]);
        let program = Program::start(command, None)?;
        Server::of("smtp-sink", address, program, None).await
    }
}

/// Waits until nothing in the queue is to be delivered.
pub(super) async fn delivered(queue: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !UNDELIVERED
        .iter()
        .all(|name| holds_nothing(&queue.join(name)))
    {
        if Instant::now() > deadline {
            return Err(
                format!("it holds mail that it should have discarded within {PATIENCE:?}").into(),
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// `deferred` and its like are trees of folders.
fn holds_nothing(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().all(|entry| {
        let path = entry.path();
        path.is_dir() && holds_nothing(&path)
    })
}

fn folders(dir: &Path, owner: u32, group: u32) -> Result<(), Failure> {
    let make = |path: &Path, mode: u32, owner: Option<u32>, group: Option<u32>| {
        DirBuilder::new().mode(mode).create(path)?;
        chown(path, owner, group)
    };
    let queue = dir.join("queue");
    make(&queue, 0o755, None, None)?;
    make(&queue.join("pid"), 0o755, None, None)?;
    make(&queue.join("public"), 0o710, Some(owner), Some(group))?;
    make(&queue.join("maildrop"), 0o730, Some(owner), Some(group))?;
    for name in QUEUE {
        make(&queue.join(name), 0o700, Some(owner), None)?;
    }
    make(&dir.join("data"), 0o700, Some(owner), None)?;
    Ok(())
}

fn is_root() -> Result<bool, Failure> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

#[derive(Debug, PartialEq, Eq)]
struct Account {
    name: String,
    id: u32,
}

/// The first of these users or groups that the system has: Postfix's own, or one that nobody uses.
fn account(file: &str, names: &[&str]) -> Result<Account, Failure> {
    let text = fs::read_to_string(file)?;
    let found = names.iter().find_map(|name| lookup(&text, name));
    found.ok_or_else(|| format!("{file} has none of {}", names.join(", ")).into())
}

fn lookup(text: &str, name: &str) -> Option<Account> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()?;
        let id = fields.nth(1)?.parse().ok()?;
        (found == name).then(|| Account {
            name: name.to_owned(),
            id,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_names() {
        let text = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\n";
        let daemon = Account {
            name: "daemon".to_owned(),
            id: 1,
        };
        assert_eq!(lookup(text, "daemon"), Some(daemon));
        assert_eq!(lookup(text, "postfix"), None);
    }

    #[test]
    fn a_queue_is_empty_when_only_folders_are_left() {
        let dir = tempfile::TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("A/B")).unwrap();
        assert!(holds_nothing(dir.path()));
        fs::write(dir.path().join("A/B/mail"), "x").unwrap();
        assert!(!holds_nothing(dir.path()));
    }
}
