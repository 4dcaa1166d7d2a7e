//! Reports into samples.

use wire::payload::{MAX_REPORTS, encode_reports};
use wire::{DeviceId, Report, RoomId};

/// A batch whose encoding is larger goes out in halves. A sample of this size crosses in some hundred
/// datagrams; losing one of a larger sample would cost sending all of it again.
const MAX_BATCH_BYTES: usize = 128 << 10;

/// One sample to be.
pub(super) struct Packed {
    pub(super) room: RoomId,
    pub(super) device: DeviceId,
    pub(super) plaintext: Vec<u8>,
}

/// Reports that are there at once, in the samples to carry them; those of one device stay in order.
/// Nothing waits for company: a single report is a sample.
pub(super) fn samples(reports: &[Report], typed: bool) -> Vec<Packed> {
    if !typed {
        let alone = |report: &Report| packed(report, wire::encode(report));
        return reports.iter().map(alone).collect();
    }
    let mut groups: Vec<Vec<Report>> = Vec::new();
    for report in reports {
        let same = |group: &&mut Vec<Report>| {
            let first = &group[0];
            (&first.device, &first.room) == (&report.device, &report.room)
        };
        match groups.iter_mut().rev().find(same) {
            Some(group) if group.len() < MAX_REPORTS => group.push(report.clone()),
            Some(_) | None => groups.push(vec![report.clone()]),
        }
    }
    let mut samples = Vec::new();
    for group in &groups {
        pack(group, &mut samples);
    }
    samples
}

fn pack(reports: &[Report], into: &mut Vec<Packed>) {
    let (Some(first), Some(plaintext)) = (reports.first(), encode_reports(reports)) else {
        return;
    };
    if plaintext.len() > MAX_BATCH_BYTES && reports.len() > 1 {
        let (front, back) = reports.split_at(reports.len() / 2);
        pack(front, into);
        pack(back, into);
    } else {
        into.push(packed(first, plaintext));
    }
}

fn packed(report: &Report, plaintext: Vec<u8>) -> Packed {
    Packed {
        room: report.room.clone(),
        device: report.device.clone(),
        plaintext,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::payload::decode_reports;
    use wire::{NodeId, Origin, Reading, UnixMillis};

    fn report(device: &str, seq: u64, name: &str) -> Report {
        Report {
            device: device.into(),
            room: "hall-a".into(),
            class: "ups".into(),
            device_time: None,
            arrival: UnixMillis(seq),
            readings: vec![Reading {
                name: name.into(),
                value: 1.0,
                unit: None,
            }],
            event: None,
            origin: Origin::Mail {
                node: NodeId::from("n"),
                seq,
                part: 0,
            },
        }
    }

    fn opened(samples: &[Packed]) -> Vec<(String, Vec<u64>)> {
        let each = samples.iter().map(|sample| {
            let reports = decode_reports(&sample.plaintext).unwrap();
            let order = reports.iter().map(|report| report.arrival.0).collect();
            (sample.device.to_string(), order)
        });
        each.collect()
    }

    #[test]
    fn what_waits_for_one_device_goes_together_and_in_order() {
        let devices = ["a", "b"];
        let reports: Vec<Report> = (0..150)
            .map(|n| report(devices[n as usize % 2], n, "x"))
            .collect();
        let got = opened(&samples(&reports, true));
        assert_eq!(got.len(), 4, "64 and 11 of each");
        for device in devices {
            let of_device = got.iter().filter(|(of, _)| of == device);
            let order: Vec<u64> = of_device.flat_map(|(_, order)| order.clone()).collect();
            let sent = reports
                .iter()
                .filter(|report| report.device == device.into());
            assert_eq!(
                order,
                sent.map(|report| report.arrival.0).collect::<Vec<_>>()
            );
        }
        assert_eq!(
            opened(&samples(&reports[..1], true)),
            [("a".to_owned(), vec![0])]
        );
        assert!(samples(&[], true).is_empty());
    }

    #[test]
    fn a_large_batch_goes_out_in_parts() {
        let long = "x".repeat(MAX_BATCH_BYTES / 3);
        let reports: Vec<Report> = (0..5).map(|n| report("a", n, &long)).collect();
        let samples = samples(&reports, true);
        assert!(samples.len() > 1);
        assert!(
            samples
                .iter()
                .all(|sample| sample.plaintext.len() <= MAX_BATCH_BYTES)
        );
        let order: Vec<u64> = opened(&samples)
            .into_iter()
            .flat_map(|(_, order)| order)
            .collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn older_members_get_what_they_read() {
        let reports = [report("a", 1, "x"), report("a", 2, "x")];
        let samples = samples(&reports, false);
        assert_eq!(samples.len(), 2);
        let first: Report = wire::decode(&samples[0].plaintext).unwrap();
        assert_eq!(first, reports[0]);
    }
}
