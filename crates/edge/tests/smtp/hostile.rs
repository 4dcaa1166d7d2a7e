//! Messages that are made to hurt, over the wire: each is refused at the door, or read within bounds
//! behind it, and the next client is served.

use crate::house::*;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::time::{Duration, Instant};
use telemetry::Patterns;
use telemetry::directory::{Device, Directory};
use telemetry::mail::{DecodeContext, decode};
use tempfile::TempDir;
use tokio::net::TcpStream;
use wire::UnixMillis;

/// For reading one hostile message behind the door, on a busy machine. A bomb that went off takes
/// minutes or all memory.
const QUICKLY: Duration = Duration::from_secs(20);

/// A message that ends with a line end.
async fn deliver(house: &House, message: &[u8], expected: &str) {
    let mut client = Client::connect(house.port()).await;
    client.play(OPENING).await;
    client.play(&[("DATA", "354")]).await;
    client.send(message).await;
    client.play(&[(".", expected)]).await;
    // The session goes on.
    client.play(&[("NOOP", "250"), ("QUIT", "221")]).await;
}

async fn an_honest_client_is_served(house: &mut House) {
    deliver(house, message(1).as_bytes(), "250").await;
    let stored = house.next().await;
    assert_eq!(stored.mail.data, message(1).as_bytes());
}

#[tokio::test]
async fn a_gigabyte_announced_costs_nothing() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, relaxed()).await;
    for announcement in ["BDAT 1073741824 LAST", "BDAT 1073741824"] {
        let mut client = Client::connect(house.port()).await;
        client.play(OPENING).await;
        client.play(&[(announcement, "552 5.3.4")]).await;
        assert_eq!(client.reply().await, "", "the session ends");
    }
    an_honest_client_is_served(&mut house).await;
    assert_eq!(house.counts().accepted, 1);
}

#[tokio::test]
async fn floods_of_parts_and_fields_are_refused_at_the_door() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, relaxed()).await;
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    let floods = [
        // Empty parts.
        format!("{multipart}{}--b--\r\n", "--b\r\n\r\n".repeat(100_000)),
        // Parts within parts.
        format!("--b\r\n{multipart}").repeat(1_000),
        // Fields, and one field without end.
        format!("{}\r\nx\r\n", "X-Flood: y\r\n".repeat(100_000)),
        format!("X-Flood: y\r\n{}\r\nx\r\n", " and on\r\n".repeat(100_000)),
    ];
    for flood in &floods {
        deliver(&house, flood.as_bytes(), "554 5.6.0").await;
    }
    an_honest_client_is_served(&mut house).await;
    let counts = house.counts();
    assert_eq!((counts.accepted, counts.rejected), (1, floods.len() as u64));
}

/// What is packed goes through the door as it is; whoever unpacks it stops at a bound.
#[tokio::test]
async fn bombs_are_stored_and_do_not_go_off() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, relaxed()).await;
    let zeros = gzip(&vec![b'0'; 256 << 20]);
    for (name, bomb) in [("log.csv.gz", &zeros), ("log.csv.gz.gz", &gzip(&zeros))] {
        deliver(&house, &attached(name, bomb), "250").await;
        let stored = house.next().await;
        let begun = Instant::now();
        let read = tokio::task::spawn_blocking(move || {
            let directory = Directory::new([Device {
                id: "ups-1".into(),
                room: "hall".into(),
                class: "ups".to_owned(),
                addresses: vec!["ups@hall.example".to_owned()],
            }]);
            let context = DecodeContext {
                node: &"node".into(),
                seq: stored.seq,
                arrival: UnixMillis(1),
                directory: &directory.expect("one device"),
                patterns: &Patterns::NONE,
            };
            decode(&context, "ups@hall.example", &stored.mail.data).err()
        });
        let refused = read.await.expect("no panic").expect("not read");
        assert!(begun.elapsed() < QUICKLY, "{name}: {:?}", begun.elapsed());
        assert!(!refused.to_string().is_empty());
    }
    an_honest_client_is_served(&mut house).await;
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

fn attached(name: &str, bytes: &[u8]) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(bytes);
    let lines: Vec<&str> = (0..text.len())
        .step_by(76)
        .map(|at| &text[at..text.len().min(at + 76)])
        .collect();
    format!(
        "From: ups@hall.example\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: application/gzip; name={name}\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         {}\r\n--b--\r\n",
        lines.join("\r\n")
    )
    .into_bytes()
}

/// A client that has said QUIT hears the answer to its end, although nobody waits for it to close.
#[tokio::test]
async fn a_goodbye_is_heard_to_its_end() {
    let dir = TempDir::new().expect("a directory");
    let house = House::start(&dir, relaxed()).await;
    for script in ["QUIT\r\n", "EHLO c\r\nNOOP\r\nQUIT\r\n", "WHAT\r\nQUIT\r\n"] {
        let mut client: Client<TcpStream> = Client::connect(house.port()).await;
        client.send(script).await;
        let mut last = String::new();
        loop {
            match client.reply().await {
                end if end.is_empty() => break,
                reply => last = reply,
            }
        }
        assert!(last.starts_with("221"), "{script:?}: {last:?}");
    }
}
