//! How the input is cut into pieces must not matter, and no input may bring the session down.

use super::*;
use proptest::prelude::*;

/// What a client may find.
#[derive(Clone, Copy, Debug)]
enum World {
    /// The standard, in clear.
    Strict,
    /// TLS, passwords, and a profile that relaxes everything.
    Relaxed,
    Lmtp,
}

const WORLDS: [World; 3] = [World::Strict, World::Relaxed, World::Lmtp];

fn shell(world: World) -> Shell {
    let strict = Policy {
        max_size: 300,
        max_errors: 8,
        ..policy()
    };
    let mut shell = match world {
        World::Strict => Shell::new(strict),
        World::Lmtp => {
            let protocol = Protocol::Lmtp;
            Shell::of(
                strict,
                Arrival {
                    protocol,
                    ..arrival()
                },
            )
        }
        World::Relaxed => {
            let device = Device {
                id: "ups-1".to_owned(),
                login: Verifier::new("pencil", [1; SALT], MIN_ITERATIONS).ok(),
                ..Device::default()
            };
            let everywhere = Network::parse("0.0.0.0/0").expect("a network");
            let relaxed = Policy {
                devices: Arc::new(Devices::new([device])),
                profiles: vec![Profile {
                    relaxes: Relaxation::ALL.into(),
                    ..Profile::allow_plaintext_from(vec![everywhere])
                }],
                ..strict
            };
            let exporter = Some([9; 32]);
            let tls = Some(Tls {
                exporter,
                ..Tls::default()
            });
            Shell::of(relaxed, Arrival { tls, ..arrival() })
        }
    };
    // When a handshake is done depends on the client; here none ever is.
    shell.handshakes = false;
    shell
}

fn outputs(world: World, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Output> {
    let mut shell = shell(world);
    for piece in pieces {
        shell.feed(piece.as_ref());
    }
    shell.seen
}

const SESSION: &str = "EHLO c\r\nMAIL FROM:<a@b.example> SIZE=10\r\nRCPT TO:<t@house.example>\r\n\
    RCPT TO:<t@elsewhere.example>\r\nDATA\r\nSubject: x\r\n\r\n..dots\r\n.\r\nNOOP\r\nBDAT 5\r\n\
    12345MAIL FROM:<>\r\nRCPT TO:<t@house.example>\r\nBDAT 5\r\nab\r\n.BDAT 2 LAST\r\n\r\nSTARTTLS\r\n";

#[test]
fn a_session_cut_at_any_byte_is_the_same_session() {
    let whole = outputs(World::Strict, [SESSION]);
    assert_eq!(
        whole
            .iter()
            .filter(|output| matches!(output, Output::Message(_)))
            .count(),
        2
    );
    for cut in 0..SESSION.len() {
        let (front, back) = SESSION.as_bytes().split_at(cut);
        assert_eq!(outputs(World::Strict, [front, back]), whole, "cut at {cut}");
    }
    assert_eq!(outputs(World::Strict, SESSION.as_bytes().chunks(1)), whole);
}

/// Fragments of sessions, good and bad, so that random strings of them get somewhere.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let fixed = prop::sample::select(vec![
        "EHLO c\r\n",
        "HELO c\r\n",
        "MAIL FROM:<>\r\n",
        "MAIL FROM:<a@b.example>\r\n",
        "RCPT TO:<t@house.example>\r\n",
        "RCPT TO:<t@evil.example>\r\n",
        "DATA\r\n",
        "x\r\n",
        ".\r\n",
        "..\r\n",
        "\r\n",
        "\r",
        "\n",
        ".",
        "\0",
        "BDAT 4\r\n",
        "BDAT 4 LAST\r\n",
        "BDAT 0 LAST\r\n",
        "BDAT 400\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "QUIT\r\n",
        "STARTTLS\r\n",
        "MAIL FROM:<a@b.example> SIZE=301\r\n",
        "BDAT 9999999\r\n",
        "abcd",
        "a\nb\n",
        "EHLO\r\n",
        "LHLO c\r\n",
        "MAIL FROM: a@10.0.0.1\r\n",
        "RCPT TO:t@house.example NOTIFY=NEVER\r\n",
        "AUTH PLAIN\r\n",
        "AUTH LOGIN\r\n",
        "AUTH PLAIN AHVwcy0xAHBlbmNpbA==\r\n",
        "AHVwcy0xAHBlbmNpbA==\r\n",
        "AUTH SCRAM-SHA-256 biwsbj11cHMtMSxyPXg=\r\n",
        "AUTH SCRAM-SHA-256-PLUS\r\n",
        "cD10bHMtZXhwb3J0ZXIsLG49dXBzLTEscj14\r\n",
        "*\r\n",
    ]);
    prop_oneof![
        20 => fixed.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (200_usize..1_300).prop_map(|len| vec![b'y'; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn pieces_do_not_matter(
        world in prop::sample::select(WORLDS.to_vec()),
        fragments in prop::collection::vec(fragment(), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let input: Vec<u8> = fragments.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]);
        prop_assert_eq!(outputs(world, pieces), outputs(world, [&input]));
    }

    /// Whatever comes: no panic, no message without an accepted recipient, nothing after the end.
    #[test]
    fn any_bytes_are_survived(input in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for world in WORLDS {
            let mut shell = shell(world);
            shell.feed(&input);
            prop_assert!(shell.messages().is_empty());
        }
    }

    #[test]
    fn a_close_is_the_last_output_and_messages_are_within_bounds(
        world in prop::sample::select(WORLDS.to_vec()),
        fragments in prop::collection::vec(fragment(), 0..60),
    ) {
        let seen = outputs(world, fragments);
        let close = seen.iter().position(|output| *output == Output::Close);
        prop_assert!(close.is_none_or(|at| at + 1 == seen.len()));
        for output in &seen {
            if let Output::Message(mail) = output {
                prop_assert!(mail.data.len() <= 300);
                prop_assert!(!mail.forward_paths.is_empty());
                prop_assert!(mail.forward_paths.iter().all(|path| path.domain() == "house.example"));
                let text: &[u8] = &mail.data;
                prop_assert!(!text.contains(&0));
                let line_ends = text.windows(2).filter(|pair| *pair == b"\r\n").count();
                prop_assert_eq!(text.iter().filter(|&&byte| byte == b'\n').count(), line_ends);
                prop_assert_eq!(text.iter().filter(|&&byte| byte == b'\r').count(), line_ends);
            }
        }
    }
}
