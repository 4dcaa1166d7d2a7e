//! Whatever the gear renders, the house's own decoder must read: every kind in every state.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gear::{Device, Kind, State, catalog, render};
use telemetry::{DecodeContext, Directory, decode};
use wire::{NodeId, Report, Severity, UnixMillis};

/// Sun, 22 Nov 2026 08:00:05 UTC.
const NOW: UnixMillis = UnixMillis(1_795_334_405_000);

fn reports(device: &Device, mail: &gear::Mail) -> Vec<Report> {
    let directory = Directory::new([telemetry::Device {
        id: device.id.clone(),
        room: device.room.clone(),
        class: device.class.clone(),
        addresses: vec![device.address.clone()],
    }])
    .unwrap();
    let node = NodeId::from("n1");
    let context = DecodeContext {
        node: &node,
        seq: 1,
        arrival: NOW,
        directory: &directory,
        patterns: &telemetry::Patterns::NONE,
    };
    decode(&context, &mail.from, &mail.raw)
        .unwrap_or_else(|refused| panic!("{refused}\n{}", String::from_utf8_lossy(&mail.raw)))
}

#[test]
fn every_kind_in_every_state_is_read_by_the_house() {
    for entry in catalog() {
        let address = format!("{}@[10.0.0.7]", entry.name);
        let device = Device::new("dev-1", &address, entry.class, "hall-1");
        for state in State::ALL {
            for seed in 0..20 {
                let mail = render(entry.kind, &device, NOW, state, seed);
                assert!(
                    !reports(&device, &mail).is_empty(),
                    "{} {}",
                    entry.name,
                    state.name()
                );
                assert_eq!(
                    mail,
                    render(entry.kind, &device, NOW, state, seed),
                    "repeatable"
                );
            }
        }
    }
}

/// Kinds whose trouble is an event: failing opens a condition that recovered clears.
#[test]
fn troubles_open_and_clear_one_condition() {
    for entry in catalog() {
        let device = Device::new("dev-1", "x@[10.0.0.7]", entry.class, "hall-1");
        let event = |state| {
            let mail = render(entry.kind, &device, NOW, state, 3);
            reports(&device, &mail)
                .into_iter()
                .find_map(|report| report.event)
        };
        match entry.kind {
            Kind::ApcUps
            | Kind::PlanetPdu
            | Kind::SupermicroBmc
            | Kind::HpEnclosure
            | Kind::DellDrac
            | Kind::Mdadm
            | Kind::CiscoSwitch
            | Kind::ServeRaid
            | Kind::NetAppFiler
            | Kind::ZosJob => {
                let (failing, recovered) = (
                    event(State::Failing).unwrap(),
                    event(State::Recovered).unwrap(),
                );
                assert!(
                    failing.severity >= Severity::Warning && !failing.clears,
                    "{failing:?}"
                );
                assert!(recovered.clears, "{recovered:?}");
                assert_eq!(failing.condition, recovered.condition, "{}", entry.name);
                let normal = event(State::Normal);
                assert!(
                    normal.is_none_or(|event| event.clears || event.severity == Severity::Info),
                    "{}: a normal mail alerts nobody",
                    entry.name
                );
            }
            Kind::Smartd => {
                assert!(event(State::Failing).unwrap().severity >= Severity::Warning);
                assert_eq!(event(State::Recovered).unwrap().severity, Severity::Info);
            }
            Kind::Sensor | Kind::Appliance | Kind::Logger => {
                assert_eq!(event(State::Failing), None);
            }
        }
    }
}

/// Kinds that mail numbers: failing moves at least one of them far out.
#[test]
fn numbers_show_the_trouble() {
    for (kind, metric, factor) in [
        (Kind::Sensor, "temperature", 1.4),
        (Kind::Appliance, "latency_ms", 3.0),
        (Kind::Logger, "temperature", 1.4),
        (Kind::PlanetPdu, "current", 1.8),
    ] {
        let device = Device::new("dev-1", "x@[10.0.0.7]", "c", "hall-1");
        let last = |state| {
            let mail = render(kind, &device, NOW, state, 3);
            let reports = reports(&device, &mail);
            let mut values = reports.iter().flat_map(|report| &report.readings);
            values
                .rfind(|reading| reading.name == metric)
                .unwrap()
                .value
        };
        assert!(
            last(State::Failing) > factor * last(State::Normal),
            "{kind:?}"
        );
    }
}

#[test]
fn host_metrics_survive_the_way_through_senml() {
    let mut sampler = gear::host::HostSampler::start(UnixMillis(NOW.0 - 1_000)).unwrap();
    let rows = [
        sampler.sample(NOW).unwrap(),
        sampler.sample(UnixMillis(NOW.0 + 1_000)).unwrap(),
    ];
    let device = Device::new("host", "root@[127.0.0.1]", "host", "hall-1");
    let mail = gear::mail::senml_mail(&device, &rows);
    assert!(
        mail.raw.split(|&b| b == b'\n').all(|line| line.len() < 998),
        "RFC 5321 line length"
    );
    let reports = reports(&device, &mail);
    assert_eq!(reports.len(), 2);
    for (report, row) in reports.iter().zip(&rows) {
        assert_eq!(report.device_time, Some(row.at));
        let read: Vec<(&str, f64)> = report
            .readings
            .iter()
            .map(|reading| (reading.name.as_str(), reading.value))
            .collect();
        let sent: Vec<(&str, f64)> = row
            .metrics
            .iter()
            .map(|metric| (metric.name.as_str(), metric.value))
            .collect();
        assert_eq!(read, sent);
    }
}

#[test]
fn recorded_rows_survive_the_way_through_csv() {
    let rows: Vec<gear::smd::Values> = (0..7)
        .map(|i| std::array::from_fn(|j| f64::from(i) * 0.1 + j as f64 / 38.0))
        .collect();
    let device = Device::new("machine-1-1", "m@[10.0.0.7]", "server", "hall-1");
    let mails: Vec<gear::Mail> = gear::smd::mails(&device, &rows, NOW, 1_000, 3).collect();
    assert_eq!(mails.len(), 3);
    let reports: Vec<Report> = mails
        .iter()
        .flat_map(|mail| reports(&device, mail))
        .collect();
    assert_eq!(reports.len(), 7);
    for (index, (report, row)) in reports.iter().zip(&rows).enumerate() {
        assert_eq!(
            report.device_time,
            Some(UnixMillis(NOW.0 + 1_000 * index as u64))
        );
        assert_eq!(
            (report.readings[0].name.as_str(), report.readings.len()),
            ("m00", 38)
        );
        assert!(
            report
                .readings
                .iter()
                .zip(row)
                .all(|(reading, value)| reading.value == *value)
        );
    }
}
