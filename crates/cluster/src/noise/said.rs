//! Payloads of handshake messages, of the first release and of those after it.

use super::HandshakeError;
use super::handshake::Side;
use wire::{Admission, Capability, Greeting, Hello, Introduction, Level, Purpose};

/// What the other end said about itself.
pub(super) struct Said {
    pub(super) hello: Hello,
    /// `None`: it spoke as the first release does.
    pub(super) level: Option<Level>,
    pub(super) admission: Option<Box<Admission>>,
}

impl Said {
    pub(super) fn hello(payload: &[u8]) -> Result<Self, HandshakeError> {
        Ok(Self {
            hello: wire::decode(payload)?,
            level: None,
            admission: None,
        })
    }

    /// The lower one of both ends' levels.
    pub(super) fn common_level(&self, ours: Level) -> Level {
        ours.min(self.level.unwrap_or(Level::FIRST))
    }

    /// The third message after a greeting.
    pub(super) fn introduction(payload: &[u8], greeting: Greeting) -> Result<Self, HandshakeError> {
        let Introduction {
            hello,
            level,
            admission,
        } = wire::decode(payload)?;
        if level != greeting.level {
            return Err(HandshakeError::OtherLevel {
                level: greeting.level,
                found: level,
            });
        }
        Ok(Self {
            hello,
            level: Some(level),
            admission,
        })
    }

    /// The second message after a greeting: the first release did not hear it. No bytes are both:
    /// a `Hello` ends where an `Introduction` goes on, and neither may have bytes to spare.
    pub(super) fn answer(payload: &[u8]) -> Result<Self, HandshakeError> {
        if let Ok(said) = Self::hello(payload) {
            return Ok(said);
        }
        let Introduction {
            hello,
            level,
            admission,
        } = wire::decode(payload)?;
        Ok(Self {
            hello,
            level: Some(level),
            admission,
        })
    }
}

pub(super) fn greeting(level: Level, purpose: Purpose) -> Vec<u8> {
    wire::encode(&Greeting { level, purpose })
}

pub(super) fn hello(side: Side<'_>, capability: Capability) -> Vec<u8> {
    wire::encode(&Hello {
        certificate: side.me.certificate().clone(),
        capability,
    })
}

pub(super) fn introduction(
    side: Side<'_>,
    capability: Capability,
    shown: Option<&Admission>,
) -> Vec<u8> {
    wire::encode(&Introduction {
        hello: Hello {
            certificate: side.me.certificate().clone(),
            capability,
        },
        level: side.level,
        admission: shown.cloned().map(Box::new),
    })
}
