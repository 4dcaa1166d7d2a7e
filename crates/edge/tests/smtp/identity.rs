//! Who a message is from: passwords, SCRAM and certificates, by real clients over real TLS.

use crate::house::*;
use edge::smtp::*;
use edge::tls::{self, Certified};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::Proof;

fn house(certified: &Certified) -> Policy {
    let device = |id: &str| Device {
        id: id.to_owned(),
        addresses: vec![format!("{id}@hall.example")],
        ..Device::default()
    };
    let login = Verifier::new("correct horse", [7; SALT], 4_096).expect("good");
    let devices = [
        Device {
            login: Some(login),
            ..device("ups-1")
        },
        Device {
            certificate: Some(certified.fingerprint().expect("PEM")),
            ..device("pdu-1")
        },
    ];
    Policy {
        devices: Arc::new(Devices::new(devices)),
        ..policy()
    }
}

fn pdu() -> Certified {
    Certified::self_signed(&["pdu-1".to_owned()]).expect("made")
}

fn swaks_as(port: u16, arguments: &[&str]) -> std::process::Command {
    let mut command = swaks(port);
    command
        .args(["--from", "ups-1@hall.example"])
        .args(arguments);
    command
}

#[tokio::test]
async fn swaks_logs_in_under_tls_only() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, house(&pdu())).await;
    let port = house.port();
    let user = ["--auth-user", "ups-1", "--auth-password"];
    for mechanism in ["PLAIN", "LOGIN"] {
        let with = ["--tls", "--auth", mechanism];
        let good = [&with[..], &user, &["correct horse"]].concat();
        let out = output(swaks_as(port, &good)).await;
        succeeded(&out);
        let stored = house.next().await.mail;
        let device = stored.device.clone().expect("known");
        assert_eq!((device.id.as_str(), device.proof), ("ups-1", Proof::Sasl));
        assert!(stored.is_trusted());

        let bad = [&with[..], &user, &["wrong"]].concat();
        let out = output(swaks_as(port, &bad)).await;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            !out.status.success() && said.contains("535 5.7.8"),
            "{said}"
        );

        let clear = [&["--auth", mechanism][..], &user, &["correct horse"]].concat();
        let out = output(swaks_as(port, &clear)).await;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            !out.status.success() && !said.contains("250-AUTH"),
            "{said}"
        );
    }
    let out = output(swaks_as(port, &["--tls"])).await;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        !out.status.success() && said.contains("530 5.7.0"),
        "{said}"
    );
    let counts = house.counts();
    assert_eq!((counts.accepted, counts.logins_failed), (2, 2));
}

/// All clients of this host are one address to the server, as gear behind a NAT is.
#[tokio::test]
async fn who_guesses_is_held_back_over_connections_and_its_neighbour_is_not() {
    let dir = TempDir::new().expect("a directory");
    let few = |config: &mut SmtpConfig| config.limits.failed_logins = 3;
    let house = House::start_with(&dir, house(&pdu()), few).await;
    let attempt = |name: &'static str, password: &'static str| {
        let house = &house;
        async move {
            let mut client = secured(house, None).await;
            let credentials = base64(format!("\0{name}\0{password}").as_bytes());
            client.send(format!("AUTH PLAIN {credentials}\r\n")).await;
            client.reply().await
        }
    };
    assert!(attempt("ups-1", "correct horse").await.starts_with("235"));
    for _ in 0..3 {
        assert!(attempt("admin", "admin").await.starts_with("535 5.7.8"));
    }
    let held = attempt("admin", "letmein").await;
    assert!(
        held.starts_with("454 4.7.0 too many failed logins from your address; try again in "),
        "{held}"
    );
    assert!(attempt("ups-1", "correct horse").await.starts_with("235"));
    assert_eq!(house.counts().logins_failed, 3);
}

/// A client that has heard 220 to STARTTLS and shaken hands.
async fn secured(house: &House, own: Option<&Certified>) -> Client<TlsStream<TcpStream>> {
    let mut client = Client::connect(house.port()).await;
    client.play(&[("EHLO c", "250"), ("STARTTLS", "220")]).await;
    let roots = &house.certified.certificate;
    let config = match own {
        Some(own) => tls::mutual_client_config(roots, own),
        None => tls::client_config(roots),
    };
    let connector = TlsConnector::from(config.expect("usable"));
    let name = "localhost".try_into().expect("a name");
    let stream = connector.connect(name, client.into_inner()).await;
    let mut client = Client::over(stream.expect("shakes hands"));
    client.play(&[("EHLO c", "250")]).await;
    client
}

fn exporter(stream: &TlsStream<TcpStream>) -> [u8; 32] {
    let (_, connection) = stream.get_ref();
    let label = b"EXPORTER-Channel-Binding";
    connection
        .export_keying_material([0; 32], label, Some(b""))
        .expect("TLS 1.3")
}

#[tokio::test]
async fn our_own_client_proves_its_password_on_this_very_connection() {
    let dir = TempDir::new().expect("a directory");
    let house = House::start(&dir, house(&pdu())).await;
    let mut stolen = None;
    for attempt in ["own", "other", "none"] {
        let client = secured(&house, None).await;
        let stream = client.into_inner();
        let own = exporter(&stream);
        let binding = match attempt {
            "own" => Some(own),
            // As somebody in between would: the proof is for another connection.
            "other" => stolen,
            _ => None,
        };
        stolen = Some(own);
        let mut client = Client::over(stream);
        let scram = ScramClient::new("ups-1", [3; 18], binding);
        let first = base64(scram.first().as_bytes());
        client
            .send(format!("AUTH {} {first}\r\n", scram.mechanism()))
            .await;
        let reply = client.reply().await;
        let challenge = unbase64(reply.strip_prefix("334 ").expect("a challenge").trim_end());
        let proof = scram.answer(&challenge, "correct horse").expect("fits");
        client
            .send(format!("{}\r\n", base64(proof.message.as_bytes())))
            .await;
        let reply = client.reply().await;
        if attempt == "other" {
            assert!(reply.starts_with("535 5.7.8"), "{reply}");
            continue;
        }
        assert_eq!(unbase64(reply[4..].trim_end()), proof.server_final);
        client
            .play(&[("", "235"), ("MAIL FROM:<ups-1@hall.example>", "250")])
            .await;
    }
}

#[tokio::test]
async fn a_certificate_is_a_device_and_a_strange_one_is_nobody() {
    let dir = TempDir::new().expect("a directory");
    let own = pdu();
    let mut house = House::start(&dir, house(&own)).await;
    let send = [
        ("MAIL FROM:<pdu-1@hall.example>", "250"),
        ("RCPT TO:<telemetry@house.example>", "250"),
        ("DATA", "354"),
        ("x\r\n.", "250"),
    ];
    secured(&house, Some(&own)).await.play(&send).await;
    let stored = house.next().await.mail;
    let device = stored.device.clone().expect("known");
    assert_eq!(
        (device.id.as_str(), device.proof),
        ("pdu-1", Proof::Certificate)
    );
    assert!(stored.is_trusted());
    for stranger in [None, Some(pdu())] {
        let mut client = secured(&house, stranger.as_ref()).await;
        client
            .play(&[
                ("MAIL FROM:<pdu-1@hall.example>", "530 5.7.0"),
                ("MAIL FROM:<other@hall.example>", "250"),
            ])
            .await;
    }
}

/// RFC 4648 §4, by the system's own hand so that ours is not compared with itself.
fn base64(bytes: &[u8]) -> String {
    run_base64(&["-w0"], bytes)
}

fn unbase64(text: &str) -> String {
    run_base64(&["-d"], text.as_bytes())
}

fn run_base64(arguments: &[&str], input: &[u8]) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("base64")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("coreutils are there");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input).expect("taken");
    drop(stdin);
    let out = child.wait_with_output().expect("it ends");
    String::from_utf8(out.stdout).expect("text")
}
