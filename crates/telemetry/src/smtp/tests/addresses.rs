use super::super::address;
use super::super::address::{Lenient, Path};
use super::*;

#[test]
fn mailboxes() {
    let good = [
        ("a@b.example", "a", "b.example"),
        ("A.B@Host.EXAMPLE", "A.B", "host.example"),
        ("ups_1@pdu_7.local", "ups_1", "pdu_7.local"),
        ("!#$%&'*+-/=?^_`{|}~@b", "!#$%&'*+-/=?^_`{|}~", "b"),
        ("\"two words\"@b.example", "\"two words\"", "b.example"),
        ("\"a\\\"b@c\"@b.example", "\"a\\\"b@c\"", "b.example"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[IPv6:2001:db8::1]", "a", "[ipv6:2001:db8::1]"),
        ("jörg@schloß.example", "jörg", "schloß.example"),
    ];
    for (text, local, domain) in good {
        let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((address.local(), address.domain()), (local, domain));
        assert_eq!(
            Address::parse(address.as_str()),
            Ok(address.clone()),
            "reads what it writes"
        );
    }
    let bad = [
        ("", AddressError::NoDomain),
        ("a", AddressError::NoDomain),
        ("@b", AddressError::Local),
        (".a@b", AddressError::Local),
        ("a..b@c", AddressError::Local),
        ("a b@c", AddressError::Local),
        ("a\u{a0}b@c", AddressError::Local),
        ("\"a@b", AddressError::Local),
        ("\"a\"b@c", AddressError::NoDomain),
        ("a@", AddressError::Domain),
        ("a@b..c", AddressError::Domain),
        ("a@-b", AddressError::Domain),
        ("a@b-.c", AddressError::Domain),
        ("a@b c", AddressError::Domain),
        ("a@b@c", AddressError::Domain),
        ("a@[192.0.2.256]", AddressError::Domain),
        ("a@[2001:db8::1]", AddressError::Domain),
        ("a@[é]", AddressError::Domain),
        ("a@10.0.0.1", AddressError::Domain),
        ("a@b.1", AddressError::Domain),
        ("a@0x7f.1", AddressError::Domain),
        ("a\u{202e}@b", AddressError::Local),
        ("a@b\u{200b}.example", AddressError::Domain),
    ];
    for (text, error) in bad {
        assert_eq!(Address::parse(text), Err(error), "{text}");
    }
    let long = "x".repeat(64);
    assert!(Address::parse(&format!("{long}@b")).is_ok());
    assert_eq!(
        Address::parse(&format!("{long}x@b")),
        Err(AddressError::TooLong)
    );
    let domain = "d".repeat(300);
    assert_eq!(
        Address::parse(&format!("a@{domain}")),
        Err(AddressError::TooLong)
    );
}

fn path(input: &str) -> Result<(Path, &str), AddressError> {
    address::path(input, Lenient::default())
}

#[test]
fn paths() {
    let mailbox = |text: &str| Path::Mailbox(Address::parse(text).expect("a mailbox"));
    assert_eq!(path("<> SIZE=1"), Ok((Path::Null, " SIZE=1")));
    assert_eq!(path("<PostMaster>"), Ok((Path::Postmaster, "")));
    assert_eq!(path("<a@b>x"), Ok((mailbox("a@b"), "x")));
    assert_eq!(path("<@x,@y.z:a@b>"), Ok((mailbox("a@b"), "")));
    assert_eq!(path("<\"a>b\"@c> y"), Ok((mailbox("\"a>b\"@c"), " y")));
    for text in ["", "a@b", "<a@b", "<", "\"<a@b>", " <a@b>"] {
        assert_eq!(path(text), Err(AddressError::Brackets), "{text}");
    }
}

#[test]
fn what_a_profile_lets_be_put_right() {
    let all = Lenient {
        empty_helo: true,
        literals: true,
        brackets: true,
    };
    let mailbox = |text: &str| Path::Mailbox(Address::parse(text).expect("a mailbox"));
    let table = [
        ("a@b.example", "a@b.example", ""),
        (" <a@b.example> SIZE=1", "a@b.example", " SIZE=1"),
        ("a@b.example SIZE=1", "a@b.example", " SIZE=1"),
        ("<a@10.0.0.1>", "a@[10.0.0.1]", ""),
        ("a@[2001:db8::1]", "a@[ipv6:2001:db8::1]", ""),
        ("<a@[IPv6:2001:db8::1]>", "a@[ipv6:2001:db8::1]", ""),
    ];
    for (text, address, rest) in table {
        assert_eq!(
            address::path(text, all),
            Ok((mailbox(address), rest)),
            "{text}"
        );
    }
    for text in [
        "",
        " ",
        "<a@b",
        "a@b>",
        "<a@10.0.0.256>",
        "a@[x]",
        "a",
        "<a@b>x@y>",
    ] {
        let outcome = address::path(text, all);
        assert!(!matches!(outcome, Ok((_, ""))), "{text}: {outcome:?}");
    }
}

#[test]
fn networks() {
    let table = [
        ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.0/24", "::ffff:192.0.2.1", true),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.6", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "2001:db8::1", true),
    ];
    for (network, peer, expected) in table {
        let network = Network::parse(network).expect("a network");
        assert_eq!(
            network.contains(peer.parse().expect("an address")),
            expected,
            "{network:?} {peer}"
        );
    }
    for text in [
        "",
        "192.0.2.0/33",
        "192.0.2.0/",
        "192.0.2.0/-1",
        "::/129",
        "house.example",
    ] {
        assert_eq!(Network::parse(text), None, "{text}");
    }
}
