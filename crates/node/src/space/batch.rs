//! Reports into samples.

use std::collections::BTreeMap;
use wire::payload::{MAX_REPORTS, encode_reports};
use wire::{DeviceId, Report, RoomId};

/// A batch whose encoding is larger goes out in halves. A sample of this size crosses in some hundred
/// datagrams; losing one of a larger sample would cost sending all of it again.
const MAX_BATCH_BYTES: usize = 128 << 10;

/// A report, and when it entered the house, in nanoseconds since the Unix epoch.
#[derive(Clone, Debug)]
pub struct Entered {
    /// It.
    pub report: Report,
    /// When.
    pub at_ns: i64,
}

/// One sample to be.
pub(super) struct Packed {
    pub(super) room: RoomId,
    pub(super) device: DeviceId,
    pub(super) plaintext: Vec<u8>,
    /// When the first of it entered.
    pub(super) at_ns: i64,
}

/// Reports that are there at once, in the samples to carry them; those of one device stay in order.
/// Nothing waits for company: a single report is a sample.
pub(super) fn samples(reports: Vec<Entered>, typed: bool) -> Vec<Packed> {
    if !typed {
        let alone = |entered: &Entered| {
            packed(
                &entered.report,
                wire::encode(&entered.report),
                entered.at_ns,
            )
        };
        return reports.iter().map(alone).collect();
    }
    // The group that a device's next report joins, by its place in `groups`.
    let mut open: BTreeMap<(DeviceId, RoomId), usize> = BTreeMap::new();
    let mut groups: Vec<(Vec<Report>, i64)> = Vec::new();
    for Entered { report, at_ns } in reports {
        let place = (report.device.clone(), report.room.clone());
        let group = open.get(&place).and_then(|&at| groups.get_mut(at));
        match group.filter(|(group, _)| group.len() < MAX_REPORTS) {
            Some((group, first_ns)) => {
                group.push(report);
                *first_ns = (*first_ns).min(at_ns);
            }
            None => {
                open.insert(place, groups.len());
                groups.push((vec![report], at_ns));
            }
        }
    }
    let mut samples = Vec::new();
    for (group, at_ns) in &groups {
        pack(group, *at_ns, &mut samples);
    }
    samples
}

fn pack(reports: &[Report], at_ns: i64, into: &mut Vec<Packed>) {
    let (Some(first), Some(plaintext)) = (reports.first(), encode_reports(reports)) else {
        return;
    };
    if plaintext.len() > MAX_BATCH_BYTES && reports.len() > 1 {
        let (front, back) = reports.split_at(reports.len() / 2);
        pack(front, at_ns, into);
        pack(back, at_ns, into);
    } else {
        into.push(packed(first, plaintext, at_ns));
    }
}

fn packed(report: &Report, plaintext: Vec<u8>, at_ns: i64) -> Packed {
    Packed {
        room: report.room.clone(),
        device: report.device.clone(),
        plaintext,
        at_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::payload::decode_reports;
    use wire::{NodeId, Origin, Reading, UnixMillis};

    fn report(device: &str, seq: u64, name: &str) -> Entered {
        let report = Report {
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
        };
        let at_ns = seq as i64;
        Entered { report, at_ns }
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
        let reports: Vec<Entered> = (0..150)
            .map(|n| report(devices[n as usize % 2], n, "x"))
            .collect();
        let got = opened(&samples(reports.clone(), true));
        assert_eq!(got.len(), 4, "64 and 11 of each");
        for device in devices {
            let of_device = got.iter().filter(|(of, _)| of == device);
            let order: Vec<u64> = of_device.flat_map(|(_, order)| order.clone()).collect();
            let sent = reports
                .iter()
                .filter(|entered| entered.report.device == device.into());
            assert_eq!(
                order,
                sent.map(|entered| entered.report.arrival.0)
                    .collect::<Vec<_>>()
            );
        }
        assert_eq!(
            opened(&samples(reports[..1].to_vec(), true)),
            [("a".to_owned(), vec![0])]
        );
        assert!(samples(Vec::new(), true).is_empty());
    }

    #[test]
    fn a_large_batch_goes_out_in_parts() {
        let long = "x".repeat(MAX_BATCH_BYTES / 3);
        let reports: Vec<Entered> = (0..5).map(|n| report("a", n, &long)).collect();
        let samples = samples(reports, true);
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
        let samples = samples(reports.to_vec(), false);
        assert_eq!(samples.len(), 2);
        let first: Report = wire::decode(&samples[0].plaintext).unwrap();
        assert_eq!(first, reports[0].report);
    }

    proptest! {
        /// Nothing is lost or twice, each device's reports keep their order, and every sample is within
        /// its limits, and does not claim to be younger than its first report.
        #[test]
        fn every_device_keeps_its_order(devices in proptest::collection::vec((0..4u8, 0..9u8), 0..400)) {
            let reports: Vec<Entered> = devices
                .iter()
                .zip(0..)
                .map(|((device, long), seq)| {
                    let name = "x".repeat(if *long == 0 { 30_000 } else { 3 });
                    report(&device.to_string(), seq, &name)
                })
                .collect();
            let mut got: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            for sample in samples(reports.clone(), true) {
                let inside = decode_reports(&sample.plaintext).unwrap();
                prop_assert!((1..=MAX_REPORTS).contains(&inside.len()));
                prop_assert!(sample.plaintext.len() <= MAX_BATCH_BYTES || inside.len() == 1);
                prop_assert!(sample.at_ns <= inside[0].arrival.0 as i64);
                prop_assert!(inside.iter().all(|report| report.device == sample.device));
                let order = got.entry(sample.device.to_string()).or_default();
                order.extend(inside.iter().map(|report| report.arrival.0));
            }
            let mut sent: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            for entered in &reports {
                let order = sent.entry(entered.report.device.to_string()).or_default();
                order.push(entered.report.arrival.0);
            }
            prop_assert_eq!(got, sent);
        }
    }
}
