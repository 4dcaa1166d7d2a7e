//! Network gear.

use wire::UnixMillis;

use super::{Device, Mail, State, iso, plain};

/// Call Home in full text about a power supply.
pub(super) fn cisco(device: &Device, at: UnixMillis, state: State) -> Mail {
    let (level, text) = match state {
        State::Normal => (2, "%SYSMGR-2-RUNNING: periodic inventory"),
        State::Failing => (6, "%NOHMS-2-NOHMS_ENV_ERR_PS_FAIL: power supply 2 failed"),
        State::Recovered => (1, "%NOHMS-2-NOHMS_ENV_PS_OK: power supply 2 ok"),
    };
    let time = iso(at);
    let body = format!(
        "source:MDS9000\n\
         Switch Priority:7\n\
         Device Id:N5K-C5010P-BF@C@SSI13200DPW\n\
         Customer Id:\n\
         Contract Id:123\n\
         Site Id:{room}\n\
         Server Id:N5K-C5010P-BF@C@SSI13200DPW\n\
         Time of Event:{time}\n\
         Message Name:SYSLOG_ALERT\n\
         Message Type:Syslog\n\
         Severity Level:{level}\n\
         System Name:{id}\n\
         Contact Name:noc\n\
         Event Description:{text}\n\
         syslog_facility:ENVIRONMENT\n\
         start chassis information:\n\
         Affected Chassis:N5K-C5010P-BF\n\
         Affected Chassis Serial Number:SSI13200DPW\n\
         Affected Chassis Hardware Version:1.0\n\
         end chassis information:\n",
        room = device.room,
        id = device.id,
        time = time.trim_end_matches('Z'),
    );
    plain(
        device,
        at,
        "",
        &format!("Call Home notification {} SYSLOG_ALERT", device.id),
        &body,
    )
}
