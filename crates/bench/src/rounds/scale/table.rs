//! The figures as a table and as JSON.

use super::Case;
use super::paper::{self, Row};
use super::round::Measured;
use crate::Failure;
use crate::report::{aligned, figure, folder};
use serde_json::{Value, json};
use std::time::Duration;

const NAME: &str = "rounds-scale.json";

/// Of a row's times, in this order.
const STEPS: [&str; 5] = ["keys", "shares", "masking", "unmasking", "all"];

pub(super) fn publish(machine: String, measured: &[(Case, Measured)]) -> Result<(), Failure> {
    let notes = notes(machine, measured);
    println!("{}\n", aligned(&rows(measured)));
    for note in &notes {
        println!("- {note}");
    }
    let file = folder()?.join(NAME);
    let json = json!({
        "benchmark": "rounds-scale",
        "notes": notes,
        "cases": measured.iter().map(case_json).collect::<Vec<_>>(),
    });
    std::fs::write(&file, serde_json::to_string_pretty(&json)? + "\n")?;
    println!("\n{}", file.display());
    Ok(())
}

fn notes(machine: String, measured: &[(Case, Measured)]) -> Vec<String> {
    let mut notes = vec![
        machine,
        "the machines of all clients and of the aggregator in one process, without links; milliseconds of processor time of one thread: of a client on average, of the aggregator".to_owned(),
        "who drops out does so when it has dealt its shares; bytes are encoded messages of a client that stays, and the model's way to it is not among them".to_owned(),
        "ours is the form against a server that lies, with signatures and commitments, and entries are words of 64 bits; up to 100 clients all are neighbours of all, beyond in neighbourhoods (Bell et al. 2020)".to_owned(),
        "the paper's: Java on one thread of a Xeon E5-1650 v3, entries of 16 bits, all neighbours of all, against an honest-but-curious server".to_owned(),
        "ns: of a client's masking, for each entry of each mask".to_owned(),
    ];
    notes.extend(measured.iter().filter_map(|(case, round)| {
        let why = round.ended.as_ref()?;
        Some(format!(
            "{} clients, {} % dropped: no sum, since {why}",
            case.clients, case.percent
        ))
    }));
    notes
}

/// Masks that a client puts on its update: one with each neighbour, and its own.
fn masks(round: &Measured) -> usize {
    round.protocol.holders()
}

fn times(of: &[Duration; 4]) -> paper::Times {
    let [keys, shares, masking, unmasking] = of.map(|time| time.as_secs_f64() * 1e3);
    [
        keys,
        shares,
        masking,
        unmasking,
        keys + shares + masking + unmasking,
    ]
}

/// Nanoseconds of masking for each entry of each mask.
fn each(case: Case, masking: f64, masks: usize) -> f64 {
    masking * 1e6 / (case.entries * masks) as f64
}

fn rows(measured: &[(Case, Measured)]) -> Vec<Vec<String>> {
    let mut head = vec!["clients, entries, dropped".to_owned(), "masks".to_owned()];
    head.extend(STEPS.map(|step| format!("client: {step}")));
    head.push("ns".to_owned());
    head.extend(STEPS.map(|step| format!("server: {step}")));
    head.extend(["kB sent", "received"].map(str::to_owned));
    let mut rows = vec![head];
    for (case, round) in measured {
        let label = format!("{}, {}, {}", case.clients, case.entries, case.dropped());
        let (client, server) = (times(&round.client), times(&round.server));
        let mut row = row(*case, label, masks(round), &client, &server);
        row.extend([round.sent, round.received].map(|bytes| figure(bytes / 1e3)));
        if round.ended.is_some() {
            // Unmasking, what it makes of all, and bytes: nobody knows what the end would have taken.
            for at in [5, 6, 11, 12, 13, 14] {
                row[at] = "–".to_owned();
            }
        }
        rows.push(row);
        if let Some(paper) = Row::of(*case) {
            let label = "  the paper".to_owned();
            rows.push(self::row(
                *case,
                label,
                paper.masks(),
                &paper.client,
                &paper.server,
            ));
        }
    }
    rows
}

fn row(
    case: Case,
    label: String,
    masks: usize,
    client: &paper::Times,
    server: &paper::Times,
) -> Vec<String> {
    let mut row = vec![label, masks.to_string()];
    row.extend(client.map(figure));
    row.push(figure(each(case, client[2], masks)));
    row.extend(server.map(figure));
    row
}

fn case_json((case, round): &(Case, Measured)) -> Value {
    let named = |times: &paper::Times| -> Value {
        let pairs = STEPS.into_iter().zip(times);
        pairs
            .map(|(step, ms)| (step.to_owned(), json!(ms)))
            .collect()
    };
    json!({
        "clients": case.clients,
        "entries": case.entries,
        "dropped": case.dropped(),
        "masks_of_a_client": masks(round),
        "threshold": round.protocol.threshold,
        "client_ms": named(&times(&round.client)),
        "server_ms": named(&times(&round.server)),
        "client_sent_bytes": round.sent,
        "client_received_bytes": round.received,
        "no_sum_because": round.ended,
        "paper": Row::of(*case).map(|paper| json!({
            "client_ms": named(&paper.client),
            "server_ms": named(&paper.server),
            "masks_of_a_client": paper.masks(),
        })),
    })
}
