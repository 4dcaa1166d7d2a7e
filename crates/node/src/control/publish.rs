//! What an operator publishes by hand: a message in the mailbox's journal like any other, so that it takes
//! the same way onto the data space, and the ledger gets its digest.

use super::refused;
use crate::formats::{Accepted, Formats};
use crate::hatch::Hatch;
use edge::smtp::{AcceptedMail, Address, Identity, Mail};
use replica::{Ledger, View};
use runtime::{clock, entropy};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Device;
use telemetry::directory::Directory;
use wire::control::Answer;
use wire::{DeviceId, Digest, NodeId, Proof, Report, Source, UnixMicros};

/// The digest goes onto the ledger within a second, and a commit takes an election at the worst.
const RECORD_LIMIT: Duration = Duration::from_secs(10);
/// Longest reason, in bytes: a header line of a mail has 998 (RFC 5322 §2.1.1).
const MAX_REASON: usize = 500;

/// Everything it needs.
#[derive(Clone)]
pub struct Publisher {
    /// Known devices.
    pub directory: Arc<Directory>,
    /// The operator's own formats, which read this message as any other.
    pub formats: Arc<Formats>,
    /// The way into the mailbox's journal.
    pub hatch: Arc<Hatch>,
}

/// What is asked for.
pub(super) struct Asked {
    pub(super) device: DeviceId,
    pub(super) senml: String,
    pub(super) reason: String,
}

impl Publisher {
    pub(super) async fn publish(&self, ledger: &Ledger, asked: Asked) -> Answer {
        let message = match self.message(ledger.me(), &asked) {
            Ok(message) => message,
            Err(sentence) => return refused(sentence),
        };
        let Message { raw, address, said } = message;
        let digest = Digest::of(&raw);
        let accepted = AcceptedMail {
            end_of_data: UnixMicros(clock::unix_now().0 * 1_000),
            mail: Mail {
                reverse_path: Address::parse(&address).ok(),
                forward_paths: Vec::new(),
                data: raw,
                // It came over no network at all.
                tls: true,
                profile: None,
                identity: Some(Identity {
                    device: asked.device.to_string(),
                    proof: Proof::Operator,
                }),
                counter: None,
                helo: "control".to_owned(),
                peer: Ipv4Addr::LOCALHOST.into(),
            },
        };
        let number = match self.hatch.put(accepted).await {
            Ok(number) => number,
            Err(error) => return refused(error.to_string()),
        };
        let Asked { device, reason, .. } = asked;
        tracing::info!("an operator publishes {said} of {device} as message {number}: {reason}");
        let (mut views, me) = (ledger.watch(), ledger.me().clone());
        let recorded = views.wait_for(|view| accounted(view, &me) >= number);
        // Its digest is proposed when its samples are written.
        let text = match tokio::time::timeout(RECORD_LIMIT, recorded).await {
            Ok(Ok(_)) => format!(
                "{said} of {device} is on the data space, and message {number} of {me} with it (SHA-256 {digest}) is on the ledger."
            ),
            Ok(Err(_)) | Err(_) => format!(
                "{said} of {device} is safe on disk as message {number} of {me} (SHA-256 {digest}), but the ledger has not taken its digest within {} s; is a majority of the cluster up? It goes on by itself.",
                RECORD_LIMIT.as_secs()
            ),
        };
        Answer::Done { text }
    }

    /// The message, as a mail of the device, if it says something that a mail of the device could say.
    fn message(&self, me: &NodeId, asked: &Asked) -> Result<Message, String> {
        let Asked {
            device: id,
            senml,
            reason,
        } = asked;
        if reason.trim().is_empty()
            || reason.len() > MAX_REASON
            || reason.chars().any(char::is_control)
        {
            return Err(format!(
                "give a reason of 1 to {MAX_REASON} bytes in one line; it stays with what is published"
            ));
        }
        let device = self.directory.get(id).ok_or_else(|| {
            format!("no device is called {id}; the `[[device]]` entries of this node's configuration are what it knows")
        })?;
        let address = device.addresses.first().cloned().ok_or_else(|| {
            format!("device {id} has no mail address, so its readings do not come by the mailbox; give it one in `addresses`")
        })?;
        let now = clock::unix_now();
        let raw = format!(
            "From: <{address}>\r\nDate: {}\r\nMessage-ID: <{}@{me}>\r\nSubject: published by an operator\r\nComments: {reason}\r\nMIME-Version: 1.0\r\nContent-Type: application/senml+json\r\n\r\n{senml}\r\n",
            gear::mail::rfc5322(now),
            hex::encode(entropy::bytes::<16>()),
        )
        .into_bytes();
        let accepted = Accepted {
            node: me,
            seq: 0,
            arrival: now,
            sender: &address,
            raw: &raw,
        };
        // What would end in quarantine is better said here.
        let reports = self
            .formats
            .try_on(&self.directory, accepted)
            .map_err(|refused| format!("this is no report: {refused}"))?;
        let said = said(device, &reports)?;
        Ok(Message { raw, address, said })
    }
}

struct Message {
    raw: Vec<u8>,
    address: String,
    said: String,
}

/// Up to which of its messages the ledger knows a node's.
fn accounted(view: &View, node: &NodeId) -> u64 {
    let total = view.state.ingest.get(&(node.clone(), Source::Mail));
    total.map_or(0, |total| total.last)
}

/// What the reports say, if it is all of `device`.
fn said(device: &Device, reports: &[Report]) -> Result<String, String> {
    if let Some(other) = reports.iter().find(|report| report.device != device.id) {
        return Err(format!(
            "this speaks of {}, not of {}; publish each device's readings by a command of its own",
            other.device, device.id
        ));
    }
    let readings = reports.iter().flat_map(|report| &report.readings);
    let all: Vec<String> = readings.map(ToString::to_string).collect();
    match all.as_slice() {
        [] => Err("there is no reading in it".to_owned()),
        [first, second, third, rest @ ..] if !rest.is_empty() => Ok(format!(
            "{first}, {second}, {third} and {} more",
            rest.len()
        )),
        few => Ok(few.join(", ")),
    }
}
