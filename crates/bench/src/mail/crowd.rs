//! Connections that are open and silent, held by a process of their own.

use super::session::Session;
use crate::Failure;
use crate::lines::{self, Led};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// The word by which a benchmark starts itself as a crowd.
pub const WORD: &str = "crowd";

/// Files of a process that are no connections.
pub const OTHER_FILES: usize = 200;

/// What a crowd process is told on its command line.
#[derive(clap::Args)]
pub struct Arguments {
    /// Whom it visits
    address: SocketAddr,
    /// What it trusts, if it shakes hands
    #[arg(long)]
    roots: Option<PathBuf>,
}

/// A crowd that was started; it leaves when dropped.
pub struct Crowd {
    led: Led,
}

impl Crowd {
    /// Ready to come, with at most `most`.
    pub async fn start(
        address: SocketAddr,
        most: usize,
        roots: Option<&Path>,
    ) -> Result<Self, Failure> {
        let mut command = super::with_files(most + OTHER_FILES, &std::env::current_exe()?);
        command.args([WORD, &address.to_string()]);
        if let Some(roots) = roots {
            command.arg("--roots").arg(roots);
        }
        let led = Led::lead(command).await?;
        Ok(Self { led })
    }

    /// So many more connect and say EHLO.
    pub async fn come(&mut self, count: usize) -> Result<(), Failure> {
        match self.led.order(&count.to_string()).await?.as_str() {
            "" => Ok(()),
            why => Err(why.into()),
        }
    }
}

/// Runs until its orders end.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let tls = match &arguments.roots {
        Some(roots) => Some(edge::tls::client_config(&std::fs::read_to_string(roots)?)?),
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let here = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(lines::obey(move |order| {
        let (here, tls) = (Arc::clone(&here), tls.clone());
        async move {
            let mut here = here.lock().await;
            for _ in 0..order.parse::<usize>()? {
                match Session::open(arguments.address, tls.as_ref()).await {
                    Ok(session) => here.push(session),
                    Err(why) => return Ok(format!("connection {}: {why}", here.len() + 1)),
                }
            }
            Ok(String::new())
        }
    }))
}
