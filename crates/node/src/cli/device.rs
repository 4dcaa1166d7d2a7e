//! `glasshouse device list|send|login|fingerprint|house-key`.

use super::Outcome;
use clap::{Subcommand, ValueEnum};
use edge::mailer::{Mailer, MailerConfig, Security};
use edge::smtp::{DEFAULT_ITERATIONS, SALT, Verifier, seal};
use edge::tls::Certified;
use gear::{Device, State};
use std::path::{Path, PathBuf};
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
    /// The house's public key, as `device house-key` prints it: the message is sealed for it.
    #[arg(long, requires = "signed_by")]
    sealed_for: Option<String>,
    /// The device's ed25519 key, as `glasshouse identity FILE --new` makes it: signs what is sealed.
    #[arg(long, requires = "sealed_for")]
    signed_by: Option<PathBuf>,
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

/// An ordinary message with the sealed one in it. The clock in milliseconds counts.
fn sealed(
    arguments: &Send,
    house: &str,
    signing: &Path,
    message: &[u8],
) -> Result<Vec<u8>, Box<dyn std::error::Error + std::marker::Send + Sync>> {
    let house = hex::decode(house)
        .ok()
        .and_then(|octets| octets.try_into().ok())
        .ok_or(
            "`--sealed-for` must be 64 hex digits, as `glasshouse device house-key` prints them",
        )?;
    let signing = crate::identity::load(signing)?;
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy)
        .map_err(|error| format!("the system gives no randomness: {error}"))?;
    let counter = runtime::clock::unix_now().0;
    let text = seal(&house, &arguments.id, &signing, counter, message, entropy)?;
    let header = format!(
        "From: <{}>\r\nTo: <{}>\r\nDate: {}\r\nSubject: sealed report\r\n\r\n",
        arguments.from,
        arguments.recipient,
        gear::mail::rfc5322(runtime::clock::unix_now())
    );
    Ok([header, text].concat().into_bytes())
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
    let raw = match (&arguments.sealed_for, &arguments.signed_by) {
        (Some(house), Some(signing)) => sealed(arguments, house, signing, &mail.raw)?,
        (Some(_), None) | (None, Some(_)) | (None, None) => mail.raw,
    };
    if arguments.print {
        print!("{}", String::from_utf8_lossy(&raw));
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
    runtime.block_on(mailer.send_raw(&mail.from, std::slice::from_ref(&mail.to), &raw))?;
    println!(
        "accepted: {} bytes from {} to {}",
        raw.len(),
        mail.from,
        mail.to
    );
    Ok(())
}
