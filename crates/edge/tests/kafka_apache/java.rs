//! Kafka's own client in Java: `kafka_suite/JavaClient.java`, run from its source.

use crate::apache::Brokers;
use crate::kafka_suite::within;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

pub(crate) struct Java {
    _child: Child,
    pipes: Mutex<Pipes>,
}

struct Pipes {
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Java {
    pub(crate) fn start(apache: &Brokers) -> Self {
        let properties = apache.folder().join("java.properties");
        let addresses = apache.addresses().join(",");
        std::fs::write(&properties, format!("bootstrap.servers={addresses}\n")).unwrap();
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka_suite/JavaClient.java");
        let mut child = Command::new("java")
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
            .arg("-cp")
            .arg(format!("{}/*", apache.libs.display()))
            .args([&source, &properties])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pipes = Pipes {
            commands: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()).lines(),
        };
        Self {
            _child: child,
            pipes: Mutex::new(pipes),
        }
    }

    /// Does it when what others want is done, and waits until that is so.
    pub(crate) async fn does(&self, command: &str) {
        let mut pipes = self.pipes.lock().await;
        pipes.begins(command).await;
        pipes.is_done(command).await;
    }

    /// Hands a command over; commands are done one after the other. No one else may use this client until it
    /// [is done](Self::is_done).
    pub(crate) async fn begins(&self, command: &str) {
        self.pipes.lock().await.begins(command).await;
    }

    pub(crate) async fn is_done(&self, command: &str) {
        self.pipes.lock().await.is_done(command).await;
    }
}

impl Pipes {
    async fn begins(&mut self, command: &str) {
        let line = format!("{command}\n");
        self.commands.write_all(line.as_bytes()).await.unwrap();
    }

    async fn is_done(&mut self, command: &str) {
        let answer = within(self.answers.next_line()).await.unwrap();
        assert_eq!(answer.as_deref(), Some("ok"), "{command}");
    }
}
