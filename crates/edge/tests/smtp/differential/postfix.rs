//! A Postfix of one's own: unpacked by `cargo xtask setup --for tests`, with all its folders in a temporary
//! one, holding whatever it accepts.

use std::fs::{self, DirBuilder, File, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LIBRARIES: &str = "LD_LIBRARY_PATH";
const PATIENCE: Duration = Duration::from_secs(20);
const QUEUE: [&str; 11] = [
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
    "saved", "trace",
];
const SERVICES: &str = "\
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
proxymap  unix  - - n -     - proxymap
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
anvil     unix  - - n -     1 anvil
";

/// Its master process, and where it listens.
pub(super) struct Postfix {
    dir: TempDir,
    master: Child,
    pub(super) port: u16,
}

impl Postfix {
    /// `None` without root, which its master process needs.
    pub(super) fn start() -> Option<Self> {
        if fs::metadata("/proc/self").expect("Linux").uid() != 0 {
            return None;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let usr = root.join(".tools/postfix/usr").canonicalize();
        let usr = usr.expect("Postfix is missing: run `cargo xtask setup --for tests`");
        let dir = TempDir::new().expect("a directory");
        // Postfix's processes change their user and still have to get here.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("ours");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let (owner, group) = (
            account("/etc/passwd", &["postfix", "daemon"]),
            account("/etc/group", &["postdrop", "mail"]),
        );
        folders(dir.path(), owner.1, group.1);
        let etc = dir.path().join("etc");
        fs::create_dir(&etc).expect("made");
        let main = configuration(&usr, dir.path(), &owner.0, &group.0);
        fs::write(etc.join("main.cf"), main).expect("written");
        let door = format!("127.0.0.1:{port} inet n - n - - smtpd\n{SERVICES}");
        fs::write(etc.join("master.cf"), door).expect("written");
        let log = File::create(dir.path().join("log")).expect("made");
        let master = Command::new(usr.join("lib/postfix/sbin/master"))
            .env(LIBRARIES, usr.join("lib/postfix"))
            .args(["-d", "-c"])
            .arg(&etc)
            // It ends its processes by their group.
            .process_group(0)
            .stdout(log.try_clone().expect("open"))
            .stderr(log)
            .spawn()
            .expect("starts");
        let mut postfix = Self { dir, master, port };
        postfix.wait();
        Some(postfix)
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let ended = self.master.try_wait().expect("our child");
            assert!(ended.is_none(), "Postfix ended: {ended:?}\n{}", log());
            assert!(
                Instant::now() < deadline,
                "Postfix does not listen\n{}",
                log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Messages it has accepted so far: they are all held.
    pub(super) fn accepted(&self) -> usize {
        files(&self.dir.path().join("queue/hold"))
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // SIGTERM: it then ends its processes.
        let pid = self.master.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.master.wait();
    }
}

fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

/// Its defaults, but for what belongs to the comparison: it is as strict as it can be, relays for nobody and says
/// so for good, refuses a bare LF (as Postfix advises since CVE-2023-51764), slows nothing down and holds every
/// message.
fn configuration(usr: &Path, dir: &Path, owner: &str, group: &str) -> String {
    let (usr, dir) = (usr.display(), dir.display());
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
myhostname = postfix.example
mydestination =
mynetworks = 192.0.2.1/32
relay_domains = house.example
relay_transport = discard:
default_transport = discard:
alias_maps =
alias_database =
message_size_limit = 4000
smtpd_forbid_bare_newline = reject
smtpd_forbid_bare_newline_exclusions =
smtpd_error_sleep_time = 0
smtpd_relay_restrictions = reject_unauth_destination
smtpd_helo_required = yes
strict_rfc821_envelopes = yes
smtpd_client_restrictions = check_client_access static:HOLD
"
    )
}

fn folders(dir: &Path, owner: u32, group: u32) {
    let make = |path: PathBuf, mode: u32, owner: Option<u32>, group: Option<u32>| {
        DirBuilder::new().mode(mode).create(&path).expect("made");
        chown(&path, owner, group).expect("as root");
    };
    let queue = dir.join("queue");
    make(queue.clone(), 0o755, None, None);
    make(queue.join("pid"), 0o755, None, None);
    make(queue.join("public"), 0o710, Some(owner), Some(group));
    make(queue.join("maildrop"), 0o730, Some(owner), Some(group));
    for name in QUEUE {
        make(queue.join(name), 0o700, Some(owner), None);
    }
    make(dir.join("data"), 0o700, Some(owner), None);
}

/// The first of these that the system has: Postfix's own, or one that nobody uses.
fn account(file: &str, names: &[&str]) -> (String, u32) {
    let text = fs::read_to_string(file).expect("a system with accounts");
    let find = |name: &&str| {
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()?;
            let id = fields.nth(1)?.parse().ok()?;
            (found == *name).then(|| (found.to_owned(), id))
        })
    };
    names.iter().find_map(find).expect("one of them")
}
