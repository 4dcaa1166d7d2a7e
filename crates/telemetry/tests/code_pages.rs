//! Our code pages beside those of glibc and of Python.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::Write as _;
use std::process::{Command, Stdio};
use telemetry::ebcdic::CodePage;

/// What a foreign program makes of all 256 bytes.
fn foreign(program: &str, arguments: &[&str]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let all: Vec<u8> = (0..=255).collect();
    child.stdin.take().unwrap().write_all(&all).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// glibc's converters are made from IBM's CDRA tables; `iconv` and they are part of every glibc system.
#[test]
fn tables_are_those_of_glibc() {
    let all: Vec<u8> = (0..=255).collect();
    for page in CodePage::ALL {
        let name = format!("IBM{page}");
        assert_eq!(
            page.decode(&all),
            foreign("iconv", &["-f", &name, "-t", "UTF-8"]),
            "{name}"
        );
    }
}

/// Python has no codec for 1047.
#[test]
fn tables_are_those_of_python() {
    const SCRIPT: &str = "import sys; sys.stdout.buffer.write(\
        sys.stdin.buffer.read().decode(sys.argv[1]).encode())";
    let all: Vec<u8> = (0..=255).collect();
    for page in CodePage::ALL {
        if page == CodePage::Cp1047 {
            continue;
        }
        let theirs = foreign("python3", &["-c", SCRIPT, &format!("cp{page}")]);
        // In 273 Python has an overline where CDRA, glibc and ICU have a macron.
        let theirs = match page {
            CodePage::Cp273 => theirs.replace('\u{203e}', "¯"),
            CodePage::Cp037 | CodePage::Cp500 | CodePage::Cp1047 | CodePage::Cp1140 => theirs,
        };
        assert_eq!(page.decode(&all), theirs, "{page:?}");
    }
}
