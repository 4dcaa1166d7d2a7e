//! `glasshouse format list|test`: the built-in formats, and what a pattern file or a function makes of
//! a mail.

mod function;

use super::Outcome;
use super::quarantine::harmless;
use clap::Subcommand;
use std::path::{Path, PathBuf};
use telemetry::Patterns;
use telemetry::formats::Format;
use telemetry::patterns::{Own, Trial, trial};
use wire::{Report, Severity};

#[derive(Subcommand)]
pub(super) enum Command {
    /// All formats, in the order in which they are tried.
    List {
        /// Configuration of a node: its pattern files and functions, too.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Check pattern FILE, or the function in FILE.wasm, and show what it would extract from MAIL. Exit
    /// code 0 only if it fits the mail and gives at least one report.
    Test {
        /// The pattern file or the WebAssembly module.
        file: PathBuf,
        /// A message as received: `glasshouse quarantine show --raw ID > mail.eml`.
        mail: PathBuf,
    },
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List { config } => list(config.as_deref()),
        Command::Test { file, mail } => test(file, mail),
    }
}

fn list(config: Option<&Path>) -> Outcome {
    if let Some(config) = config {
        let dir = config::load(config)?.mailbox.formats;
        for own in config::load_formats(dir.as_deref())?.all() {
            match own {
                Own::Pattern(pattern) => {
                    let (about, rules) = (pattern.about(), pattern.rules());
                    println!("{:<16} {about} ({rules} rules of your own)", pattern.name());
                }
                Own::Function(function) => {
                    println!("{:<16} a function of your own", function.name());
                }
            }
        }
    }
    for format in Format::ALL {
        println!("{:<16} {format}", format.name());
    }
    Ok(())
}

fn test(file: &Path, mail: &Path) -> Outcome {
    if file
        .extension()
        .is_some_and(|extension| extension == "wasm")
    {
        return function::test(file, mail);
    }
    let text = read(file)?;
    let text = String::from_utf8(text)
        .map_err(|_| format!("{}: it is not UTF-8; save it as UTF-8", file.display()))?;
    let raw = read(mail)?;
    let name = file.display().to_string();
    let patterns = Patterns::parse([(name.as_str(), text.as_str())]).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    for pattern in patterns.iter() {
        println!("{}: good, {} rules", pattern.name(), pattern.rules());
        let trial = trial(pattern, &raw, runtime::clock::unix_now())
            .map_err(|refused| format!("{}: {refused}", mail.display()))?;
        print!("{}", rendered(&trial));
        verdict(&trial)?;
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn verdict(trial: &Trial) -> Result<(), String> {
    let broken = trial.conditions.iter().find(|(_, holds)| !holds);
    match (broken, &trial.reports) {
        (Some((condition, _)), _) => Err(format!(
            "the mail would not be read by this format, for not every condition of `[match]` holds: {condition}"
        )),
        (None, Err(refused)) => Err(format!("the mail would go to quarantine: {refused}")),
        (None, Ok(_)) => Ok(()),
    }
}

fn rendered(trial: &Trial) -> String {
    let mut out = String::from("match\n");
    for (condition, holds) in &trial.conditions {
        let mark = if *holds { "ok" } else { "NO" };
        out.push_str(&format!("  {mark:<3} {}\n", harmless(condition)));
    }
    out.push_str("rules\n");
    for fit in &trial.fits {
        let groups: Vec<String> = fit
            .groups
            .iter()
            .map(|(name, text)| format!("{name}={:?}", harmless(text)))
            .collect();
        let (rule, line, text) = (&fit.rule, fit.line, harmless(&fit.text));
        out.push_str(&format!(
            "  ok  {rule}: line {line} `{text}` {}\n",
            groups.join(" ")
        ));
    }
    for rule in &trial.idle {
        out.push_str(&format!("  --  {rule}: fits no line\n"));
    }
    if let Ok(reports) = &trial.reports {
        out.push_str(&extracted(reports));
    }
    out
}

fn extracted(reports: &[Report]) -> String {
    let lines = reports.iter().map(line);
    std::iter::once("extracted\n".to_owned())
        .chain(lines)
        .collect()
}

fn line(report: &Report) -> String {
    let time = report.device_time.map_or_else(
        || "without a time of its own".to_owned(),
        |at| format!("at {at} ms"),
    );
    let mut out = format!("  {}, {time}\n", harmless(report.device.as_str()));
    for reading in &report.readings {
        let unit = reading.unit.as_deref().unwrap_or_default();
        let name = harmless(&reading.name);
        out.push_str(&format!(
            "    {name} = {} {}\n",
            reading.value,
            harmless(unit)
        ));
    }
    if let Some(event) = &report.event {
        let severity = match event.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        let verb = if event.clears { "clears" } else { "opens" };
        let (condition, text) = (harmless(&event.condition), harmless(&event.text));
        out.push_str(&format!("    {verb} {condition} ({severity}): {text}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::UnixMillis;

    const PATTERN: &str = include_str!("../../../../deploy/formats/manageups.toml");
    const MAIL: &str = include_str!("../../../../deploy/formats/manageups-on-battery.eml");

    fn tried(mail: &str) -> Trial {
        let patterns = Patterns::parse([("m.toml", PATTERN)]).unwrap();
        let pattern = patterns.iter().next().unwrap();
        trial(pattern, mail.as_bytes(), UnixMillis(0)).unwrap()
    }

    #[test]
    fn a_trial_shows_matches_lines_and_reports() {
        let good = tried(MAIL);
        let text = rendered(&good);
        for expected in [
            "  ok  subject fits `^(SEVERE|",
            "  ok  battery charge: line 3 `Battery charge: 97 %` value=\"97\"",
            "  --  end of a condition: fits no line",
            "  the-sender, at 1795334400000 ms",
            "    load = 42.5 %",
            "    opens on-battery (warning): Module On Battery",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert_eq!(verdict(&good), Ok(()));
        let other = tried(&MAIL.replace("ManageUPS", "Something"));
        assert!(rendered(&other).contains("  NO  body fits `ManageUPS`"));
        assert!(verdict(&other).unwrap_err().contains("not every condition"));
        let odd = tried(&MAIL.replace("97 %", "9.7.1 %"));
        assert!(verdict(&odd).unwrap_err().contains("is no number"));
    }
}
