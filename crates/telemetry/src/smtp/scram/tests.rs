use super::*;

const NONCES: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

fn pencil() -> Verifier {
    let salt = decode("W22ZaJ0SNY7soEsUEjb6gQ==")
        .unwrap()
        .try_into()
        .unwrap();
    Verifier::new("pencil", salt, 4_096).unwrap()
}

fn client(binding: Option<Hash>) -> ScramClient {
    ScramClient {
        bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
        nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
        ..ScramClient::new("user", [0; 18], binding)
    }
}

fn exchange(client: &ScramClient, binding: Option<Hash>) -> (Exchange, String) {
    let plus = binding.is_some();
    let first = ClientFirst::read(client.first().as_bytes(), plus, plus).expect("well-formed");
    Exchange::with_nonce(first, pencil(), NONCES.to_owned(), binding)
}

#[test]
fn the_example_of_rfc_7677() {
    let client = client(None);
    assert_eq!(client.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let (exchange, server_first) = exchange(&client, None);
    assert_eq!(
        server_first,
        format!("r={NONCES},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    );
    let good = format!("c=biws,r={NONCES},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    let server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    let proof = client.answer(&server_first, "pencil").expect("well-formed");
    assert_eq!(proof.message, good);
    assert_eq!(proof.server_final, server_final);
    assert_eq!(
        exchange.finish(good.as_bytes()).as_deref(),
        Some(server_final)
    );
    assert_eq!(exchange.name(), "user");
    for bad in [
        good.replace("p=dH", "p=eH"),
        good.replace("biws", "eSws"),
        good.replace("$k0", "$k1"),
        good.replace(",p=", ",x=y,p="),
        good.replace(",p=", ""),
        String::new(),
    ] {
        assert_eq!(exchange.finish(bad.as_bytes()), None, "{bad}");
    }
    for bad in [
        "",
        "r=other,s=AAAA,i=4096",
        "r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096",
    ] {
        assert_eq!(client.answer(bad, "pencil"), Err(ScramError), "{bad}");
    }
    let cheap = server_first.replace("4096", "1");
    assert_eq!(client.answer(&cheap, "pencil"), Err(ScramError));
}

#[test]
fn a_bound_proof_is_good_on_its_own_connection_only() {
    for (theirs, known) in [(Some([7; 32]), true), (Some([8; 32]), false)] {
        let client = client(theirs);
        let (ours, server_first) = exchange(&client, Some([7; 32]));
        let proof = client.answer(&server_first, "pencil").expect("well-formed");
        assert_eq!(ours.finish(proof.message.as_bytes()).is_some(), known);
        // Nor is one that leaves the binding out.
        let stripped = proof.message.replace(&proof.message[..50], "c=biws");
        assert_eq!(ours.finish(stripped.as_bytes()), None);
    }
}

#[test]
fn first_messages() {
    let read = |text: &str, plus, offered| ClientFirst::read(text.as_bytes(), plus, offered);
    let good = [
        ("n,,n=user,r=x", false, false),
        ("n,,n=user,r=x", false, true),
        ("y,,n=user,r=x", false, false),
        ("n,a=user,n=user,r=x", false, true),
        ("n,,n=user,r=x,ext=1", false, true),
        ("p=tls-exporter,,n=user,r=x", true, true),
    ];
    for (text, plus, offered) in good {
        let first = read(text, plus, offered).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(first.name, "user");
    }
    assert_eq!(
        read("n,,n=a=2Cb=3D,r=x", false, true)
            .map(|f| f.name)
            .as_deref(),
        Some("a,b=")
    );
    let bad = [
        // A downgrade: the client could bind, and was made to think that we cannot.
        ("y,,n=user,r=x", false, true),
        ("p=tls-exporter,,n=user,r=x", false, true),
        ("p=tls-unique,,n=user,r=x", true, true),
        ("n,,n=user,r=x", true, true),
        ("n,a=other,n=user,r=x", false, true),
        ("n,,m=ext,n=user,r=x", false, true),
        ("n,,n=us=4Der,r=x", false, true),
        ("n,,n=,r=x", false, true),
        ("n,,n=user,r=", false, true),
        ("n,,n=user,r=a b", false, true),
        ("n,,n=user", false, true),
        ("", false, true),
    ];
    for (text, plus, offered) in bad {
        assert_eq!(read(text, plus, offered), None, "{text}");
    }
}

#[test]
fn verifiers_are_read_and_written() {
    let verifier = pencil();
    let text = verifier.to_string();
    assert_eq!(text.parse(), Ok(verifier.clone()));
    assert!(verifier.matches(b"pencil") && !verifier.matches(b"Pencil"));
    assert!(!format!("{verifier:?}").contains("stored"));
    for bad in [
        "",
        "pencil",
        &text.replace("4096", "4095"),
        &text.replace("4096", "65537"),
        &text.replace("SHA-256", "SHA-1"),
        &text[..text.len() - 4],
    ] {
        assert!(bad.parse::<Verifier>().is_err(), "{bad}");
    }
    for password in ["", "pass\u{fc}word", "a\n", &"x".repeat(256)] {
        assert_eq!(
            Verifier::new(password, [0; SALT], MIN_ITERATIONS),
            Err(VerifierError::Password)
        );
    }
}
