//! What a function would make of a mail, for whoever is writing it.

use wire::{NodeId, Report, UnixMillis};

use super::{Answered, Function, MAX_LETTER_BYTES, answer, letter};
use crate::directory::{Device, Directory};
use crate::mail::{self, DecodeContext};
use crate::patterns::Patterns;
use crate::quarantine::Reason;

/// The device and room of a trial, which needs no configuration.
const SENDER: &str = "the-sender";
const ROOM: &str = "trial";

/// What became of it.
#[derive(Clone, PartialEq, Debug)]
pub struct FunctionTrial {
    /// Bytes that it was handed.
    pub shown: usize,
    /// What it cost, and the memory that it had in the end; `None`: it gave no answer.
    pub cost: Option<(u64, usize)>,
    /// The end of it.
    pub verdict: Verdict,
}

/// What it said.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// The mail is not its own: the next format is asked.
    NotMine,
    /// Reports of `the-sender`.
    Reports(Vec<Report>),
    /// The mail would go to quarantine: the end of a sentence about the function.
    Failed(String),
    /// Its reports are beyond a limit that holds for every format.
    Refused(Reason),
}

/// Tries a function on a message as it was received. `Err`: the message is none that could be
/// looked at.
///
/// # Errors
/// The reason for which no format would see the message.
pub fn trial(
    function: &dyn Function,
    raw: &[u8],
    arrival: UnixMillis,
) -> Result<FunctionTrial, Reason> {
    let opened = mail::open(raw)?;
    let shown = letter::shown(&opened, &SENDER.into(), arrival);
    let of = |cost, verdict| FunctionTrial {
        shown: shown.len(),
        cost,
        verdict,
    };
    if shown.len() > MAX_LETTER_BYTES {
        let problem =
            format!("would not be asked: the mail is over the limit of {MAX_LETTER_BYTES} bytes");
        return Ok(of(None, Verdict::Failed(problem)));
    }
    let called = match function.call(&shown) {
        Ok(called) => called,
        Err(problem) => return Ok(of(None, Verdict::Failed(problem))),
    };
    let cost = Some((called.fuel, called.memory));
    let verdict = match answer::read(&called.output, opened.zone()) {
        Ok(Answered::NotMine) => Verdict::NotMine,
        Ok(Answered::Error(text)) => Verdict::Failed(format!("says: {text}")),
        Err(problem) => Verdict::Failed(problem),
        Ok(Answered::Reports(drafts)) => {
            let device = Device {
                id: SENDER.into(),
                room: ROOM.into(),
                class: ROOM.to_owned(),
                addresses: Vec::new(),
            };
            let context = DecodeContext {
                node: &NodeId::from("trial"),
                seq: 0,
                arrival,
                directory: &Directory::default(),
                patterns: &Patterns::NONE,
            };
            match mail::reports(&context, &device, drafts) {
                Ok(reports) => Verdict::Reports(reports),
                Err(reason) => Verdict::Refused(reason),
            }
        }
    };
    Ok(of(cost, verdict))
}
