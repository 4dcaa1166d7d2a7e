//! The layouts that devices mail. Each is recognised by what its documentation promises and
//! decoded by a pure function of the letter; the order in [`Format::ALL`] is from the most
//! particular to the most general.

mod apc;
mod apcupsd;
mod cisco;
mod dell;
mod hp;
mod mdadm;
mod netapp;
mod planet;
mod serveraid;
mod smartd;
mod supermicro;
mod text;
mod zos;

pub(crate) use text::{sentence, severity, slug};

use mail_parser::DateTime;
use std::fmt;
use wire::{DeviceEvent, DeviceId, Reading, UnixMillis};

use crate::quarantine::Reason;
use crate::sequence::Sequence;
use crate::{csv, json, senml};

/// A mail as the decoders see it: decoded from its transfer encoding and charset, unpacked.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Address of the From header; empty without one.
    pub(crate) from: String,
    pub(crate) subject: String,
    /// The Date header, if it is valid.
    pub(crate) date: Option<DateTime>,
    /// The mail's own headers in their order, unfolded, encoded words as they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) parts: Vec<Part>,
}

/// One leaf of the MIME tree.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// `type/subtype` in lower case.
    pub(crate) kind: String,
    /// File name, for an attachment.
    pub(crate) name: Option<String>,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Text(String),
    /// Not UTF-8 and not declared as text.
    Bytes(Vec<u8>),
    /// It could not be unpacked.
    Broken(Reason),
}

impl Part {
    pub(crate) fn text(kind: String, name: Option<String>, text: String) -> Self {
        let content = Content::Text(text);
        Self {
            kind,
            name,
            content,
        }
    }

    pub(crate) fn binary(kind: String, name: Option<String>, bytes: Vec<u8>) -> Self {
        let content = match String::from_utf8(bytes) {
            Ok(text) => Content::Text(text),
            Err(error) => Content::Bytes(error.into_bytes()),
        };
        Self {
            kind,
            name,
            content,
        }
    }

    pub(crate) fn broken(kind: String, name: Option<String>, fault: Reason) -> Self {
        let content = Content::Broken(fault);
        Self {
            kind,
            name,
            content,
        }
    }

    /// Its text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Bytes(_) | Content::Broken(_) => None,
        }
    }

    /// Its bytes; none of a broken one.
    pub(crate) fn content(&self) -> &[u8] {
        match &self.content {
            Content::Text(text) => text.as_bytes(),
            Content::Bytes(bytes) => bytes,
            Content::Broken(_) => &[],
        }
    }

    /// Why it could not be unpacked.
    pub(crate) fn fault(&self) -> Option<&Reason> {
        match &self.content {
            Content::Broken(fault) => Some(fault),
            Content::Text(_) | Content::Bytes(_) => None,
        }
    }

    /// Whether it is a file whose name ends so, in any case.
    pub(crate) fn named(&self, suffix: &str) -> bool {
        self.name
            .as_deref()
            .is_some_and(|name| name.to_ascii_lowercase().ends_with(suffix))
    }
}

impl Letter {
    /// The first text that is not an attachment.
    pub(crate) fn body(&self) -> &str {
        self.parts
            .iter()
            .filter(|part| part.name.is_none() && part.kind.starts_with("text/"))
            .find_map(Part::as_text)
            .unwrap_or_default()
    }

    /// Texts of all parts that `wanted` accepts.
    pub(crate) fn texts(&self, wanted: impl Fn(&Part) -> bool) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .filter(move |part| wanted(part))
            .filter_map(Part::as_text)
    }

    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Why the first of its attachments could not be unpacked.
    pub(crate) fn fault(&self) -> Option<&Reason> {
        self.parts.iter().find_map(Part::fault)
    }

    /// Zone of the Date header in minutes east of UTC; 0 without one.
    pub(crate) fn zone(&self) -> i64 {
        crate::moment::zone_minutes(self.date.as_ref())
    }
}

/// A report without its sender and origin.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Draft {
    /// Whom it is about, where that is not the sender.
    pub(crate) device: Option<DeviceId>,
    /// The device's own number of this mail.
    pub(crate) sequence: Option<Sequence>,
    pub(crate) device_time: Option<UnixMillis>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) event: Option<DeviceEvent>,
}

/// A reading without a unit.
pub(crate) fn reading(name: &str, value: f64) -> Reading {
    Reading {
        name: name.to_owned(),
        value,
        unit: None,
    }
}

/// A layout.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Format {
    /// APC network management card: UPS and rack PDU events, long and short form, TAP line.
    Apc,
    /// `apcaccess status` of apcupsd: a UPS's numbers.
    Apcupsd,
    /// HP BladeSystem c7000 Onboard Administrator AlertMail.
    HpAlertMail,
    /// Supermicro BMC platform event filter.
    SupermicroPef,
    /// Dell Remote Access Controller alert.
    DellDrac,
    /// Linux software RAID monitor.
    Mdadm,
    /// S.M.A.R.T. daemon.
    Smartd,
    /// PLANET IPM rack PDU daily status with two CSV attachments.
    PlanetPdu,
    /// Cisco Call Home, full-txt and XML.
    CiscoCallHome,
    /// IBM ServeRAID Manager event.
    ServeRaid,
    /// NetApp AutoSupport.
    NetApp,
    /// A z/OS batch job's mail through CSSMTP.
    ZosCssmtp,
    /// SenML (RFC 8428) in JSON or CBOR.
    SenMl,
    /// One JSON object of numbers, or an array of such.
    Json,
    /// A header row with `time`, then numbers.
    Csv,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apc => "an APC network management card event",
            Self::Apcupsd => "apcupsd status",
            Self::HpAlertMail => "HP AlertMail",
            Self::SupermicroPef => "a Supermicro platform event",
            Self::DellDrac => "a Dell DRAC alert",
            Self::Mdadm => "an mdadm event",
            Self::Smartd => "a smartd warning",
            Self::PlanetPdu => "a PLANET PDU status",
            Self::CiscoCallHome => "a Cisco Call Home message",
            Self::ServeRaid => "a ServeRAID Manager event",
            Self::NetApp => "a NetApp AutoSupport notification",
            Self::ZosCssmtp => "a z/OS CSSMTP report",
            Self::SenMl => "SenML",
            Self::Json => "JSON",
            Self::Csv => "CSV",
        })
    }
}

impl Format {
    /// In the order in which they are tried.
    pub const ALL: [Self; 15] = [
        Self::Apc,
        Self::Apcupsd,
        Self::HpAlertMail,
        Self::SupermicroPef,
        Self::DellDrac,
        Self::Mdadm,
        Self::Smartd,
        Self::PlanetPdu,
        Self::CiscoCallHome,
        Self::ServeRaid,
        Self::NetApp,
        Self::ZosCssmtp,
        Self::SenMl,
        Self::Json,
        Self::Csv,
    ];

    /// A short name, for files and command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apc => "apc",
            Self::Apcupsd => "apcupsd",
            Self::HpAlertMail => "hp-alertmail",
            Self::SupermicroPef => "supermicro-pef",
            Self::DellDrac => "dell-drac",
            Self::Mdadm => "mdadm",
            Self::Smartd => "smartd",
            Self::PlanetPdu => "planet-pdu",
            Self::CiscoCallHome => "cisco-call-home",
            Self::ServeRaid => "serveraid",
            Self::NetApp => "netapp",
            Self::ZosCssmtp => "zos-cssmtp",
            Self::SenMl => "senml",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    /// Whether its numbers come from attachments, so that a broken one leaves a hole.
    pub(crate) const fn reads_attachments(self) -> bool {
        match self {
            Self::PlanetPdu | Self::ZosCssmtp | Self::SenMl | Self::Json | Self::Csv => true,
            Self::Apc
            | Self::Apcupsd
            | Self::HpAlertMail
            | Self::SupermicroPef
            | Self::DellDrac
            | Self::Mdadm
            | Self::Smartd
            | Self::CiscoCallHome
            | Self::ServeRaid
            | Self::NetApp => false,
        }
    }

    /// Whether the letter has this layout's marks.
    pub(crate) fn recognises(self, letter: &Letter) -> bool {
        match self {
            Self::Apc => apc::recognises(letter),
            Self::Apcupsd => apcupsd::recognises(letter),
            Self::HpAlertMail => hp::recognises(letter),
            Self::SupermicroPef => supermicro::recognises(letter),
            Self::DellDrac => dell::recognises(letter),
            Self::Mdadm => mdadm::recognises(letter),
            Self::Smartd => smartd::recognises(letter),
            Self::PlanetPdu => planet::recognises(letter),
            Self::CiscoCallHome => cisco::recognises(letter),
            Self::ServeRaid => serveraid::recognises(letter),
            Self::NetApp => netapp::recognises(letter),
            Self::ZosCssmtp => zos::recognises(letter),
            Self::SenMl => senml::recognises(letter),
            Self::Json => json::recognises(letter),
            Self::Csv => csv::recognises(letter),
        }
    }

    /// The reports, or what is wrong with the letter.
    pub(crate) fn decode(self, letter: &Letter, arrival: UnixMillis) -> Result<Vec<Draft>, Reason> {
        match self {
            Self::Apc => apc::decode(letter),
            Self::Apcupsd => apcupsd::decode(letter),
            Self::HpAlertMail => hp::decode(letter, arrival),
            Self::SupermicroPef => supermicro::decode(letter),
            Self::DellDrac => dell::decode(letter),
            Self::Mdadm => mdadm::decode(letter),
            Self::Smartd => smartd::decode(letter),
            Self::PlanetPdu => planet::decode(letter),
            Self::CiscoCallHome => cisco::decode(letter),
            Self::ServeRaid => serveraid::decode(letter),
            Self::NetApp => netapp::decode(letter),
            Self::ZosCssmtp => zos::decode(letter),
            Self::SenMl => senml::decode_letter(letter, arrival),
            Self::Json => json::decode_letter(letter),
            Self::Csv => csv::decode_letter(letter),
        }
    }

    /// For `Reason::Malformed`.
    pub(crate) fn malformed(self, problem: impl Into<String>) -> Reason {
        Reason::Malformed {
            format: self,
            problem: problem.into(),
        }
    }
}
