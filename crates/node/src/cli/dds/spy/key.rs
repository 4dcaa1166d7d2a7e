//! A reader key in its file.

use custody::{OutsideError, Place, PlaceKey, open_outside};
use dds::Sample;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wire::KeyEpoch;
use wire::control::ReaderKey;

/// What `glasshouse dds key` wrote.
pub(super) struct Key {
    /// Read anew when a sample of another epoch comes: `dds key --follow` keeps it up to date.
    file: Option<PathBuf>,
    place: ReaderKey,
    keys: BTreeMap<KeyEpoch, PlaceKey>,
}

impl Key {
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read the reader key {}: {error}", file.display()))?;
        let key = Self::parse(&text).map_err(|error| {
            format!(
                "{} is no reader key as `glasshouse dds key` writes it: {error}",
                file.display()
            )
        })?;
        Ok(Self {
            file: Some(file.to_owned()),
            ..key
        })
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let place: ReaderKey = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let key = |(epoch, key): (&String, &String)| {
            let epoch = epoch
                .parse()
                .map(KeyEpoch)
                .map_err(|_| "an epoch is no number")?;
            let mut bytes = [0; 32];
            hex::decode_to_slice(key, &mut bytes).map_err(|_| "a key is not 64 hex digits")?;
            Ok::<_, &str>((epoch, PlaceKey(bytes)))
        };
        let keys = place.keys.iter().map(key).collect::<Result<_, _>>()?;
        Ok(Self {
            file: None,
            place,
            keys,
        })
    }

    pub(super) fn topic(&self) -> &str {
        &self.place.topic
    }

    pub(super) fn partition(&self) -> &str {
        &self.place.partition
    }

    /// What is sealed in `sample`, or why it stays sealed.
    pub(super) fn open(&mut self, sample: &Sample) -> Result<Vec<u8>, String> {
        let mut opened = self.try_open(sample);
        if let (Err(OutsideError::NoKey { .. }), Some(file)) = (&opened, &self.file)
            && let Ok(fresh) = Self::read(file)
            && (fresh.topic(), fresh.partition()) == (self.topic(), self.partition())
        {
            *self = fresh;
            opened = self.try_open(sample);
        }
        opened.map_err(|error| error.to_string())
    }

    fn try_open(&self, sample: &Sample) -> Result<Vec<u8>, OutsideError> {
        let place = Place {
            topic: self.topic(),
            partition: self.partition(),
            key: &sample.key,
        };
        open_outside(&self.keys, &place, &sample.sealed).map(|opened| opened.plaintext)
    }
}
