//! A child process that is led by lines: orders in, answers out.

use crate::Failure;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// The longest that any order takes here.
const PATIENCE: Duration = Duration::from_secs(60);

/// The child; killed when dropped.
pub struct Led {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Led {
    /// Starts this very program with other arguments, and waits for its first line.
    pub async fn start(arguments: &[String]) -> Result<Self, Failure> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(arguments);
        Self::lead(command).await
    }

    /// Starts what then is this program, and waits for its first line.
    pub async fn lead(command: std::process::Command) -> Result<Self, Failure> {
        let mut process = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let orders = process
            .stdin
            .take()
            .ok_or("a child without a standard input")?;
        let output = process
            .stdout
            .take()
            .ok_or("a child without a standard output")?;
        let mut led = Self {
            process,
            orders,
            answers: BufReader::new(output).lines(),
        };
        led.answer().await?;
        Ok(led)
    }

    /// Its process, unless it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Gives an order; its answer.
    pub async fn order(&mut self, order: &str) -> Result<String, Failure> {
        self.orders
            .write_all(format!("{order}\n").as_bytes())
            .await?;
        self.orders.flush().await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<String, Failure> {
        let line = tokio::time::timeout(PATIENCE, self.answers.next_line()).await??;
        line.ok_or_else(|| "a child process ended early; its complaint stands above".into())
    }
}

/// The child's side: says it is ready, then answers each order until there are no more.
pub async fn obey<F>(mut answer: impl FnMut(String) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<String, Failure>>,
{
    let (hand_on, mut orders) = mpsc::channel(1);
    std::thread::spawn(move || {
        std::io::stdin()
            .lines()
            .map_while(Result::ok)
            .try_for_each(|order| hand_on.blocking_send(order))
    });
    println!("ready");
    while let Some(order) = orders.recv().await {
        println!("{}", answer(order).await?);
    }
    Ok(())
}
