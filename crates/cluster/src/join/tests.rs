use super::*;
use crate::members::MemberTable;
use crate::noise::{dial, listen};
use crate::tests::book::{admission_of, entry};
use crate::tests::{Node, config, key, listener, start_at, until};
use proptest::prelude::*;
use tokio::io::AsyncReadExt as _;
use wire::{Digest, UnixMillis};

const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: [u8; 16] = [0x5e; 16];

fn invitation(members: &[MemberEntry]) -> Invitation {
    Invitation {
        cluster: "house".to_owned(),
        secret: SECRET,
        node: None,
        expires: UnixMillis(4_000_000_000_000),
        members: members.to_vec(),
    }
}

/// A member, told to admit `name` with an admission signed by `signers`.
async fn member(
    name: &str,
    others: &[&str],
    newcomer: &str,
    signers: &[&str],
) -> (Node, MemberEntry) {
    let listener = listener().await;
    let me = entry(name, &listener.local_addr().unwrap().to_string());
    let mut table = MemberTable::founding(others.iter().map(|name| entry(name, "127.0.0.1:1")));
    table.members.insert(me.node.clone(), me.clone());
    let node = start_at(config(name, table), listener).await;
    let welcome = Welcome::Admitted {
        admission: Box::new(admission_of(newcomer, signers)),
        members: vec![me.clone(), entry(newcomer, "127.0.0.1:9")],
    };
    *node.handler.welcome.lock().unwrap() = Some((SECRET, welcome));
    (node, me)
}

async fn joining(invitation: &Invitation, name: &str) -> Result<Joined, JoinError> {
    let limit = Duration::from_secs(5);
    join(
        invitation,
        name.into(),
        &key(name),
        "127.0.0.1:9",
        Level::NEWEST,
        limit,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_turns_to_the_members_in_turn_and_believes_a_majority() {
    let (a, at) = member("join-a", &[], "join-n", &["join-a", "join-b"]).await;
    let dead = entry("join-b", "127.0.0.1:1");
    let gone = entry("join-c", "host.invalid:1");
    let invitation = invitation(&[dead, gone, at]);
    let joined = joining(&invitation, "join-n").await.unwrap();
    assert_eq!(joined.members[1].node.as_str(), "join-n");
    assert_eq!(
        joined.admission,
        admission_of("join-n", &["join-a", "join-b"])
    );
    let applied = a.handler.applied.lock().unwrap().clone();
    let [(applicant, application)] = &applied[..] else {
        panic!("{} applications", applied.len())
    };
    assert_eq!(applicant.node.as_str(), "join-n");
    assert_eq!(applicant.identity, key("join-n").verifying_key().to_bytes());
    assert_eq!(
        (application.secret, application.address.as_str()),
        (SECRET, "127.0.0.1:9")
    );
    assert_eq!(a.cluster.counters().applications, 1);
    assert!(a.cluster.links().is_empty(), "an application is no link");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_is_refused_with_a_sentence_or_refuses_to_believe() {
    let (_wrong, at_wrong) = member("nojoin-a", &[], "nojoin-n", &["nojoin-a"]).await;
    let unknown = Invitation {
        secret: [1; 16],
        ..invitation(std::slice::from_ref(&at_wrong))
    };
    // One of two is no majority, and an admission of somebody else is none at all.
    let lonely = invitation(&[at_wrong.clone(), entry("nojoin-b", "127.0.0.1:1")]);
    let (_other, at_other) = member("nojoin-c", &[], "somebody", &["nojoin-c"]).await;
    let table = [
        (
            unknown,
            "node nojoin-n was not admitted: nojoin-a: refused: the invitation is unknown, used or expired",
        ),
        (
            lonely,
            "node nojoin-n was not admitted: nojoin-a: it says that this node is admitted, but of the \
             proof: its checkpoint is signed by 1 of the 2",
        ),
        (
            invitation(&[at_other]),
            "node nojoin-n was not admitted: nojoin-c: it says that this node is admitted, but of the \
             proof: its leaf admits node somebody",
        ),
        (
            Invitation {
                node: Some("nojoin-x".into()),
                ..invitation(std::slice::from_ref(&at_wrong))
            },
            "the invitation is for node nojoin-x, this is nojoin-n; ask for one of your own",
        ),
        (invitation(&[]), "the invitation names no member to turn to"),
        (
            Invitation {
                cluster: "barn".to_owned(),
                ..invitation(&[at_wrong])
            },
            "no member could be asked within 5s: nojoin-a: ",
        ),
        (
            invitation(&[entry("nojoin-z", "127.0.0.1:1")]),
            "no member could be asked within 5s: nojoin-z: no connection to 127.0.0.1:1: ",
        ),
    ];
    for (invitation, expected) in table {
        let complaint = joining(&invitation, "nojoin-n")
            .await
            .unwrap_err()
            .to_string();
        assert!(complaint.starts_with(expected), "{complaint:?}");
    }
}

/// Somebody at a member's address who has not its key: hears a greeting and a closing socket.
#[tokio::test]
async fn an_impostor_never_sees_the_secret() {
    let listener = listener().await;
    let at = entry("pinned", &listener.local_addr().unwrap().to_string());
    let impostors = [
        // The right name with another key; another member; the first release.
        (
            Identity::new("house", "pinned".into(), 1, &key("thief")),
            Level::NEWEST,
        ),
        (
            Identity::new("house", "thief".into(), 1, &key("thief")),
            Level::NEWEST,
        ),
        (
            Identity::new("house", "pinned".into(), 1, &key("pinned")),
            Level::FIRST,
        ),
    ];
    let complaints = [
        "node pinned shows an identity key that differs",
        "dialed pinned, answered by thief",
        "node pinned runs a release that admits nobody",
    ];
    let invitation = invitation(&[at]);
    for ((me, level), expected) in impostors.iter().zip(complaints) {
        let table = MemberTable::default();
        let impostor = async {
            let (stream, _) = listener.accept().await.unwrap();
            let side = Side {
                me,
                table: &table,
                level: *level,
                admission: None,
            };
            let greeted = listen(stream, me, *level).await.unwrap();
            let heard = match greeted.purpose() {
                wire::Purpose::Join => greeted.applicant(side).await.map(|_| ()),
                wire::Purpose::Link => greeted.link(side).await.map(|_| ()),
            };
            // The third message, and with it the key for anything secret, never comes.
            assert!(matches!(heard, Err(HandshakeError::Io(_))), "{heard:?}");
        };
        let limit = Duration::from_millis(400); // below the pause before another round
        let newcomer = key("newcomer");
        let joining = join(
            &invitation,
            "newcomer".into(),
            &newcomer,
            "x:1",
            Level::NEWEST,
            limit,
        );
        let (joined, ()) = tokio::join!(joining, impostor);
        let complaint = joined.unwrap_err().to_string();
        assert!(complaint.contains(expected), "{complaint:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_slowed_down_and_costs_nobody_else_anything() {
    let (a, at) = member("guess-a", &[], "guess-n", &["guess-a"]).await;
    let guess = Invitation {
        secret: [9; 16],
        ..invitation(std::slice::from_ref(&at))
    };
    let before = std::time::Instant::now();
    for _ in 0..30 {
        joining_once(&guess, "guess-n").await;
    }
    let counters = a.cluster.counters();
    // The burst and what a few seconds earn; the rest never reached the node.
    let earned = 16 + 4 * (before.elapsed().as_secs() + 1);
    assert!(counters.applications <= earned, "{counters:?}");
    assert!(
        counters.refused_applications >= 30 - earned.min(30),
        "{counters:?}"
    );
    // With the right one it goes on as soon as the bucket has a drop.
    let right = invitation(&[at]);
    joining(&right, "guess-n").await.unwrap();
}

async fn joining_once(invitation: &Invitation, name: &str) {
    let limit = Duration::from_millis(400);
    let outcome = join(
        invitation,
        name.into(),
        &key(name),
        "x:1",
        Level::NEWEST,
        limit,
    )
    .await;
    assert!(outcome.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_applicant_says_the_member_answers_or_hangs_up() {
    let (a, at) = member("chat-a", &["chat-b"], "chat-n", &["chat-a"]).await;
    let table = MemberTable::founding([at.clone()]);
    let me = Identity::new("house", "chat-n".into(), 0, &key("chat-n"));
    let thief = Identity::new("house", "chat-n".into(), 0, &key("thief"));
    let side = Side {
        me: &me,
        table: &table,
        level: Level::NEWEST,
        admission: None,
    };
    let knock = async || {
        let stream = TcpStream::connect(&at.address).await.unwrap();
        noise::knock(stream, side, &at.node).await.unwrap()
    };
    let application = |me: &Identity, address: &str| Application {
        certificate: me.certificate().clone(),
        secret: SECRET,
        address: address.to_owned(),
        level: Level::NEWEST,
    };
    // A certificate for another static key than the channel's.
    let mut channel = knock().await;
    channel.send(&application(&thief, "x:1")).await.unwrap();
    let answer: Welcome = channel.receive(MAX_WELCOME).await.unwrap();
    let Welcome::Refused(why) = answer else {
        panic!("admitted with a stolen certificate")
    };
    assert!(why.contains("a stolen certificate"), "{why}");
    assert!(a.handler.applied.lock().unwrap().is_empty());

    // Too long, not an application, nothing at all.
    let mut channel = knock().await;
    channel
        .send(&application(&me, &"x".repeat(4_000)))
        .await
        .unwrap();
    assert!(channel.receive::<Welcome>(MAX_WELCOME).await.is_err());
    let mut channel = knock().await;
    channel.send(&"hello").await.unwrap();
    assert!(channel.receive::<Welcome>(MAX_WELCOME).await.is_err());
    let mut channel = knock().await;
    assert!(
        channel.receive::<Welcome>(MAX_WELCOME).await.is_err(),
        "it waits for ever"
    );
    until("all counted", || {
        a.cluster.counters().refused_applications == 4
    })
    .await;

    // Whoever wants a link instead gets what strangers get.
    let mut stream = TcpStream::connect(&at.address).await.unwrap();
    dial(&mut stream, side, &at.node).await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    until("refused", || a.cluster.counters().refused_handshakes == 1).await;
    assert!(a.handler.applied.lock().unwrap().is_empty());
    tokio::time::timeout(PATIENCE, async {
        let mut channel = knock().await;
        channel.send(&application(&me, "x:1")).await.unwrap();
        let welcome: Welcome = channel.receive(MAX_WELCOME).await.unwrap();
        assert!(matches!(welcome, Welcome::Admitted { .. }));
    })
    .await
    .unwrap();
}

#[test]
fn a_token_survives_the_trip_and_says_what_is_wrong_with_it() {
    let invitation = invitation(&[
        entry("a", "hall-7.example:7400"),
        entry("b", "[2001:db8::1]:7400"),
    ]);
    let token = encode_token(&invitation);
    assert_eq!(decode_token(&token), Ok(invitation.clone()));
    let folded: String = token
        .as_bytes()
        .chunks(60)
        .map(|line| format!("  {}\r\n", String::from_utf8_lossy(line)))
        .collect();
    assert_eq!(decode_token(&folded), Ok(invitation));
    let changed = {
        let at = token.len() / 2;
        let other = if token.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        format!("{}{other}{}", &token[..at], &token[at + 1..])
    };
    let foreign = {
        let mut bytes = vec![7, 1, 2];
        bytes.extend(&Digest::of(&bytes).0[..4]);
        use base64::Engine as _;
        format!(
            "gh1-{}",
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
        )
    };
    let table = [
        (
            String::new(),
            "an invitation starts with \"gh1-\"; this does not: \"\"",
        ),
        (
            "gh2-abc".to_owned(),
            "an invitation starts with \"gh1-\"; this does not: \"gh2-\"",
        ),
        ("gh1-".to_owned(), "the invitation's checksum is wrong"),
        (
            "gh1-a+b".to_owned(),
            "the invitation has characters that none has",
        ),
        (
            // Whole groups of four characters: what is left is good base64.
            token[..token.len() / 8 * 4].to_owned(),
            "the invitation's checksum is wrong",
        ),
        (changed, "the invitation's checksum is wrong"),
        (
            foreign,
            "the invitation is whole but not readable: format version 7",
        ),
        (
            "gh1-".repeat(20_000),
            "an invitation of 80000 characters is over the limit",
        ),
    ];
    for (token, expected) in table {
        let complaint = decode_token(&token).unwrap_err().to_string();
        assert!(complaint.starts_with(expected), "{complaint:?}");
    }
}

proptest! {
    #[test]
    fn no_text_and_no_bytes_make_the_decoders_panic(text in "(gh1-)?[A-Za-z0-9_-]{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_token(&text);
        let _ = wire::decode::<Application>(&bytes);
        let _ = wire::decode::<Welcome>(&bytes);
        let _ = wire::decode::<Admission>(&bytes);
    }
}
