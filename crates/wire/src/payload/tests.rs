use super::*;
use crate::{DeviceId, NodeId, RoomId, UnixMillis};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    "[^\\x00]{0,12}"
}

fn severity() -> impl Strategy<Value = crate::Severity> {
    prop_oneof![
        Just(crate::Severity::Info),
        Just(crate::Severity::Warning),
        Just(crate::Severity::Critical)
    ]
}

fn origin() -> impl Strategy<Value = crate::Origin> {
    prop_oneof![
        (text(), any::<u64>(), any::<u32>()).prop_map(|(node, seq, part)| crate::Origin::Mail {
            node: NodeId(node),
            seq,
            part
        }),
        (text(), any::<i32>(), any::<i64>(), any::<u32>()).prop_map(
            |(topic, partition, offset, part)| crate::Origin::Kafka {
                topic,
                partition,
                offset,
                part
            }
        ),
    ]
}

prop_compose! {
    fn report()(
        class in text(),
        device_time in option::of(any::<u64>()),
        arrival: u64,
        readings in vec((text(), -1e300_f64..1e300, option::of(text())), 0..6),
        event in option::of((text(), severity(), text(), any::<bool>())),
        origin in origin(),
    ) -> crate::Report {
        crate::Report {
            device: DeviceId::from("ups-1"),
            room: RoomId::from("hall-a"),
            class,
            device_time: device_time.map(UnixMillis),
            arrival: UnixMillis(arrival),
            readings: readings.into_iter().map(|(name, value, unit)| crate::Reading { name, value, unit }).collect(),
            event: event.map(|(condition, severity, text, clears)| crate::DeviceEvent { condition, severity, text, clears }),
            origin,
        }
    }
}

proptest! {
    #[test]
    fn reports_come_back_as_they_were(reports in vec(report(), 1..5)) {
        let bytes = encode_reports(&reports).unwrap();
        prop_assert_eq!(decode_reports(&bytes).unwrap(), reports);
    }

    #[test]
    fn the_former_encoding_is_read_too(report in report()) {
        prop_assert_eq!(decode_reports(&codec::encode(&report)).unwrap(), vec![report]);
    }
}

fn one() -> crate::Report {
    crate::Report {
        device: DeviceId::from("ups-1"),
        room: RoomId::from("hall-a"),
        class: "ups".into(),
        device_time: None,
        arrival: UnixMillis(7),
        readings: vec![crate::Reading {
            name: "battery.charge".into(),
            value: 0.5,
            unit: Some("/".into()),
        }],
        event: None,
        origin: crate::Origin::Mail {
            node: NodeId::from("n1"),
            seq: 3,
            part: 0,
        },
    }
}

/// What other programs read: a change of these bytes is a change of the IDL.
#[test]
fn the_bytes_are_pinned() {
    let bytes = encode_reports(&[one()]).unwrap();
    assert_eq!(
        hex::encode(bytes),
        concat!(
            "00090000",
            "8c000000",
            "060000007570732d31000000",
            "0700000068616c6c2d610000",
            "70000000",
            "01000000",
            "68000000",
            "0400000075707300",
            "00000000",
            "0700000000000000",
            "2e000000",
            "01000000",
            "26000000",
            "0f000000626174746572792e6368617267650000",
            "000000000000e03f",
            "01000000",
            "020000002f00",
            "0000",
            "1c000000",
            "00000000",
            "030000006e310000",
            "00000000",
            "0300000000000000",
            "00000000",
        )
    );
}

#[test]
fn what_means_nothing_is_refused() {
    assert_eq!(encode_reports(&[]), None);
    assert_eq!(encode_reports(&vec![one(); MAX_REPORTS + 1]), None);
    let elsewhere = crate::Report {
        room: RoomId::from("hall-b"),
        ..one()
    };
    assert_eq!(encode_reports(&[one(), elsewhere]), None);

    let batch = ReadingBatch::of(&[one()]).unwrap();
    let refused = |change: fn(&mut ReadingBatch)| {
        let mut batch = batch.clone();
        change(&mut batch);
        matches!(
            decode_reports(&xcdr::encode(&batch)),
            Err(PayloadError::Meaning(_))
        )
    };
    assert!(refused(|batch| batch.reports.clear()));
    assert!(refused(|batch| batch.room.clear()));
    assert!(refused(
        |batch| batch.reports[0].readings[0].value = f64::NAN
    ));
    assert!(refused(
        |batch| batch.reports = vec![batch.reports[0].clone(); MAX_REPORTS + 1]
    ));
    assert!(decode_reports(b"not sealed 1").is_err() && decode_reports(&[]).is_err());
}
