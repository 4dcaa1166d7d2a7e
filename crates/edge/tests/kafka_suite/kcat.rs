//! kcat (librdkafka), the independent client.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// Runs `kcat -b bootstrap …` with this standard input and returns its standard output.
pub(crate) fn run(bootstrap: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new("kcat");
    command
        .args([
            "-b",
            bootstrap,
            "-X",
            "socket.timeout.ms=5000",
            "-X",
            "message.timeout.ms=10000",
        ])
        .args(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("kcat is missing: run `cargo xtask setup`")
        }
        Err(error) => panic!("kcat does not start: {error}"),
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// As [`run`], off the test's own thread, which may be the broker's too.
pub(crate) async fn spawn(
    bootstrap: &str,
    arguments: &[&str],
    input: &str,
) -> Result<String, String> {
    let (bootstrap, input) = (bootstrap.to_owned(), input.to_owned());
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| (*argument).to_owned())
        .collect();
    let task = tokio::task::spawn_blocking(move || {
        run(
            &bootstrap,
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
            &input,
        )
    });
    super::within(task).await.unwrap()
}
