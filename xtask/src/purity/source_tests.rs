use super::*;

/// The violations of one file as `line: first word of the sentence`.
fn check(code: &str, expected: &[&str]) {
    let found = violations(&[(PathBuf::from("src/lib.rs"), code.to_owned())]);
    let short: Vec<String> = found
        .iter()
        .map(|(_, line, what)| format!("{line}: {}", what.split(' ').next().unwrap_or_default()))
        .collect();
    assert_eq!(short, expected, "{code}");
}

#[test]
fn every_kind_of_effect_is_found() {
    check("use std::net::TcpStream;", &["1: std::net"]);
    check("fn f() { std::fs::read(\"x\"); }", &["1: std::fs"]);
    check("\nuse std::process;", &["2: std::process"]);
    check("let t = ::std::thread::spawn(f);", &["1: std::thread"]);
    check("let p = std::env::var(name);", &["1: std::env"]);
    check("use std::time::Instant;", &["1: std::time::Instant"]);
    check("let now = Instant::now();", &["1: Instant::now"]);
    check("let now = time::Instant :: now ();", &["1: Instant::now"]);
    check(
        "use std::time::SystemTime as Clock;",
        &["1: std::time::SystemTime"],
    );
    check("let r = rand::rng();", &["1: rand::rng"]);
    check("let r = rand::thread_rng();", &["1: rand::thread_rng"]);
    check("getrandom::fill(&mut bytes);", &["1: getrandom"]);
    check("OsRng.fill_bytes(&mut bytes);", &["1: OsRng"]);
    check(
        "use std::collections::HashMap;",
        &["1: std::collections::HashMap"],
    );
    check("fn f(m: &HashSet<u8>) {}", &["1: HashSet"]);
    check("async fn f() { g().await }", &["1: async", "1: await"]);
    check("use tokio::sync::mpsc;", &["1: tokio"]);
    check("use ractor::Actor;", &["1: ractor"]);
}

#[test]
fn groups_of_imports_are_multiplied_out() {
    check(
        "use std::{\n    collections::{BTreeMap, HashMap},\n    fs,\n    net::{IpAddr, TcpStream},\n    time::{Duration, Instant},\n};",
        &[
            "2: std::collections::HashMap",
            "3: std::fs",
            "4: std::net",
            "5: std::time::Instant",
        ],
    );
}

#[test]
fn harmless_code_passes() {
    check(
        "use std::time::Duration;\nuse machine::Instant;\nfn f(now: Instant) -> Instant { now + Duration::ZERO }",
        &[],
    );
    check("// std::fs is not used\nlet text = \"std::net\";", &[]);
    check("use std::collections::{BTreeMap, BTreeSet};", &[]);
    check(
        "mod net; use crate::net::Frame; let fs = self.fs; let my_async = 1;",
        &[],
    );
    check(
        "fn processed(standard: u8) { let tokio_like = standard; }",
        &[],
    );
    check("use mystd::fs; let x = rand::rngs::Seeded;", &[]);
}

#[test]
fn tests_may_do_as_they_like() {
    check(
        "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n    fn g() { if x { } }\n}\nuse std::net;",
        &["7: std::net"],
    );
    check("#[cfg(test)]\nuse std::fs;\nfn f() {}", &[]);
    check(
        "#[cfg(test)]\nfn f(x: [u8; 2]) { std::fs::read(x); }\nfn g() { std::net::x() }",
        &["3: std::net"],
    );
}

#[test]
fn test_modules_in_files_of_their_own_are_left_out_and_others_are_not() {
    let effect = "use std::fs;".to_owned();
    let file = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
    let files = [
        file(
            "src/lib.rs",
            "#[cfg(test)]\nmod tests;\nmod a;\n#[cfg(test)]\n#[path = \"odd_name.rs\"]\nmod odd;",
        ),
        file("src/tests.rs", &effect),
        file("src/tests/deeper.rs", &effect),
        file("src/odd_name.rs", &effect),
        file("src/a.rs", "#[cfg(test)]\npub(crate) mod tests;"),
        file("src/a/tests.rs", &effect),
        file("src/a/real.rs", &effect),
    ];
    let found: Vec<PathBuf> = violations(&files)
        .into_iter()
        .map(|(path, ..)| path)
        .collect();
    assert_eq!(found, [PathBuf::from("src/a/real.rs")]);
}
