//! What attackers and odd clients send, over a real socket.

use crate::house::*;
use edge::tls;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

/// The first message smuggles a second one behind something that is the end of the data elsewhere.
#[tokio::test]
async fn nothing_is_smuggled() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, relaxed()).await;
    let smuggled = "MAIL FROM:<evil@hall.example>\r\nRCPT TO:<telemetry@house.example>\r\nDATA\r\nevil\r\n.\r\n";
    let ends = [
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\n",
        "\r\n.\r\r\n",
        "\r\n\0.\r\n",
        "\n\n.\r\n",
    ];
    for end in ends {
        let mut client = Client::connect(house.port()).await;
        client.play(OPENING).await;
        client.play(&[("DATA", "354")]).await;
        client.send(format!("honest{end}{smuggled}QUIT\r\n")).await;
        let reply = client.reply().await;
        assert!(reply.starts_with("554 5.6.0"), "{end:?}: {reply}");
        assert_eq!(client.reply().await, "", "{end:?}: the session ends");
    }
    // A dot within a line of dots is content.
    let mut client = Client::connect(house.port()).await;
    client.play(OPENING).await;
    client.play(&[("DATA", "354")]).await;
    client.send("a\r\n..\r\n.b\r\n.\r\n").await;
    assert!(client.reply().await.starts_with("250 "));
    assert_eq!(house.next().await.mail.data, b"a\r\n.\r\nb\r\n");
    let counts = house.counts();
    assert_eq!((counts.accepted, counts.rejected), (1, ends.len() as u64));
    assert_eq!(house.sink.journal().last(), 1);
}

/// RFC 3207 §5: commands sent in clear behind STARTTLS must not be run as if they came by TLS.
#[tokio::test]
async fn plaintext_behind_starttls_is_dropped() {
    let dir = TempDir::new().expect("a directory");
    let house = House::start(&dir, policy()).await;
    let mut client = Client::connect(house.port()).await;
    client.play(&OPENING[..1]).await;
    client
        .send("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@hall.example>\r\n")
        .await;
    assert!(client.reply().await.starts_with("220 "));
    let connector =
        TlsConnector::from(tls::client_config(&house.certified.certificate).expect("usable"));
    let name = "localhost".try_into().expect("a name");
    let stream = connector
        .connect(name, client.into_inner())
        .await
        .expect("shakes hands");
    let mut client = Client::over(stream);
    // Whatever had been pipelined left no trace: neither its EHLO nor its transaction.
    client
        .play(&[("MAIL FROM:<>", "503 5.5.1 bad sequence: EHLO first")])
        .await;
    client.play(OPENING).await;
    client
        .play(&[("DATA", "354"), ("x\r\n.", "250"), ("QUIT", "221")])
        .await;
    assert_eq!(client.reply().await, "");
    let counts = house.counts();
    assert_eq!((counts.accepted, counts.plaintext_payload_bytes), (1, 0));
}

#[tokio::test]
async fn a_handshake_that_is_none_is_counted() {
    let dir = TempDir::new().expect("a directory");
    let house = House::start(&dir, policy()).await;
    let mut client = Client::connect(house.port()).await;
    client.play(&[("EHLO c", "250"), ("STARTTLS", "220")]).await;
    client.send("MAIL FROM:<evil@hall.example>\r\n").await;
    // The connection is cut, with or without a TLS alert.
    while client
        .try_reply()
        .await
        .is_ok_and(|reply| !reply.is_empty())
    {}
    assert_eq!(house.counts().handshakes_failed, 1);
}

#[tokio::test]
async fn pipelining_and_chunks_in_one_packet() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, relaxed()).await;
    let mut client = Client::connect(house.port()).await;
    let one = |number: usize| {
        let message = message(number);
        format!(
            "MAIL FROM:<ups@hall.example>\r\nRCPT TO:<telemetry@house.example>\r\nBDAT {} LAST\r\n{message}",
            message.len()
        )
    };
    client
        .send(format!("EHLO c\r\n{}{}QUIT\r\n", one(1), one(2)))
        .await;
    let mut replies = Vec::new();
    for _ in 0..8 {
        replies.push(client.reply().await);
    }
    let codes: Vec<_> = replies.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(
        codes,
        ["250", "250", "250", "250", "250", "250", "250", "221"]
    );
    for number in [1, 2] {
        assert_eq!(house.next().await.mail.data, message(number).into_bytes());
    }
}
