use super::*;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn names() -> Vec<String> {
    vec!["house.example".to_owned(), "127.0.0.1".to_owned()]
}

/// A handshake and one message through it.
async fn talk(server: Arc<ServerConfig>, client: Arc<ClientConfig>, name: &str) -> io::Result<()> {
    let (near, far) = duplex(16 << 10);
    let name = name.to_owned().try_into().expect("a server name");
    let client = async {
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        stream.write_all(b"ping").await?;
        stream.shutdown().await?;
        // With TLS 1.3 a refused client certificate shows at the first read only.
        stream.read_to_end(&mut Vec::new()).await.map(|_| ())
    };
    let server = async {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await?;
        assert_eq!(heard, b"ping");
        stream.shutdown().await
    };
    let (client, server) = tokio::join!(client, server);
    client.and(server)
}

#[tokio::test]
async fn the_certificate_of_the_first_start_is_kept_and_works() {
    let dir = TempDir::new().expect("a directory");
    let first = Certified::load_or_create(dir.path(), "mail", &names()).expect("made");
    let again = Certified::load_or_create(dir.path(), "mail", &names()).expect("loaded");
    assert_eq!(first, again);
    let key = dir.path().join("mail-key.pem");
    let mode = fs::metadata(&key).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let server = server_config(&again).expect("usable");
    let client = client_config(&again.certificate).expect("usable");
    for name in ["house.example", "127.0.0.1"] {
        talk(Arc::clone(&server), Arc::clone(&client), name)
            .await
            .expect("they understand");
    }
    talk(server, client, "other.example")
        .await
        .expect_err("not its name");

    fs::remove_file(&key).expect("removes");
    let error = Certified::load_or_create(dir.path(), "mail", &names()).expect_err("no key");
    assert!(error.to_string().contains("mail-key.pem"), "{error}");
}

#[tokio::test]
async fn a_stranger_is_not_trusted() {
    let own = Certified::self_signed(&names()).expect("made");
    let other = Certified::self_signed(&names()).expect("made");
    let client = client_config(&other.certificate).expect("usable");
    talk(
        server_config(&own).expect("usable"),
        client,
        "house.example",
    )
    .await
    .expect_err("unknown");
}

#[tokio::test]
async fn mutual_tls_takes_only_clients_of_the_authority() {
    let authority = Authority::new("test authority").expect("made");
    let stranger = Authority::new("another authority").expect("made");
    let roots = authority.certificate();
    let own = authority.issue(&names()).expect("issued");
    let server = mutual_server_config(&own, roots).expect("usable");

    let known = authority
        .issue(&["feed.example".to_owned()])
        .expect("issued");
    let client = mutual_client_config(roots, &known).expect("usable");
    talk(Arc::clone(&server), client, "house.example")
        .await
        .expect("they understand");

    let foreign = stranger
        .issue(&["feed.example".to_owned()])
        .expect("issued");
    let client = mutual_client_config(roots, &foreign).expect("usable");
    talk(Arc::clone(&server), client, "house.example")
        .await
        .expect_err("foreign certificate");
    let client = client_config(roots).expect("usable");
    talk(server, client, "house.example")
        .await
        .expect_err("no certificate");
}

#[test]
fn bad_pem_is_said_to_be() {
    let own = Certified::self_signed(&names()).expect("made");
    let check = |certified: &Certified, expected: &str| {
        let error = server_config(certified)
            .expect_err("not usable")
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        &Certified {
            certificate: String::new(),
            ..own.clone()
        },
        "certificate",
    );
    check(
        &Certified {
            key: "nonsense".to_owned(),
            ..own.clone()
        },
        "private key",
    );
    let other = Certified::self_signed(&names()).expect("made");
    check(
        &Certified {
            key: other.key,
            ..own.clone()
        },
        "fit together",
    );
    let error = Certified::self_signed(&["ä ö".to_owned()])
        .expect_err("no name")
        .to_string();
    assert!(error.contains("ä ö"), "{error}");
    assert!(!format!("{own:?}").contains("PRIVATE"));
}
