//! The layouts that devices mail. Each is recognised by what its documentation promises and
//! decoded by a pure function of the letter; the order in [`Format::ALL`] is from the most
//! particular to the most general.

mod apc;
mod apcupsd;
mod cisco;
mod dell;
mod hp;
mod mdadm;
mod planet;
mod smartd;
mod supermicro;
mod text;

use mail_parser::DateTime;
use std::fmt;
use wire::{DeviceEvent, Reading, UnixMillis};

use crate::quarantine::Reason;
use crate::{csv, json, senml};

/// A mail as the decoders see it: decoded from its transfer encoding and charset.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    /// The Date header, if it is valid.
    pub(crate) date: Option<DateTime>,
    pub(crate) parts: Vec<Part>,
}

/// One leaf of the MIME tree.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// `type/subtype` in lower case.
    pub(crate) kind: String,
    /// File name, for an attachment.
    pub(crate) name: Option<String>,
    /// `None`: not UTF-8 and not declared as text.
    pub(crate) text: Option<String>,
}

impl Letter {
    /// The first text that is not an attachment.
    pub(crate) fn body(&self) -> &str {
        self.parts
            .iter()
            .filter(|part| part.name.is_none() && part.kind.starts_with("text/"))
            .find_map(|part| part.text.as_deref())
            .unwrap_or_default()
    }

    /// Texts of all parts that `wanted` accepts.
    pub(crate) fn texts(&self, wanted: impl Fn(&Part) -> bool) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .filter(move |part| wanted(part))
            .filter_map(|part| part.text.as_deref())
    }

    /// Zone of the Date header in minutes east of UTC; 0 without one.
    pub(crate) fn zone(&self) -> i64 {
        crate::moment::zone_minutes(self.date.as_ref())
    }
}

/// A report without its sender and origin.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Draft {
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
    /// Cisco Call Home, full-txt.
    CiscoCallHome,
    /// SenML JSON (RFC 8428).
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
            Self::SenMl => "SenML",
            Self::Json => "JSON",
            Self::Csv => "CSV",
        })
    }
}

impl Format {
    /// In the order in which they are tried.
    pub const ALL: [Self; 12] = [
        Self::Apc,
        Self::Apcupsd,
        Self::HpAlertMail,
        Self::SupermicroPef,
        Self::DellDrac,
        Self::Mdadm,
        Self::Smartd,
        Self::PlanetPdu,
        Self::CiscoCallHome,
        Self::SenMl,
        Self::Json,
        Self::Csv,
    ];

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
