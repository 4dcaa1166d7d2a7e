//! Which devices the demo plays, and in which rooms they stand.

use gear::smd::{Machine, Slice, Smd, SmdError};
use gear::{Device, Kind};
use std::path::Path;
use std::time::Duration;

/// Rows that a recorded machine mails per second: an hour of its minutes passes in 1.2 s.
pub(crate) const ROWS_PER_SECOND: usize = 50;
/// Rows in one of its mails.
pub(crate) const ROWS_PER_MAIL: usize = 25;
/// Share of the time in which recorded machines mail their training stretch.
const TRAIN_SHARE: f64 = 0.5;

/// What a device mails.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// This very host, sampled ten times a second, with a fault injected late.
    Host,
    /// Generated gear of a kind; fails for a while if told so.
    Generated { kind: Kind, fails: bool },
    /// A machine of the Server Machine Dataset: its training rows, then its test rows.
    Recorded(Box<Machine>),
}

/// The devices and rooms of one run.
pub(crate) struct Inventory {
    pub(crate) rooms: Vec<String>,
    pub(crate) devices: Vec<(Device, Script)>,
}

const ROOMS: [&str; 3] = ["hall-a", "hall-b", "hall-c"];

impl Inventory {
    /// This host and generated gear, two or three devices a room.
    pub(crate) fn live() -> Self {
        let generated = |id: &str, kind: Kind, class: &str, room: usize, fails: bool| {
            let address = format!("{id}@gear.glasshouse.example");
            (
                Device::new(id, &address, class, ROOMS[room]),
                Script::Generated { kind, fails },
            )
        };
        let host = Device::new(
            "this-host",
            "this-host@gear.glasshouse.example",
            "server",
            ROOMS[0],
        );
        Self {
            rooms: ROOMS.map(str::to_owned).to_vec(),
            devices: vec![
                (host, Script::Host),
                generated("ups-a", Kind::ApcUps, "ups", 0, true),
                generated("pdu-b", Kind::PlanetPdu, "pdu", 1, false),
                generated("climate-b", Kind::Sensor, "sensor", 1, false),
                generated("ups-b", Kind::ApcUps, "ups", 1, false),
                generated("bmc-c", Kind::SupermicroBmc, "bmc", 2, true),
                generated("array-c", Kind::Appliance, "appliance", 2, false),
                generated("ups-c", Kind::ApcUps, "ups", 2, false),
            ],
        }
    }

    /// The machines of the data set in `folder`, spread over the rooms, sliced so that `span` is
    /// filled.
    pub(crate) fn recorded(folder: &Path, span: Duration) -> Result<Self, SmdError> {
        let set = Smd::open(folder)?;
        let rows = span.as_secs_f64() * ROWS_PER_SECOND as f64;
        let train = (rows * TRAIN_SHARE) as usize;
        let test = rows as usize - train;
        // A quarter of the test stretch lies before its first fault: alerts there are false ones.
        let slice = Slice {
            train,
            test,
            lead_in: test / 4,
        };
        let mut devices = Vec::new();
        for (index, name) in set.machines().iter().enumerate() {
            let machine = set.load(name, slice)?;
            let address = format!("{name}@gear.glasshouse.example");
            let device = Device::new(name, &address, "server", ROOMS[index % ROOMS.len()]);
            devices.push((device, Script::Recorded(Box::new(machine))));
        }
        Ok(Self {
            rooms: ROOMS.map(str::to_owned).to_vec(),
            devices,
        })
    }

    /// Whether labels can be compared with.
    pub(crate) fn is_labelled(&self) -> bool {
        self.devices
            .iter()
            .any(|(_, script)| matches!(script, Script::Recorded(_)))
    }
}
