//! Nodes of different levels, and what goes over the wire between them.

use super::super::resolver::Dalek;
use super::*;
use crate::members::{Former, Standing};
use crate::tests::book::{LEAF, admission_of};
use crate::tests::key;
use proptest::prelude::*;
use snow::{Builder, HandshakeState};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use wire::{Admission, Capability, Greeting, Hello, Introduction, Purpose};

const FIRST: Level = Level::FIRST;
const NEWEST: Level = Level::NEWEST;

type Outcome = Result<Established, HandshakeError>;

fn named(name: &str) -> Identity {
    Identity::new(CLUSTER, name.into(), 7, &key(name))
}

fn known(names: &[&str]) -> MemberTable {
    MemberTable::founding(names.iter().map(|name| crate::tests::book::entry(name, "")))
}

async fn accept(stream: DuplexStream, side: Side<'_>) -> Outcome {
    let greeted = listen(stream, side.me, side.level).await?;
    Ok(greeted.link(side).await?.1)
}

async fn meet(initiator: Side<'_>, dialed: &str, responder: Side<'_>) -> (Outcome, Outcome) {
    let (mut near, far) = duplex(64 << 10);
    let dialed = NodeId::from(dialed);
    tokio::join!(
        async move { dial(&mut near, initiator, &dialed).await },
        accept(far, responder),
    )
}

#[tokio::test]
async fn two_nodes_speak_at_the_lower_of_their_levels() {
    let future = Level(NEWEST.0 + 3);
    let both = known(&["a", "b"]);
    let table = [
        (FIRST, FIRST, FIRST),
        (FIRST, NEWEST, FIRST),
        (NEWEST, FIRST, FIRST),
        (NEWEST, NEWEST, NEWEST),
        (NEWEST, future, NEWEST),
        (future, NEWEST, NEWEST),
        (future, FIRST, FIRST),
    ];
    for (dialer, dialed, expected) in table {
        let (a, b) = (named("a"), named("b"));
        let side = |me, level| Side {
            me,
            table: &both,
            level,
            admission: None,
        };
        let (at_a, at_b) = meet(side(&a, dialer), "b", side(&b, dialed)).await;
        let (at_a, at_b) = (at_a.unwrap().proven, at_b.unwrap().proven);
        assert_eq!(
            (at_a.level, at_b.level),
            (expected, expected),
            "{dialer} dials {dialed}"
        );
        assert_eq!(at_a.peer.node.as_str(), "b");
        assert_eq!(at_b.peer.node.as_str(), "a");
    }
}

/// The first release's own handshake, written out: what it says and what it expects.
struct FirstRelease {
    noise: HandshakeState,
    hello: Vec<u8>,
}

impl FirstRelease {
    fn new(me: &Identity, initiator: bool) -> Self {
        let builder = Builder::with_resolver(
            "Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap(),
            Box::new(Dalek),
        )
        .local_private_key(me.static_secret())
        .unwrap()
        .prologue(b"glasshouse link v1 house")
        .unwrap();
        let noise = if initiator {
            builder.build_initiator()
        } else {
            builder.build_responder()
        };
        let hello = wire::encode(&Hello {
            certificate: me.certificate().clone(),
            capability: Capability([5; 16]),
        });
        Self {
            noise: noise.unwrap(),
            hello,
        }
    }

    async fn say(&mut self, to: &mut DuplexStream, payload: &[u8]) -> usize {
        let mut message = vec![0; 2048];
        let length = self.noise.write_message(payload, &mut message).unwrap();
        to.write_u16(length as u16).await.unwrap();
        to.write_all(&message[..length]).await.unwrap();
        length
    }

    async fn hear(&mut self, from: &mut DuplexStream) -> Vec<u8> {
        let length = usize::from(from.read_u16().await.unwrap());
        assert!(length <= 2048, "the first release refuses longer messages");
        let mut message = vec![0; length];
        from.read_exact(&mut message).await.unwrap();
        let mut payload = vec![0; length];
        let length = self.noise.read_message(&message, &mut payload).unwrap();
        payload.truncate(length);
        payload
    }
}

#[tokio::test]
async fn the_first_release_is_answered_with_exactly_what_it_says_itself() {
    let both = known(&["a", "b"]);
    let (a, b) = (named("a"), named("b"));
    let admission = admission_of("b", &["a"]);
    let side = Side {
        me: &b,
        table: &both,
        level: NEWEST,
        admission: Some(&admission),
    };

    // It dials us.
    let (mut near, far) = duplex(4096);
    let mut old = FirstRelease::new(&a, true);
    let dialing = async {
        assert_eq!(old.say(&mut near, &[]).await, 32, "a key and nothing else");
        let heard: Hello = wire::decode(&old.hear(&mut near).await).unwrap();
        assert_eq!(heard.certificate, *b.certificate());
        let hello = old.hello.clone();
        old.say(&mut near, &hello).await;
        heard.capability
    };
    let (capability, at_b) = tokio::join!(dialing, accept(far, side));
    let at_b = at_b.unwrap().proven;
    assert_eq!((at_b.level, at_b.capability_in), (FIRST, capability));
    assert_eq!(at_b.capability_out, Capability([5; 16]));

    // We dial it; it takes no notice of the greeting.
    let (mut near, mut far) = duplex(4096);
    let mut old = FirstRelease::new(&a, false);
    let accepting = async {
        let greeting: Greeting = wire::decode(&old.hear(&mut far).await).unwrap();
        assert_eq!(
            greeting,
            Greeting {
                level: NEWEST,
                purpose: Purpose::Link
            }
        );
        let hello = old.hello.clone();
        old.say(&mut far, &hello).await;
        let heard: Hello = wire::decode(&old.hear(&mut far).await).unwrap();
        assert_eq!(heard.certificate, *b.certificate());
    };
    let dialed = NodeId::from("a");
    let (at_b, ()) = tokio::join!(dial(&mut near, side, &dialed), accepting);
    assert_eq!(at_b.unwrap().proven.level, FIRST);

    // And held at its level, we dial as it does.
    let (mut near, mut far) = duplex(4096);
    let mut old = FirstRelease::new(&a, false);
    let accepting = async {
        assert_eq!(old.hear(&mut far).await, b"", "no greeting");
        let hello = old.hello.clone();
        old.say(&mut far, &hello).await;
        wire::decode::<Hello>(&old.hear(&mut far).await).unwrap();
    };
    let side = Side {
        level: FIRST,
        ..side
    };
    let (at_b, ()) = tokio::join!(dial(&mut near, side, &dialed), accepting);
    assert_eq!(at_b.unwrap().proven.level, FIRST);
}

#[test]
fn what_is_said_in_handshakes_is_pinned() {
    let certificate = wire::Certificate {
        body: wire::CertificateBody {
            cluster: "house".to_owned(),
            node: "a".into(),
            incarnation: 300,
            identity: [1; 32],
            static_key: [2; 32],
        },
        signature: vec![3; 3],
    };
    let hello = Hello {
        certificate,
        capability: Capability([0xc; 16]),
    };
    let (one, two, cap) = ("01".repeat(32), "02".repeat(32), "0c".repeat(16));
    let said = format!("05686f7573650161ac02{one}{two}03030303{cap}");
    let introduction = Introduction {
        hello: hello.clone(),
        level: Level(1),
        admission: None,
    };
    let link = Greeting {
        level: Level(1),
        purpose: Purpose::Link,
    };
    let join = Greeting {
        level: Level(1),
        purpose: Purpose::Join,
    };
    let pinned = [
        // Level 0: as the first release.
        (wire::encode(&hello), format!("01{said}")),
        (wire::encode(&link), "010100".to_owned()),
        (wire::encode(&join), "010101".to_owned()),
        (wire::encode(&introduction), format!("01{said}0100")),
    ];
    for (bytes, expected) in pinned {
        assert_eq!(hex::encode(bytes), expected);
    }
}

/// How a responder that knows `table` takes `d`, which dials it and shows `shown`; and what `d`'s
/// link, should it believe to have one, ends with.
async fn received(table: &MemberTable, shown: Option<&Admission>) -> (String, String) {
    let (d, a) = (named("d"), named("a"));
    let its_table = known(&["a", "d"]);
    let initiator = Side {
        me: &d,
        table: &its_table,
        level: NEWEST,
        admission: shown,
    };
    let responder = Side {
        me: &a,
        table,
        level: NEWEST,
        admission: None,
    };
    let (mut near, far) = duplex(64 << 10);
    let at_d = async move {
        let established = dial(&mut near, initiator, &"a".into()).await.unwrap();
        start(near, established.keys, &EpochTable::default())
    };
    let (link, at_a) = tokio::join!(at_d, accept(far, responder));
    let at_a = match at_a {
        Ok(established) => format!("{:?}", established.proven.standing),
        Err(error) => error.to_string(),
    };
    hear_out(link.reader);
    link.handle.closed().await;
    (
        at_a,
        link.handle.dismissed().unwrap_or("nothing").to_owned(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_member_unknown_here_is_let_in_by_its_admission_and_a_former_one_is_told_why_not() {
    let admission = admission_of("d", &["a", "b"]);
    let minority = admission_of("d", &["a"]);
    let former = |name: &str, leaves| MemberTable {
        removed: [(
            NodeId::from("d"),
            Former {
                identity: key(name).verifying_key().to_bytes(),
                why: "node d was evicted: stolen".to_owned(),
            },
        )]
        .into_iter()
        .collect(),
        leaves,
        ..known(&["a", "b", "c"])
    };
    let at = |leaves| MemberTable {
        leaves,
        ..known(&["a", "b", "c"])
    };
    let admitted = format!("{:?}", Standing::Admitted { leaf: LEAF });
    let unknown = "node d is not a member as far as this node knows and has no proof";
    let evicted = "node d is not a member any more: node d was evicted: stolen";
    let told = "node d was evicted: stolen";
    let leaving = |name: &str| MemberTable {
        leaving: [NodeId::from("d")].into(),
        ..former(name, 9)
    };
    let table: [(&str, MemberTable, Option<&Admission>, &str, &str); 13] = [
        (
            "in the table",
            known(&["a", "d"]),
            None,
            "Member",
            "nothing",
        ),
        ("unknown", at(0), None, unknown, "nothing"),
        (
            "admitted, no ledger here",
            at(0),
            Some(&admission),
            &admitted,
            "nothing",
        ),
        (
            "admitted, ledger behind",
            at(LEAF),
            Some(&admission),
            &admitted,
            "nothing",
        ),
        (
            "admitted and forgotten since",
            at(LEAF + 1),
            Some(&admission),
            "node d was admitted by leaf 5, but by leaf 6 it was not a member any more",
            "nothing",
        ),
        (
            "by a minority",
            at(0),
            Some(&minority),
            "node d is not a member as far as this node knows, and of its admission its checkpoint is \
             signed by 1 of the 3",
            "nothing",
        ),
        ("removed", former("d", 0), None, evicted, told),
        (
            "removed, and its vote counts",
            leaving("d"),
            None,
            "Member",
            "nothing",
        ),
        (
            "removed, its vote counts, and this is not it",
            leaving("a"),
            None,
            unknown,
            "nothing",
        ),
        (
            "removed, with its old admission",
            former("d", 9),
            Some(&admission),
            evicted,
            told,
        ),
        (
            "removed, no ledger here",
            former("d", 0),
            Some(&admission),
            evicted,
            told,
        ),
        (
            "removed and admitted again",
            former("d", LEAF),
            Some(&admission),
            &admitted,
            "nothing",
        ),
        // The name of a former member, without its key: it learns nothing.
        (
            "removed under another key",
            former("x", 9),
            None,
            unknown,
            "nothing",
        ),
    ];
    for (what, table, shown, here, there) in table {
        let (at_a, at_d) = received(&table, shown).await;
        assert!(at_a.starts_with(here), "{what}: {at_a:?}");
        assert_eq!(at_d, there, "{what}");
    }
}

/// A largest cluster's admission fits into the handshake.
#[tokio::test]
async fn an_admission_with_sixty_four_signatures_fits() {
    let names: Vec<String> = (0..64)
        .map(|n| format!("node-with-a-long-name-{n:02}.hall-7.example"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut admission = admission_of("d", &names);
    // A log of 2^64 leaves has paths of 64 hashes; this one does not hold, but must fit.
    admission.path.resize(64, [7; 32]);
    let (d, a) = (named("d"), named("a"));
    let both = known(&["a", "d"]);
    let side = |me| Side {
        me,
        table: &both,
        level: NEWEST,
        admission: Some(&admission),
    };
    let (at_d, at_a) = meet(side(&d), "a", side(&a)).await;
    assert_eq!(at_d.unwrap().proven.level, NEWEST);
    assert_eq!(at_a.unwrap().proven.standing, Standing::Member);
}

#[tokio::test]
async fn a_level_that_changes_during_the_handshake_is_refused() {
    let both = known(&["a", "b"]);
    let (a, b) = (named("a"), named("b"));
    let (mut near, far) = duplex(4096);
    let mut odd = FirstRelease::new(&a, true);
    let dialing = async {
        let greeting = Greeting {
            level: Level(2),
            purpose: Purpose::Link,
        };
        odd.say(&mut near, &wire::encode(&greeting)).await;
        odd.hear(&mut near).await;
        let hello = wire::decode(&odd.hello).unwrap();
        let introduction = Introduction {
            hello,
            level: Level(1),
            admission: None,
        };
        odd.say(&mut near, &wire::encode(&introduction)).await;
    };
    let side = Side {
        me: &b,
        table: &both,
        level: NEWEST,
        admission: None,
    };
    let ((), at_b) = tokio::join!(dialing, accept(far, side));
    let error = at_b.err().unwrap().to_string();
    assert_eq!(
        error,
        "a greeting of level 2 by a node that then introduces itself as level 1"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a stranger puts into the first and the last message: refused, never a panic.
    #[test]
    fn malformed_greetings_and_introductions_are_refused(
        first in prop::collection::vec(any::<u8>(), 0..64),
        third in prop::collection::vec(any::<u8>(), 0..1024),
        greets in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let both = known(&["a", "b"]);
            let (a, b) = (named("a"), named("b"));
            let (mut near, far) = duplex(8192);
            let mut odd = FirstRelease::new(&a, true);
            let first = if greets {
                wire::encode(&Greeting { level: NEWEST, purpose: Purpose::Link })
            } else {
                first
            };
            // Arbitrary bytes, or a hello cut short.
            let third = if whole { third } else { odd.hello[..cut.index(odd.hello.len())].to_vec() };
            let dialing = async move {
                odd.say(&mut near, &first).await;
                let mut header = [0; 2];
                if near.read_exact(&mut header).await.is_err() {
                    return;
                }
                let mut message = vec![0; usize::from(u16::from_be_bytes(header))];
                near.read_exact(&mut message).await.unwrap();
                let length = message.len();
                odd.noise.read_message(&message, &mut vec![0; length]).unwrap();
                odd.say(&mut near, &third).await;
            };
            let side = Side { me: &b, table: &both, level: NEWEST, admission: None };
            let accepting = async {
                let greeted = listen(far, side.me, side.level).await?;
                match greeted.purpose() {
                    Purpose::Link => greeted.link(side).await.map(|_| ()),
                    Purpose::Join => greeted.applicant(side).await.map(|_| ()),
                }
            };
            let ((), outcome) = tokio::join!(dialing, accepting);
            // An applicant's last message is not looked at; everything else is refused.
            if greets {
                assert!(outcome.is_err());
            }
        });
    }
}
