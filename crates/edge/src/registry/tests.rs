//! Against a small HTTP server that answers as the documented API does.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

/// Answers one request after the other with these, and hands out what was asked. The listener is closed after the
/// last one.
fn server(answers: Vec<(u16, String)>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (asked, requests) = channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let lines = lines
                .map(Result::unwrap)
                .take_while(|line| !line.is_empty());
            let request: Vec<String> = lines.collect();
            let len = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
            asked.send(request.join("\n").to_lowercase()).unwrap();
        }
    });
    (url, requests)
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
    let until = registry.failed.as_ref().unwrap().not_before;
    tokio::time::sleep_until(until).await;
    assert!(begin.elapsed() >= FIRST_PAUSE);
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
