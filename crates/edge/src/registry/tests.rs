//! Against a small HTTP server that answers as the documented API does.

use super::*;
use crate::tls::{Authority, server_config};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// Reads one request, answers with this, and returns what was asked.
fn serve(stream: impl Read + Write, status: u16, body: &str) -> io::Result<String> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if stream.read_line(&mut request)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let len = body.len();
    let answer =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}");
    stream.get_mut().write_all(answer.as_bytes())?;
    stream.get_mut().flush()?;
    Ok(request.to_lowercase())
}

/// Answers one request after the other with these, and hands out what was asked. The listener is closed after the
/// last one.
fn server(answers: Vec<(u16, String)>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (asked, requests) = channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            asked.send(serve(stream, status, &body).unwrap()).unwrap();
        }
    });
    (url, requests)
}

/// The same schema to whoever shakes hands, for as long as the test runs; hands out what was asked.
fn secure_server(certificate: &crate::tls::Certified) -> (u16, Receiver<io::Result<String>>) {
    let config = server_config(certificate).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = rustls::StreamOwned::new(session, stream.unwrap());
            let request = serve(stream, 200, r#"{"schema":"\"int\""}"#);
            if asked.send(request).is_err() {
                return;
            }
        }
    });
    (port, requests)
}

fn registry(url: &str) -> Registry {
    Registry::new(RegistryConfig {
        url: url.to_owned(),
        login: Some(("feed".to_owned(), "secret".to_owned())),
        ca: None,
    })
}

/// Asks until there is another answer than that it takes its time.
async fn ask_patiently(registry: &mut Registry, id: u32) -> Result<Answer, RegistryError> {
    loop {
        match registry.schema(id).await {
            Err(RegistryError::Waiting { .. }) => {}
            ended => return ended,
        }
    }
}

#[tokio::test]
async fn a_schema_comes_and_an_unknown_one_is_told_from_a_wrong_address() {
    let (url, requests) = server(vec![
        (200, r#"{"schema":"\"int\""}"#.to_owned()),
        (
            404,
            r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned(),
        ),
        (404, "<html>".to_owned()),
    ]);
    let mut registry = registry(&url);
    let schema = Answer::Schema {
        kind: "AVRO".to_owned(),
        text: "\"int\"".to_owned(),
        references: 0,
    };
    assert_eq!(ask_patiently(&mut registry, 7).await, Ok(schema));
    let request = requests.recv().unwrap();
    assert!(
        request.starts_with("get /schemas/ids/7 http/1.1"),
        "{request}"
    );
    assert!(
        request.contains("authorization: basic zmvlzdpzzwnyzxq="),
        "{request}"
    );
    assert_eq!(ask_patiently(&mut registry, 8).await, Ok(Answer::Unknown));
    let error = ask_patiently(&mut registry, 9).await.unwrap_err();
    assert!(error.to_string().contains("is no registry"), "{error}");
    assert_eq!(registry.fetched(), 2);
}

#[tokio::test]
async fn what_fails_is_tried_again_after_a_pause() {
    let (url, _requests) = server(vec![
        (503, String::new()),
        (200, r#"{"schema":"\"int\""}"#.to_owned()),
    ]);
    let mut registry = registry(&url);
    let begin = Instant::now();
    let error = ask_patiently(&mut registry, 7).await.unwrap_err();
    assert!(error.to_string().ends_with("status 503"), "{error}");
    // At once it says the same without asking.
    assert_eq!(registry.schema(7).await, Err(error));
    registry.backoff.wait().await;
    assert!(begin.elapsed() >= FIRST_PAUSE / 2);
    assert!(ask_patiently(&mut registry, 7).await.is_ok());
    assert!(registry.failed.is_none());
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut registry = registry(&format!("http://{}", listener.local_addr().unwrap()));
    let begin = Instant::now();
    let waiting = registry.schema(7).await;
    assert!(matches!(waiting, Err(RegistryError::Waiting { .. })));
    assert!(begin.elapsed() < CALL_LIMIT);
    drop(listener);
    let error = ask_patiently(&mut registry, 7).await;
    assert!(
        matches!(error, Err(RegistryError::Failed { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_registry_is_believed_by_its_authority_and_name_alone() {
    let dir = tempfile::tempdir().unwrap();
    let authority = |name: &str| {
        let authority = Authority::new(name).unwrap();
        let path = dir.path().join(format!("{name}.pem"));
        std::fs::write(&path, authority.certificate()).unwrap();
        (authority, path)
    };
    let ((ours, ca), (_, theirs)) = (authority("ours"), authority("theirs"));
    let certificate = ours.issue(&["localhost".to_owned()]).unwrap();
    let (port, requests) = secure_server(&certificate);
    let ask = async |host: &str, ca: &Path| {
        let mut registry = Registry::new(RegistryConfig {
            url: format!("https://{host}:{port}/api"),
            login: Some(("feed".to_owned(), "secret".to_owned())),
            ca: Some(ca.to_owned()),
        });
        ask_patiently(&mut registry, 7).await
    };

    assert!(matches!(
        ask("localhost", &ca).await,
        Ok(Answer::Schema { .. })
    ));
    let request = requests.recv().unwrap().unwrap();
    assert!(request.starts_with("get /api/schemas/ids/7 "), "{request}");

    // The authority is another one, the name is; neither server gets to hear of the password.
    for (host, ca, expected) in [
        ("localhost", &theirs, "UnknownIssuer"),
        ("127.0.0.1", &ca, "not valid for name"),
    ] {
        let error = ask(host, ca).await.unwrap_err().to_string();
        assert!(
            error.contains("its certificate is not believed: ") && error.contains(expected),
            "{error}"
        );
        assert!(error.contains(&ca.display().to_string()), "{error}");
        assert!(requests.recv().unwrap().is_err(), "nothing was asked");
    }

    let key = dir.path().join("key.pem");
    std::fs::write(&key, &certificate.key).unwrap();
    let error = ask("localhost", &key).await.unwrap_err().to_string();
    assert!(error.contains("at least one CERTIFICATE"), "{error}");
    let none = dir.path().join("none.pem");
    let error = ask("localhost", &none).await.unwrap_err().to_string();
    assert!(error.contains("none.pem: No such file"), "{error}");
}

#[test]
fn refusals_are_sentences() {
    let check = |status, body: &[u8], expected: &str| {
        let refused = answer(status, body).unwrap_err();
        assert!(refused.starts_with(expected), "{refused}");
    };
    check(
        401,
        b"",
        "it refuses us with status 401; look at feed.registry.username",
    );
    check(200, b"<html>", "the answer is not a registry's: ");
    check(302, b"", "status 302");
    let debug = format!("{:?}", registry("http://x").config);
    assert!(!debug.contains("secret"), "{debug}");
}
