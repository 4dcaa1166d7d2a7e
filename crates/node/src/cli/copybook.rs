//! `glasshouse copybook check|decode`: a copybook's layout, and what records hold by it.

mod layout;
mod record;
#[cfg(test)]
mod tests;

use super::Outcome;
use clap::{Subcommand, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};
use telemetry::copybook::framing::{self, Framing};
use telemetry::copybook::{Copybook, Reference, Row};
use telemetry::ebcdic::CodePage;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Check copybook FILE and show its layout: offset, length, picture, usage and name of every entry.
    /// Exit code 0 only if it can be read.
    Check {
        /// The copybook.
        file: PathBuf,
        #[command(flatten)]
        source: Source,
    },
    /// Show what the records of DATA hold by copybook FILE. Exit code 0 only if all can be read.
    Decode {
        /// The copybook.
        file: PathBuf,
        #[command(flatten)]
        source: Source,
        /// The records, as they come from the mainframe (transferred in binary).
        #[arg(long)]
        data: PathBuf,
        /// EBCDIC code page of the text: 037, 273, 500, 1047 or 1140.
        #[arg(long, default_value = "037")]
        code_page: CodePage,
        /// A record descriptor word stands before each record.
        #[arg(long, conflicts_with = "bdw")]
        rdw: bool,
        /// Record descriptor words, in blocks with block descriptor words.
        #[arg(long)]
        bdw: bool,
        /// Which alternative (REDEFINES) a record holds: `ALTERNATIVE when FIELD is VALUE, VALUE`.
        #[arg(long = "when", value_name = "RULE")]
        rules: Vec<String>,
        /// One JSON object per record and line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
pub(super) struct Source {
    /// How its lines are laid out.
    #[arg(long, value_enum, default_value_t = Columns::Detect)]
    reference: Columns,
}

#[derive(Clone, Copy, ValueEnum)]
enum Columns {
    /// Told by columns 1 to 7.
    Detect,
    /// Columns 8 to 72 hold code.
    Fixed,
    /// All columns hold code.
    Free,
}

/// What the records are read by.
struct Reading {
    page: CodePage,
    framing: Framing,
    json: bool,
}

pub(super) fn run(command: &Command) -> Outcome {
    let mut out = std::io::stdout().lock();
    match command {
        Command::Check { file, source } => {
            let copybook = parse(file, source)?;
            write!(out, "{}", layout::rendered(&copybook))?;
            Ok(())
        }
        Command::Decode {
            file,
            source,
            data,
            code_page,
            rdw,
            bdw,
            rules,
            json,
        } => {
            let mut copybook = parse(file, source)?;
            for rule in rules {
                copybook.choose(rule)?;
            }
            let framing = match (rdw, bdw) {
                (_, true) => Framing::Bdw,
                (true, false) => Framing::Rdw,
                (false, false) => Framing::Fixed,
            };
            let reading = Reading {
                page: *code_page,
                framing,
                json: *json,
            };
            let bytes = super::format::read(data)?;
            let broken = decode(&copybook, &reading, &bytes, &mut out)?;
            match broken {
                0 => Ok(()),
                1 => Err("one record could not be read; its reason stands above".into()),
                many => Err(
                    format!("{many} records could not be read; their reasons stand above").into(),
                ),
            }
        }
    }
}

fn parse(
    file: &Path,
    source: &Source,
) -> Result<Copybook, Box<dyn std::error::Error + Send + Sync>> {
    // Comments may be in any encoding; code is ASCII, and anything else is refused there.
    let bytes = super::format::read(file)?;
    let text = String::from_utf8_lossy(&bytes);
    let reference = match source.reference {
        Columns::Detect => Reference::Detect,
        Columns::Fixed => Reference::Fixed,
        Columns::Free => Reference::Free,
    };
    Copybook::parse_as(&text, reference)
        .map_err(|error| format!("{}: {error}", file.display()).into())
}

/// Writes all records; returns how many could not be read.
fn decode(
    copybook: &Copybook,
    reading: &Reading,
    bytes: &[u8],
    out: &mut dyn Write,
) -> std::io::Result<usize> {
    let (mut broken, mut written) = (0, Ok(()));
    let mut each = |place, read: Result<&Row, framing::FrameError>| {
        broken += usize::from(read.is_err());
        let text = match (read, reading.json) {
            (Ok(row), true) => record::json(copybook, reading.page, place, row),
            (Ok(row), false) => record::text(copybook, reading.page, place, row),
            (Err(error), true) => record::json_refusal(place, &error),
            (Err(error), false) => format!("{place}: NOT READ: {error}\n"),
        };
        if written.is_ok() {
            written = out.write_all(text.as_bytes());
        }
    };
    let (page, framing) = (reading.page, reading.framing);
    framing::read_all(copybook, page, framing, bytes, &mut Row::new(), &mut each);
    written.map(|()| broken)
}
