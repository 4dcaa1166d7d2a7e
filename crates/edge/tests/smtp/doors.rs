//! The other doors: TLS from the first byte on, LMTP on a Unix socket, behind a load balancer.

use crate::house::*;
use edge::smtp::*;
use edge::tls::{self, Certified};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::Instant;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const ANY: &str = "127.0.0.1:0";

async fn with_implicit_tls(dir: &TempDir) -> (House, SocketAddr) {
    let any = ANY.parse().expect("an address");
    let house = House::start_with(dir, policy(), |config| config.implicit_tls = Some(any)).await;
    let at = house.server.implicit_tls_addr().expect("listens");
    (house, at)
}

/// `openssl s_client`, saying this.
async fn openssl(at: SocketAddr, arguments: &[&str], say: &'static str) -> Output {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &at.to_string()]);
    command.args(arguments);
    let run = tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl is there");
        let mut stdin = child.stdin.take().expect("piped");
        // A server that refused the handshake has closed already.
        let _ = stdin.write_all(say.as_bytes());
        child.wait_with_output().expect("it ends")
    });
    tokio::time::timeout(PATIENCE, run)
        .await
        .expect("in time")
        .expect("no panic")
}

#[tokio::test]
async fn openssl_and_swaks_deliver_with_tls_from_the_first_byte() {
    const DIALOGUE: &str = "EHLO c\r\nMAIL FROM:<ups@hall.example>\r\nRCPT TO:<telemetry@house.example>\r\nBDAT 14 LAST\r\nSubject: x\r\n\r\nQUIT\r\n";
    let dir = TempDir::new().expect("a directory");
    let (mut house, at) = with_implicit_tls(&dir).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let out = openssl(at, &[version], DIALOGUE).await;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.contains("250 2.0.0 stored as"), "{version}: {said}");
        assert!(!said.contains("STARTTLS"), "{said}");
        assert!(house.next().await.mail.tls);
    }
    let out = openssl(at, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], DIALOGUE).await;
    assert!(!String::from_utf8_lossy(&out.stdout).contains("220 "));
    let mut command = swaks(at.port());
    command.arg("--tls-on-connect");
    let out = output(command).await;
    succeeded(&out);
    let stored = house.next().await.mail;
    assert!(stored.tls && stored.device.is_none() && !stored.is_trusted());
    assert_eq!(house.counts().plaintext_payload_bytes, 0);
    assert_eq!(house.counts().handshakes_failed, 1);
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart_and_half_a_one_is_not() {
    let dir = TempDir::new().expect("a directory");
    let (house, at) = with_implicit_tls(&dir).await;
    let trusts = async |roots: &str| {
        let connector = TlsConnector::from(tls::client_config(roots).expect("usable"));
        let stream = TcpStream::connect(at).await.expect("connects");
        let name = "localhost".try_into().expect("a name");
        connector.connect(name, stream).await.is_ok()
    };
    let old = house.certified.certificate.clone();
    assert!(trusts(&old).await);
    let new = Certified::self_signed(&["localhost".to_owned()]).expect("made");
    let (certificate, key) = Certified::files(dir.path(), "mail");
    std::fs::write(&certificate, &new.certificate).expect("written");
    // The key is still the old one: whoever looks now must keep what it has.
    let begun = Instant::now();
    while begun.elapsed() < 2 * std::time::Duration::from_secs(1) {
        assert!(trusts(&old).await);
    }
    std::fs::write(&key, &new.key).expect("written");
    let begun = Instant::now();
    while !trusts(&new.certificate).await {
        assert!(begun.elapsed() < PATIENCE, "the new certificate never came");
    }
    assert!(!trusts(&old).await);
}

#[tokio::test]
async fn swaks_speaks_lmtp_on_a_unix_socket() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("lmtp");
    std::os::unix::net::UnixListener::bind(&path).expect("a socket that a former run left");
    let socket = path.clone();
    let mut house = House::start_with(&dir, policy(), |config| config.lmtp = Some(socket)).await;
    let mut command = Command::new("swaks");
    command.args(["--protocol", "LMTP", "--socket"]).arg(&path);
    command.args(["--from", "a@b.example", "--ehlo", "relay"]);
    command.args(["--to", "one@house.example,two@house.example"]);
    let out = output(command).await;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{said}");
    assert_eq!(said.matches("250 2.0.0 stored as 1").count(), 2, "{said}");
    let stored = house.next().await.mail;
    assert_eq!(
        stored.forward_paths,
        ["one@house.example", "two@house.example"]
    );
    assert!(!stored.tls && stored.profile.is_none());

    // A second server does not take the place of one that lives.
    let (mut other, _) = config(dir.path(), policy());
    other.lmtp = Some(path.clone());
    let sink: std::sync::Arc<dyn MailSink> = house.sink.clone();
    let error = SmtpServer::bind(other, sink).await.expect_err("taken");
    assert!(error.to_string().contains("LMTP"), "{error}");
    house.server.shutdown().await;
    assert!(!path.exists(), "it clears up");
}

fn proxied(port: u16, source: &str) -> Command {
    let mut command = swaks(port);
    command.args(["--proxy-version", "2", "--proxy-family", "AF_INET"]);
    command.args(["--proxy-command", "PROXY", "--proxy-protocol", "STREAM"]);
    command.args(["--proxy-source", source, "--proxy-source-port", "4321"]);
    command.args(["--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25"]);
    command
}

#[tokio::test]
async fn a_load_balancer_says_for_whom_it_connects() {
    let dir = TempDir::new().expect("a directory");
    let here = Network::parse("127.0.0.1").expect("a network");
    // The relaxed network is the balancer's own: its clients must not profit from that.
    let mut house = House::start_with(&dir, relaxed(), |config| config.proxies = vec![here]).await;
    let port = house.port();
    let mut command = proxied(port, "198.51.100.9");
    command.arg("--tls");
    let out = output(command).await;
    succeeded(&out);
    let stored = house.next().await.mail;
    assert_eq!(stored.peer.to_string(), "198.51.100.9");
    let out = output(proxied(port, "198.51.100.9")).await;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        !out.status.success() && said.contains("530 5.7.0"),
        "{said}"
    );

    let mut bare = Client::connect_silently(port).await;
    bare.send("EHLO pretends.to.be.no.proxy\r\n").await;
    assert_eq!(
        bare.try_reply().await.unwrap_or_default(),
        "",
        "no greeting without a header"
    );
}

#[tokio::test]
async fn nobody_else_is_believed_a_proxys_header() {
    let dir = TempDir::new().expect("a directory");
    let house = House::start(&dir, relaxed()).await;
    let out = output(proxied(house.port(), "198.51.100.9")).await;
    assert!(!out.status.success());
    let counts = house.counts();
    assert_eq!((counts.sessions, counts.accepted), (1, 0));
    assert!(counts.errors >= 1, "{counts:?}");
}
