//! A network of the test's own: a namespace per host, joined by a bridge in one more. Nothing of the
//! machine's network is touched, and every test has the same addresses (198.18.0.0/15, RFC 2544: for tests
//! of network equipment).

use super::Peer;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Pseudo-offset at which a classic BPF program loads a random word (SKF_AD_OFF + SKF_AD_RANDOM).
const RANDOM: u32 = 0xffff_f000 + 56;

static MADE: AtomicU32 = AtomicU32::new(0);

/// Hosts 1 to `hosts`, gone with this value.
pub(crate) struct Net {
    tag: String,
    hosts: u8,
}

impl Net {
    pub(crate) fn of(hosts: u8) -> Self {
        sweep();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let net = Self {
            tag: format!("ghdds-{}-{number}", std::process::id()),
            hosts,
        };
        let hub = net.space(0);
        run("ip", &format!("netns add {hub}"));
        run(
            "ip",
            &format!("-n {hub} link add br0 type bridge mcast_snooping 0"),
        );
        run("ip", &format!("-n {hub} link set br0 up"));
        for host in 1..=hosts {
            let (space, address) = (net.space(host), Self::address(host));
            run("ip", &format!("netns add {space}"));
            run(
                "ip",
                &format!("-n {hub} link add p{host} type veth peer name eth0 netns {space}"),
            );
            run("ip", &format!("-n {hub} link set p{host} master br0 up"));
            run("ip", &format!("-n {space} link set lo up"));
            run(
                "ip",
                &format!("-n {space} address add {address}/24 dev eth0"),
            );
            run("ip", &format!("-n {space} link set eth0 up"));
            run("ip", &format!("-n {space} route add default dev eth0"));
        }
        net
    }

    pub(crate) fn address(host: u8) -> String {
        format!("198.18.0.{host}")
    }

    fn space(&self, host: u8) -> String {
        format!("{}-{host}", self.tag)
    }

    /// `program` on this host; the process is the program itself, so signals reach it.
    pub(crate) fn on(&self, host: u8, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.space(host)])
            .arg(program);
        command
    }

    /// `dds-peer` on this host in a mode that says when it is ready, with options that come before it.
    pub(crate) fn peer(&self, host: u8, options: &[&str], mode: &str) -> Peer {
        let peer = self.start(host, options, mode);
        peer.wait_ready();
        peer
    }

    /// The same, not waiting.
    pub(crate) fn start(&self, host: u8, options: &[&str], mode: &str) -> Peer {
        let mut command = self.on(host, Path::new(env!("CARGO_BIN_EXE_dds-peer")));
        command.args(["--interface", &Self::address(host)]);
        command.args(options).args([mode, "0", "", "room"]);
        Peer::run(command)
    }

    /// A thread whose sockets are this host's.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        host: u8,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let path = Path::new("/run/netns").join(self.space(host));
        let namespace = std::fs::File::open(path).expect("the namespace is there");
        std::thread::spawn(move || {
            enter(&namespace);
            work()
        })
    }

    /// UDP datagrams that reached a program on this host.
    pub(crate) fn heard(&self, host: u8) -> u64 {
        let counters = self.inside(host, || {
            std::fs::read_to_string("/proc/thread-self/net/snmp")
        });
        let counters = counters
            .join()
            .expect("no panic")
            .expect("the kernel counts");
        let numbers = counters.lines().rfind(|line| line.starts_with("Udp: "));
        let heard = numbers.and_then(|line| line.split(' ').nth(1));
        heard
            .and_then(|heard| heard.parse().ok())
            .expect("a number")
    }

    /// From now on this host does not hear a share of what is sent to it, in thousandths.
    pub(crate) fn lose(&self, host: u8, thousandths: u32) {
        let space = self.space(host);
        run("tc", &format!("-n {space} qdisc add dev eth0 clsact"));
        // Load a random word; below the bound: drop (2), else pass (0).
        let code = below(thousandths, 2, 0);
        let words =
            format!("-n {space} filter add dev eth0 ingress pref 1 protocol all bpf da bytecode");
        run_with("tc", words.split(' ').chain([code.as_str()]));
    }

    /// From now on a share of what this host sends is late, and overtaken by the rest: it goes through a
    /// class of HTB with little bandwidth (netem, which is meant for this, is missing from many kernels).
    pub(crate) fn disorder(&self, host: u8, thousandths: u32) {
        let space = self.space(host);
        let tc = |words: &str| run("tc", &format!("-n {space} {words}"));
        tc("qdisc add dev eth0 root handle 1: htb default 1 direct_qlen 1000");
        tc(
            "class add dev eth0 parent 1: classid 1:1 htb rate 10gbit burst 1m cburst 1m quantum 60000",
        );
        tc(
            "class add dev eth0 parent 1: classid 1:2 htb rate 20mbit burst 1600 cburst 1600 quantum 1600",
        );
        // A filter that is no direct action returns the class.
        let code = below(thousandths, 0x1_0002, 0x1_0001);
        let words =
            format!("-n {space} filter add dev eth0 parent 1: pref 1 protocol all bpf bytecode");
        run_with("tc", words.split(' ').chain([code.as_str()]));
    }

    /// Packets that took the slow class.
    pub(crate) fn disordered(&self, host: u8) -> u64 {
        let space = self.space(host);
        let shown = Command::new("tc")
            .args([
                "-n", &space, "-s", "class", "show", "dev", "eth0", "classid", "1:2",
            ])
            .output();
        let shown = String::from_utf8(shown.expect("tc runs").stdout).expect("text");
        let after = shown
            .split(" bytes ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        after.and_then(|packets| packets.parse().ok()).unwrap_or(0)
    }

    /// What the host's programs find in /etc/hosts from their start on; can be changed while they run.
    pub(crate) fn names(&self, host: u8, text: &str) {
        let folder = self.etc(host);
        std::fs::create_dir_all(&folder).expect("a folder for the namespace");
        // In place: programs of the namespace see this very file.
        std::fs::write(folder.join("hosts"), text).expect("names are written");
        std::fs::write(folder.join("nsswitch.conf"), "hosts: files\n").expect("names are written");
    }

    fn etc(&self, host: u8) -> PathBuf {
        PathBuf::from("/etc/netns").join(self.space(host))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for host in 0..=self.hosts {
            let _ = Command::new("ip")
                .args(["netns", "del", &self.space(host)])
                .status();
            let _ = std::fs::remove_dir_all(self.etc(host));
        }
    }
}

#[expect(unsafe_code, reason = "setns(2) takes a descriptor and a number")]
fn enter(namespace: &std::fs::File) {
    // SAFETY: the descriptor is open; only the calling thread moves.
    let code = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
}

/// Removes what test processes that were killed have left.
fn sweep() {
    let names = std::fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name
            .strip_prefix("ghdds-")
            .and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another test may be at it, too.
            let _ = Command::new("ip")
                .args(["netns", "del", &name])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// A classic BPF program: `yes` in that share of cases, else `no`.
fn below(thousandths: u32, yes: u32, no: u32) -> String {
    let bound = u64::from(thousandths) * (1 << 32) / 1000;
    let bound = u32::try_from(bound).unwrap_or(u32::MAX);
    format!("4,32 0 0 {RANDOM},53 1 0 {bound},6 0 0 {yes},6 0 0 {no}")
}

fn run(program: &str, arguments: &str) {
    run_with(program, arguments.split(' '));
}

fn run_with<'a>(program: &str, arguments: impl Iterator<Item = &'a str>) {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = command.output().unwrap_or_else(|error| {
        panic!("{program} does not start ({error}): it comes with the package iproute2, which `cargo xtask setup` brings")
    });
    assert!(
        output.status.success(),
        "{command:?} failed: {}; the network tests make namespaces, for which they must be run as root",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}
