//! Devices that mail: who they are, what kinds there are, and the raw messages they send.

use base64::Engine as _;
use wire::{DeviceId, RoomId, UnixMillis};

mod batch;
mod bmc;
mod date;
mod filer;
mod hosts;
mod messages;
mod power;
mod storage;
mod switch;

pub use date::{iso, rfc5322};
pub use messages::{csv_mail, json_mail, senml_mail};

/// Where simulated devices send to unless told otherwise.
pub const MAILBOX: &str = "telemetry@glasshouse.example";

/// One simulated device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Its id in the house.
    pub id: DeviceId,
    /// Its envelope sender and From address; `name@[10.0.0.1]` is usual for gear.
    pub address: String,
    /// Its class.
    pub class: String,
    /// The room it stands in.
    pub room: RoomId,
    /// Where it reports to.
    pub mailbox: String,
}

impl Device {
    /// A device that reports to [`MAILBOX`].
    pub fn new(id: &str, address: &str, class: &str, room: &str) -> Self {
        Self {
            id: id.into(),
            address: address.to_owned(),
            class: class.to_owned(),
            room: room.into(),
            mailbox: MAILBOX.to_owned(),
        }
    }

    /// The same device, reporting to `mailbox`.
    #[must_use]
    pub fn reporting_to(mut self, mailbox: &str) -> Self {
        mailbox.clone_into(&mut self.mailbox);
        self
    }

    /// The host part of its address without brackets: gear puts its IP into its texts.
    pub(crate) fn host(&self) -> &str {
        self.address
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
    }
}

/// A message with its envelope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// Reverse-path, without angle brackets.
    pub from: String,
    /// Forward-path, without angle brackets.
    pub to: String,
    /// RFC 5322 message with CRLF line ends, not dot-stuffed.
    pub raw: Vec<u8>,
}

/// One number of a row.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its value, finite.
    pub value: f64,
    /// SenML unit, empty for none.
    pub unit: &'static str,
}

impl Metric {
    /// A metric.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
        }
    }
}

/// Numbers of one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// When they were taken.
    pub at: UnixMillis,
    /// The numbers.
    pub metrics: Vec<Metric>,
}

/// How a device fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Its periodic status, or for gear that only mails events an informational one.
    Normal,
    /// Its trouble begins: on battery, fan failed, array degraded.
    Failing,
    /// Its trouble is over.
    Recovered,
}

impl State {
    /// All, in the order of a story.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Failing, Self::Recovered];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Failing => "failing",
            Self::Recovered => "recovered",
        }
    }
}

/// Kinds of simulated device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// APC UPS with a network management card.
    ApcUps,
    /// PLANET rack PDU.
    PlanetPdu,
    /// Supermicro BMC.
    SupermicroBmc,
    /// HP blade enclosure.
    HpEnclosure,
    /// Dell remote access controller.
    DellDrac,
    /// Linux software RAID.
    Mdadm,
    /// Disk health daemon.
    Smartd,
    /// Cisco switch.
    CiscoSwitch,
    /// IBM ServeRAID controller.
    ServeRaid,
    /// NetApp filer.
    NetAppFiler,
    /// z/OS batch job.
    ZosJob,
    /// A sensor that mails SenML.
    Sensor,
    /// An appliance that mails JSON.
    Appliance,
    /// A logger that mails CSV.
    Logger,
}

/// An entry of the [`catalog`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceKind {
    /// The kind.
    pub kind: Kind,
    /// Its name on a command line.
    pub name: &'static str,
    /// The class its devices usually have.
    pub class: &'static str,
    /// One line.
    pub about: &'static str,
}

const CATALOG: [DeviceKind; 14] = [
    entry(
        Kind::ApcUps,
        "apc-ups",
        "ups",
        "APC UPS: apcupsd status, on battery, back on line",
    ),
    entry(
        Kind::PlanetPdu,
        "planet-pdu",
        "pdu",
        "PLANET PDU: daily status with two CSV attachments, overload",
    ),
    entry(
        Kind::SupermicroBmc,
        "supermicro-bmc",
        "bmc",
        "Supermicro BMC: platform events of a fan",
    ),
    entry(
        Kind::HpEnclosure,
        "hp-enclosure",
        "enclosure",
        "HP c7000: AlertMail about a power supply",
    ),
    entry(
        Kind::DellDrac,
        "dell-drac",
        "bmc",
        "Dell DRAC: alerts about a fan",
    ),
    entry(
        Kind::Mdadm,
        "mdadm",
        "raid",
        "Linux RAID: degraded, rebuilt",
    ),
    entry(Kind::Smartd, "smartd", "disk", "smartd: pending sectors"),
    entry(
        Kind::CiscoSwitch,
        "cisco-switch",
        "switch",
        "Cisco Call Home in full text",
    ),
    entry(
        Kind::ServeRaid,
        "serveraid",
        "raid",
        "IBM ServeRAID Manager: logical drive critical, rebuilt",
    ),
    entry(
        Kind::NetAppFiler,
        "netapp",
        "filer",
        "NetApp AutoSupport: takeover, giveback; with a closed archive",
    ),
    entry(
        Kind::ZosJob,
        "zos-job",
        "batch",
        "z/OS batch job through CSSMTP: MAXCC, abend, statistics as CSV",
    ),
    entry(
        Kind::Sensor,
        "sensor",
        "sensor",
        "any sensor: SenML (RFC 8428)",
    ),
    entry(
        Kind::Appliance,
        "appliance",
        "appliance",
        "any appliance: a JSON object",
    ),
    entry(
        Kind::Logger,
        "logger",
        "logger",
        "any logger: CSV with a time column",
    ),
];

const fn entry(
    kind: Kind,
    name: &'static str,
    class: &'static str,
    about: &'static str,
) -> DeviceKind {
    DeviceKind {
        kind,
        name,
        class,
        about,
    }
}

/// All kinds, for a command's help and for demos.
pub const fn catalog() -> &'static [DeviceKind] {
    &CATALOG
}

/// What a device of this kind mails at `at`. Equal arguments give equal bytes.
pub fn render(kind: Kind, device: &Device, at: UnixMillis, state: State, seed: u64) -> Mail {
    match kind {
        Kind::ApcUps => power::apc_ups(device, at, state, seed),
        Kind::PlanetPdu => power::planet_pdu(device, at, state, seed),
        Kind::SupermicroBmc => bmc::supermicro(device, at, state, seed),
        Kind::HpEnclosure => bmc::hp_enclosure(device, at, state, seed),
        Kind::DellDrac => bmc::dell_drac(device, at, state),
        Kind::Mdadm => storage::mdadm(device, at, state),
        Kind::Smartd => storage::smartd(device, at, state, seed),
        Kind::CiscoSwitch => switch::cisco(device, at, state),
        Kind::ServeRaid => storage::serveraid(device, at, state),
        Kind::NetAppFiler => filer::netapp(device, at, state, seed),
        Kind::ZosJob => batch::zos_job(device, at, state, seed),
        Kind::Sensor => senml_mail(device, &[hosts::room_climate(at, state, seed)]),
        Kind::Appliance => json_mail(device, &hosts::appliance(at, state, seed)),
        Kind::Logger => csv_mail(device, &hosts::logger(at, state, seed)),
    }
}

/// An attachment.
struct Attachment<'a> {
    name: &'a str,
    kind: &'a str,
    content: &'a [u8],
}

/// A plain-text message as simple gear builds it: From, To, Subject, Date; no Message-ID.
fn plain(device: &Device, at: UnixMillis, from_name: &str, subject: &str, body: &str) -> Mail {
    let mut raw = head(device, at, from_name, subject);
    raw.push_str("Content-Type: text/plain; charset=us-ascii\r\n\r\n");
    raw.push_str(&crlf(body));
    seal(device, raw)
}

/// One body of a type of its own.
fn typed(device: &Device, at: UnixMillis, subject: &str, kind: &str, body: &str) -> Mail {
    let mut raw = head(device, at, "", subject);
    raw.push_str(&format!(
        "MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n"
    ));
    raw.push_str(&crlf(body));
    seal(device, raw)
}

/// Text and base64 attachments (RFC 2045 §6.8, lines of 76).
fn mixed(
    device: &Device,
    at: UnixMillis,
    subject: &str,
    body: &str,
    attachments: &[Attachment<'_>],
) -> Mail {
    let raw = head(device, at, "", subject);
    mixed_behind(device, raw, body, attachments)
}

/// The same, behind headers of its own.
fn mixed_behind(
    device: &Device,
    mut raw: String,
    body: &str,
    attachments: &[Attachment<'_>],
) -> Mail {
    const BOUNDARY: &str = "=_next_part_of_this_report";
    raw.push_str(&format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\r\n\r\n\
         --{BOUNDARY}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{}\r\n",
        crlf(body)
    ));
    for Attachment {
        name,
        kind,
        content,
    } in attachments
    {
        raw.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Type: {kind}; name=\"{name}\"\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n"
        ));
        let encoded = base64::engine::general_purpose::STANDARD.encode(content);
        for line in encoded.as_bytes().chunks(76) {
            raw.extend(line.iter().map(|&byte| char::from(byte)));
            raw.push_str("\r\n");
        }
    }
    raw.push_str(&format!("--{BOUNDARY}--\r\n"));
    seal(device, raw)
}

fn head(device: &Device, at: UnixMillis, from_name: &str, subject: &str) -> String {
    let blank = if from_name.is_empty() { "" } else { " " };
    format!(
        "From: {from_name}{blank}<{}>\r\nTo: <{}>\r\nSubject: {subject}\r\nDate: {}\r\n",
        device.address,
        device.mailbox,
        rfc5322(at)
    )
}

fn seal(device: &Device, raw: String) -> Mail {
    Mail {
        from: device.address.clone(),
        to: device.mailbox.clone(),
        raw: raw.into_bytes(),
    }
}

/// Every line ends with CRLF, also the last one.
fn crlf(text: &str) -> String {
    text.lines().flat_map(|line| [line, "\r\n"]).collect()
}
