//! `glasshouse device list|send|login|fingerprint|house-key`.

use super::Outcome;
use clap::{Subcommand, ValueEnum};
use edge::mailer::{Mailer, MailerConfig, Security};
use edge::smtp::{DEFAULT_ITERATIONS, SALT, Verifier};
use edge::tls::Certified;
use gear::{Device, State};
use std::path::PathBuf;
use std::time::Duration;

/// A person waits for the answer.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, ValueEnum)]
enum Mood {
    Normal,
    Failing,
    Recovered,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// What kinds of device can be played.
    List,
    /// Send one mail as a device of KIND would.
    Send(Send),
    /// Make a password, and what the configuration keeps of it as `login`.
    Login {
        /// Read a password of your own from standard input, one line.
        #[arg(long)]
        stdin: bool,
    },
    /// Print what the configuration knows a client certificate by.
    Fingerprint {
        /// The certificate, PEM.
        file: PathBuf,
    },
    /// Print the public key that devices seal for; it is made if there is none.
    HouseKey {
        /// A node's configuration.
        #[arg(long)]
        config: PathBuf,
    },
}

#[derive(clap::Args)]
pub(super) struct Send {
    /// A kind from `glasshouse device list`.
    kind: String,
    /// The mailbox, host:port.
    #[arg(long, default_value = "127.0.0.1:2525")]
    to: String,
    /// Recipient.
    #[arg(long, default_value = gear::mail::MAILBOX)]
    recipient: String,
    /// The device's own address: what it is known by.
    #[arg(long)]
    from: String,
    /// The device's id as it appears in the message.
    #[arg(long, default_value = "device-1")]
    id: String,
    /// How the device fares.
    #[arg(long, value_enum, default_value = "normal")]
    state: Mood,
    /// PEM file with the mailbox's certificate or its CA; without it the mail goes in clear.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Print the message instead of sending it.
    #[arg(long)]
    print: bool,
    /// Varies the numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List => {
            for kind in gear::catalog() {
                println!("{:<14} {}", kind.name, kind.about);
            }
            Ok(())
        }
        Command::Send(arguments) => send(arguments),
        Command::Login { stdin } => login(*stdin),
        Command::Fingerprint { file } => {
            let certificate = std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let key = String::new();
            let certified = Certified { certificate, key };
            println!("{}", hex::encode(certified.fingerprint()?));
            Ok(())
        }
        Command::HouseKey { config } => {
            let config = config::load(config)?;
            let key = crate::build::house_key(&config.node.data_dir)?;
            println!("{}", hex::encode(key.public()));
            Ok(())
        }
    }
}

/// Octets of a made password: 120 bits, which nobody guesses.
const PASSWORD: usize = 15;

fn login(stdin: bool) -> Outcome {
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt)
        .map_err(|error| format!("the system gives no randomness: {error}"))?;
    let password = if stdin {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        let mut octets = [0; PASSWORD];
        getrandom::fill(&mut octets)
            .map_err(|error| format!("the system gives no randomness: {error}"))?;
        let made = hex::encode(octets);
        eprintln!("The device's password, shown this once: {made}");
        made
    };
    let verifier = Verifier::new(&password, salt, DEFAULT_ITERATIONS)?;
    println!("login = \"{verifier}\"");
    Ok(())
}

fn send(arguments: &Send) -> Outcome {
    let kind = gear::catalog()
        .iter()
        .find(|kind| kind.name == arguments.kind)
        .ok_or_else(|| {
            let names: Vec<&str> = gear::catalog().iter().map(|kind| kind.name).collect();
            format!(
                "`{}` is no kind of device; it must be one of {}",
                arguments.kind,
                names.join(", ")
            )
        })?;
    let state = match arguments.state {
        Mood::Normal => State::Normal,
        Mood::Failing => State::Failing,
        Mood::Recovered => State::Recovered,
    };
    let device = Device::new(&arguments.id, &arguments.from, kind.class, "unknown")
        .reporting_to(&arguments.recipient);
    let mail = gear::render(
        kind.kind,
        &device,
        runtime::clock::unix_now(),
        state,
        arguments.seed,
    );
    if arguments.print {
        print!("{}", String::from_utf8_lossy(&mail.raw));
        return Ok(());
    }
    let (host, port) = arguments
        .to
        .rsplit_once(':')
        .ok_or_else(|| format!("`--to {}` must be host:port", arguments.to))?;
    let security = match &arguments.ca {
        Some(path) => Security::StartTls {
            roots: std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read --ca {}: {error}", path.display()))?,
        },
        None => Security::Plaintext,
    };
    let mailer = Mailer::new(MailerConfig {
        host: host.to_owned(),
        port: port
            .parse()
            .map_err(|_| format!("`--to {}`: `{port}` is no port", arguments.to))?,
        security,
        helo: "device.invalid".into(),
        from: arguments.from.clone(),
        to: vec![arguments.recipient.clone()],
        limit: LIMIT,
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(mailer.send_raw(&mail.from, std::slice::from_ref(&mail.to), &mail.raw))?;
    println!(
        "accepted: {} bytes from {} to {}",
        mail.raw.len(),
        mail.from,
        mail.to
    );
    Ok(())
}
