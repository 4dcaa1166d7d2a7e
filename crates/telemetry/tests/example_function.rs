//! The example of a function (`deploy/functions/rack-sensor`) against what functions are shown and may answer.
//! Here it is compiled for this machine; that a sandbox makes no difference is tested where the sandbox is.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use telemetry::functions::{Called, Function, Verdict, trial};
use wire::UnixMillis;

#[expect(unreachable_pub, reason = "there it is a library of its own")]
#[path = "../../../deploy/functions/rack-sensor/src/lib.rs"]
mod rack_sensor;

const MAIL: &str = include_str!("../../../deploy/functions/rack-sensor/report.eml");

#[derive(Debug)]
struct Native;

impl Function for Native {
    fn call(&self, letter: &[u8]) -> Result<Called, String> {
        let letter = serde_json::from_slice(letter).map_err(|error| error.to_string())?;
        let answer = rack_sensor::decode(&letter);
        let output = answer.map(|answer| serde_json::to_vec(&answer).unwrap());
        Ok(Called {
            output: output.unwrap_or_default(),
            fuel: 0,
            memory: 0,
        })
    }
}

#[test]
fn the_example_reads_its_mail_and_no_other() {
    let tried = |mail: &str| {
        trial(&Native, mail.as_bytes(), UnixMillis(0))
            .unwrap()
            .verdict
    };
    let Verdict::Reports(reports) = tried(MAIL) else {
        panic!("{:?}", tried(MAIL));
    };
    assert_eq!(reports.len(), 2);
    let first = &reports[0].readings[0];
    assert_eq!((first.name.as_str(), first.value), ("A1-top.temp", 24.5));
    let event = reports[1].event.as_ref().unwrap();
    assert_eq!(event.condition, "a1-bottom-door");
    assert!(!event.clears && reports[0].event.as_ref().unwrap().clears);
    assert_eq!(tried(&MAIL.replace("RackMon", "Rack")), Verdict::NotMine);
    let damaged = tried(&MAIL.replace("24.5", "warm"));
    assert_eq!(
        damaged,
        Verdict::Failed("says: A1-top has warm for temp".to_owned())
    );
}
