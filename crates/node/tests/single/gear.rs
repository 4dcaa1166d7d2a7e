//! What gear promises, on a real node: who has to report and does not, and who counts its mails and lacks
//! one, raises an alert; and the alert ends with the cause.

use crate::house::House;
use wire::status::Status;
use wire::{Alert, AlertKind};

const GEAR: &str = r#"
[[device]]
id = "pdu-1"
room = "hall"
class = "pdu"
addresses = ["pdu-1@hall.example"]
heartbeat_s = 1
[[device]]
id = "oa-1"
room = "hall"
class = "enclosure"
addresses = ["oa-1@hall.example"]
"#;

fn status_mail(number: u32) -> Vec<u8> {
    format!(
        "From: pdu-1@hall.example\r\nTo: telemetry@glasshouse.example\r\nMessage-ID: <{number}@pdu-1>\r\n\
         Subject: status\r\nMIME-Version: 1.0\r\nContent-Type: application/senml+json\r\n\r\n\
         [{{\"bn\":\"pdu-1:\",\"n\":\"load\",\"u\":\"%\",\"v\":40.{number}}}]\r\n"
    )
    .into_bytes()
}

/// HP's Onboard Administrator numbers its AlertMails.
fn numbered_mail(number: u32) -> Vec<u8> {
    format!(
        "From: Enclosure <oa-1@hall.example>\r\nTo: telemetry@glasshouse.example\r\n\
         Subject: HP AlertMail-{number:03}: (INFO) Power Supply #1: OK\r\n\
         X-OS: HP BladeSystem Onboard Administrator\r\n\r\n\
         EVENT (26 May 07:09): Power Supply #1 Status has changed to: OK.\r\n\r\n\
         Enclosure, OA-0018FE275723 (10.0.0.1), Hall 1\r\n"
    )
    .into_bytes()
}

fn open<'a>(status: &'a Status, device: &str) -> Vec<&'a Alert> {
    let alerts = status.alerts.open.iter();
    alerts
        .filter(|alert| alert.device.as_str() == device)
        .collect()
}

#[test]
fn a_device_that_falls_silent_raises_an_alert_that_ends_with_its_next_mail() {
    let mut house = House::build(GEAR);
    house.start();
    house.mail("pdu-1@hall.example", &status_mail(1)).unwrap();
    house.until("its report is there", |status| status.dds.received >= 1);
    let status = house.until("it is missed", |status| {
        let alerts = open(status, "pdu-1");
        let silent = |alert: &&Alert| matches!(alert.kind, AlertKind::Silent { .. });
        // Before its first mail it may have been missed already, on a busy machine.
        status.dds.received >= 1 && alerts.iter().any(silent)
    });
    let alert = open(&status, "pdu-1")[0].clone();
    assert!(alert.summary.contains("pdu-1"), "{alert:?}");
    assert_eq!(alert.room.as_str(), "hall");
    house.mail("pdu-1@hall.example", &status_mail(2)).unwrap();
    house.until("that alert is over", |status| {
        open(status, "pdu-1")
            .iter()
            .all(|other| other.id != alert.id)
    });
}

#[test]
fn a_jump_in_a_devices_numbers_raises_an_alert_that_ends_when_the_rest_comes() {
    let mut house = House::build(GEAR);
    house.start();
    let received = |wanted: u64| move |status: &Status| status.dds.received >= wanted;
    for (number, count) in [(9, 1), (10, 2)] {
        house
            .mail("oa-1@hall.example", &numbered_mail(number))
            .unwrap();
        house.until("its report is there", received(count));
    }
    assert!(open(&house.status().unwrap(), "oa-1").is_empty());
    house.mail("oa-1@hall.example", &numbered_mail(13)).unwrap();
    let status = house.until("the gap is seen", |status| !open(status, "oa-1").is_empty());
    let [alert] = open(&status, "oa-1")[..] else {
        panic!("one alert: {:?}", status.alerts.open)
    };
    let condition = "mails-missing".to_owned();
    assert_eq!(alert.kind, AlertKind::Reported { condition });
    assert!(alert.summary.contains("number 11 to 12"), "{alert:?}");
    for number in [12, 11] {
        house
            .mail("oa-1@hall.example", &numbered_mail(number))
            .unwrap();
    }
    house.until("the gap is closed", |status| {
        open(status, "oa-1").is_empty() && status.alerts.cleared >= 1
    });
}
