use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use wire::Certificate;

type Outcome = Result<Established, HandshakeError>;

fn side<'a>(me: &'a Identity, table: &'a MemberTable) -> Side<'a> {
    Side {
        me,
        table,
        level: Level::NEWEST,
        admission: None,
    }
}

async fn meet(initiator: Side<'_>, dialed: &str, responder: Side<'_>) -> (Outcome, Outcome) {
    let (mut near, far) = duplex(4096);
    let dialed = NodeId::from(dialed);
    tokio::join!(
        // Ends are dropped as soon as one side is through, as a socket would be closed.
        async move { dial(&mut near, initiator, &dialed).await },
        accept(far, responder),
    )
}

async fn accept(stream: DuplexStream, side: Side<'_>) -> Outcome {
    let greeted = listen(stream, side.me, side.level).await?;
    Ok(greeted.link(side).await?.1)
}

fn complaint(outcome: Outcome) -> String {
    outcome.map_or_else(
        |error| error.to_string(),
        |established| format!("linked {:?}", established.proven.peer),
    )
}

#[tokio::test]
async fn two_members_prove_themselves_and_trade_capabilities() {
    let both = table(&[("a", 1), ("b", 2)]);
    let (a, b) = (node("a", 1), node("b", 2));
    let (at_a, at_b) = meet(side(&a, &both), "b", side(&b, &both)).await;
    let (at_a, at_b) = (at_a.unwrap().proven, at_b.unwrap().proven);
    assert_eq!(
        at_a.peer,
        Peer {
            node: "b".into(),
            incarnation: 7,
            identity: signing(2).verifying_key().to_bytes(),
        }
    );
    assert_eq!(
        at_b.peer,
        Peer {
            node: "a".into(),
            incarnation: 7,
            identity: signing(1).verifying_key().to_bytes(),
        }
    );
    assert!(at_a.capability_in == at_b.capability_out && at_b.capability_in == at_a.capability_out);
    assert!(at_a.capability_in != at_b.capability_in);
}

#[tokio::test]
async fn whoever_is_not_a_member_is_refused_with_the_reason() {
    let both = table(&[("a", 1), ("b", 2)]);
    let b = node("b", 2);
    let a = node("a", 1);
    let forged = {
        let mut certificate = a.certificate().clone();
        certificate.body.incarnation += 1;
        node("a", 1).with_certificate(certificate)
    };
    let stolen = node("a", 1).with_certificate(a.certificate().clone());
    let signed_by_other = {
        let body = a.certificate().body.clone();
        let signature = ed25519_dalek::Signer::sign(&signing(9), &Certificate::signed_bytes(&body));
        a.clone().with_certificate(Certificate {
            body,
            signature: signature.to_bytes().to_vec(),
        })
    };
    let table = [
        (
            node("c", 3),
            "node c is not a member as far as this node knows",
        ),
        (node("a", 3), "node a shows an identity key that differs"),
        (forged, "the certificate of node a is not signed"),
        (signed_by_other, "the certificate of node a is not signed"),
        (
            stolen,
            "the certificate of node a is for another static key",
        ),
    ];
    for (intruder, expected) in table {
        let (_, at_b) = meet(side(&intruder, &both), "b", side(&b, &both)).await;
        let complaint = complaint(at_b);
        assert!(
            complaint.starts_with(expected),
            "{complaint:?} instead of {expected:?}"
        );
    }
    let barn = Identity::new("barn", "a".into(), 7, &signing(1));
    let (at_a, at_b) = meet(side(&barn, &both), "b", side(&b, &both)).await;
    assert!(complaint(at_a).starts_with("not the handshake of this cluster"));
    assert!(complaint(at_b).starts_with("connection lost in the handshake"));
}

#[test]
fn a_certificate_of_another_cluster_is_refused_whatever_the_prologue_said() {
    let barn = Identity::new("barn", "a".into(), 7, &signing(1));
    let static_key = barn.certificate().body.static_key;
    let error = verify(&node("b", 2), barn.certificate(), &static_key)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "certificate is for cluster \"barn\", this is \"house\""
    );
}

#[tokio::test]
async fn the_dialer_checks_whom_it_reached_before_it_shows_itself() {
    let all = table(&[("a", 1), ("b", 2), ("c", 3)]);
    let (at_a, at_c) = meet(side(&node("a", 1), &all), "b", side(&node("c", 3), &all)).await;
    assert_eq!(
        complaint(at_a),
        "dialed b, answered by c; check the addresses of both"
    );
    assert!(complaint(at_c).starts_with("connection lost"));
    let (at_a, _) = meet(side(&node("a", 1), &all), "b", side(&node("a", 1), &all)).await;
    assert_eq!(
        complaint(at_a),
        "node a reached itself; check the addresses of both"
    );
    let (at_a, _) = meet(side(&node("a", 1), &all), "b", side(&node("b", 3), &all)).await;
    assert!(complaint(at_a).starts_with("node b shows an identity key that differs"));
}

async fn against(bytes: &[u8], then_close: bool) -> String {
    let both = table(&[("a", 1), ("b", 2)]);
    let (mut near, far) = duplex(1 << 20);
    near.write_all(bytes).await.unwrap();
    if then_close {
        near.shutdown().await.unwrap();
    }
    let outcome = accept(far, side(&node("b", 2), &both)).await;
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    assert!(answer.len() < 1024, "{} bytes for a stranger", answer.len());
    complaint(outcome)
}

#[tokio::test(start_paused = true)]
async fn garbage_silence_and_weak_keys_are_refused() {
    let zero_point = [&[0, 32][..], &[0; 32]].concat();
    // Points of order 2 and 8 (RFC 7748 §6.1 and its errata's list of small-order points).
    let small_order = [
        &[0, 32][..],
        &hex::decode("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800").unwrap(),
    ]
    .concat();
    let table: [(&str, &[u8], bool, &str); 7] = [
        (
            "http",
            b"GET / HTTP/1.1\r\n\r\n",
            true,
            "a handshake message of 18245 bytes is over the limit of 2048",
        ),
        (
            "ones",
            &[0xff; 4096],
            true,
            "a handshake message of 65535 bytes",
        ),
        ("silence", b"", false, "no handshake within 2s"),
        (
            "half a message",
            &[0, 32, 1, 2, 3],
            false,
            "no handshake within 2s",
        ),
        ("closed", &[0], true, "connection lost in the handshake"),
        (
            "zero point",
            &zero_point,
            false,
            "not the handshake of this cluster",
        ),
        (
            "small order",
            &small_order,
            false,
            "not the handshake of this cluster",
        ),
    ];
    for (name, bytes, close, expected) in table {
        let complaint = against(bytes, close).await;
        assert!(
            complaint.starts_with(expected),
            "{name}: {complaint:?} instead of {expected:?}"
        );
    }
}
