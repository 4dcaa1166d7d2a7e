//! Storage systems that write to their vendor and to us.

use wire::UnixMillis;

use super::{Attachment, Device, Mail, State, iso, mixed};
use crate::seed::Seed;

/// AutoSupport: a short body and `body.7z`, which only the vendor opens.
pub(super) fn netapp(device: &Device, at: UnixMillis, state: State, seed: u64) -> Mail {
    let (message, severity) = match state {
        State::Normal => ("WEEKLY_LOG", "INFO"),
        State::Failing => ("CONTROLLER TAKEOVER COMPLETE UNEXPECTED", "ALERT"),
        State::Recovered => ("CONTROLLER GIVEBACK COMPLETE", "NOTICE"),
    };
    let (id, time) = (&device.id, iso(at));
    let mut seed = Seed::new(seed);
    let body = format!(
        "Date: {time}\n\
         Version: NetApp Release 9.14.1P5\n\
         System ID: 0537012345\n\
         Serial Number: 721550000123\n\
         Hostname: {id}\n\
         Sequence: {sequence}\n\
         SNMP Contact: storage\n\
         SNMP Location: {room}\n\
         Partner System ID: 0537012346\n",
        sequence = seed.next_u64() % 10_000,
        room = device.room,
    );
    // The archive's mark and bytes as dense as an archive's.
    let mut archive = b"7z\xbc\xaf\x27\x1c\x00\x04".to_vec();
    archive.extend((0..64).flat_map(|_| seed.next_u64().to_le_bytes()));
    let attachments = [Attachment {
        name: "body.7z",
        kind: "application/x-7z-compressed",
        content: &archive,
    }];
    let subject = format!("HA Group Notification from {id} ({message}) {severity}");
    mixed(device, at, &subject, &body, &attachments)
}
