//! `glasshouse format test FUNCTION.wasm MAIL`.

use super::{Outcome, extracted, harmless, read};
use std::path::Path;
use telemetry::functions::{FunctionTrial, Verdict, trial};

pub(super) fn test(file: &Path, mail: &Path) -> Outcome {
    let module = read(file)?;
    let function = config::load_function(&module)
        .map_err(|problem| format!("{}: the function {problem}", file.display()))?;
    println!("{}: good, {} bytes", file.display(), module.len());
    let raw = read(mail)?;
    let trial = trial(function.as_ref(), &raw, runtime::clock::unix_now())
        .map_err(|refused| format!("{}: {refused}", mail.display()))?;
    print!("{}", rendered(&trial));
    verdict(&trial.verdict)?;
    Ok(())
}

fn rendered(trial: &FunctionTrial) -> String {
    let mut out = format!("shown\n  {} bytes of JSON\n", trial.shown);
    if let Some((fuel, memory)) = trial.cost {
        let limit = functions::FUEL;
        out.push_str(&format!(
            "used\n  {fuel} of {limit} instructions, {} KiB of memory\n",
            memory >> 10
        ));
    }
    if let Verdict::Reports(reports) = &trial.verdict {
        out.push_str(&extracted(reports));
    }
    out
}

fn verdict(verdict: &Verdict) -> Result<(), String> {
    match verdict {
        Verdict::Reports(_) => Ok(()),
        Verdict::NotMine => Err(
            "the function says that this mail is not its own; the next format would be tried"
                .into(),
        ),
        Verdict::Failed(problem) => Err(format!(
            "the mail would go to quarantine: the function {}",
            harmless(problem)
        )),
        Verdict::Refused(reason) => Err(format!("the mail would go to quarantine: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::UnixMillis;

    const TEMPERATURE: &str = include_str!("../../../../functions/tests/temperature.wat");

    fn tried(body: &str) -> FunctionTrial {
        let module = wat::parse_str(TEMPERATURE).unwrap();
        let function = config::load_function(&module).unwrap();
        let mail = format!("From: a@example.net\r\nSubject: x\r\n\r\n{body}\r\n");
        trial(function.as_ref(), mail.as_bytes(), UnixMillis(0)).unwrap()
    }

    #[test]
    fn a_trial_shows_cost_and_reports() {
        let good = tried("Temperature: 21.5 C");
        let text = rendered(&good);
        for expected in [
            "shown\n  ",
            "used\n  ",
            " of 100000000 instructions, ",
            "extracted\n  the-sender, without a time of its own\n    temperature = 21.5 Cel\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert_eq!(verdict(&good.verdict), Ok(()));
        for (body, told) in [
            ("nothing", "not its own"),
            ("Temperature: ?", "says: the sensor does not know"),
            ("Temperature: !", "used up its fuel"),
            ("Temperature: --", "not in order"),
        ] {
            let error = verdict(&tried(body).verdict).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
