//! Which messages are known, and which are on their way into the journal.

use super::duplicates::{Remembered, identity};
use super::replay::{self, Key, Replays};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use telemetry::smtp::Defer;
use wire::{Digest, StoredMail};

/// Asked by every session before it hands a message to the journal, and told by the journal's writer
/// what became of it: no task stands between the two, for each that does costs a message two wake-ups.
pub(super) struct Register {
    messages: Mutex<Messages>,
    /// Counters of sealed messages.
    pub(super) replays: Mutex<Replays>,
}

struct Messages {
    remembered: Remembered,
    /// Identities that are on their way.
    under_way: HashSet<Digest>,
}

/// What is to be done with a message.
pub(super) enum Begun {
    /// Nothing: it is durable under this sequence number.
    Known(u64),
    /// It is to be made durable.
    Fresh(UnderWay),
}

impl Register {
    pub(super) fn new(remembered: Remembered, replays: Replays) -> Self {
        Self {
            messages: Mutex::new(Messages {
                remembered,
                under_way: HashSet::new(),
            }),
            replays: Mutex::new(replays),
        }
    }

    /// Begins with a message.
    pub(super) fn begin(self: &Arc<Self>, mail: &StoredMail) -> Result<Begun, Defer> {
        let identity = identity(&mail.data);
        let sealed = replay::key(mail);
        let mut messages = self.messages();
        if let Some(seq) = identity.and_then(|identity| messages.remembered.get(&identity)) {
            return Ok(Begun::Known(seq));
        }
        // The same message on a second connection before the first is durable: its client comes again
        // and then hears 250. This goes before the counter, which would refuse it for good.
        if identity.is_some_and(|identity| messages.under_way.contains(&identity)) {
            return Err(Defer::Busy);
        }
        if sealed
            .as_ref()
            .is_some_and(|key| !self.replays().begin(key))
        {
            return Err(Defer::Replayed);
        }
        messages.under_way.extend(identity);
        Ok(Begun::Fresh(UnderWay {
            register: Arc::clone(self),
            identity,
            sealed,
        }))
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replays(&self) -> MutexGuard<'_, Replays> {
        self.replays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message on its way. Dropped, it has not become durable, and may come again.
pub(super) struct UnderWay {
    register: Arc<Register>,
    identity: Option<Digest>,
    sealed: Option<Key>,
}

impl UnderWay {
    /// It is durable under this sequence number.
    pub(super) fn durable(mut self, seq: u64) {
        self.end(Some(seq));
    }

    fn end(&mut self, durable: Option<u64>) {
        if let Some(identity) = self.identity.take() {
            let mut messages = self.register.messages();
            messages.under_way.remove(&identity);
            if let Some(seq) = durable {
                messages.remembered.insert(identity, seq);
            }
        }
        if let Some(key) = self.sealed.take() {
            self.register.replays().end(&key, durable.is_some());
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.end(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use wire::{DeviceId, KnownDevice, Proof, UnixMicros};

    fn mail(id: u8, counter: Option<u64>) -> StoredMail {
        StoredMail {
            reverse_path: None,
            forward_paths: Vec::new(),
            helo: "ups".to_owned(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tls: true,
            profile: None,
            end_of_data: UnixMicros(1),
            data: format!("Message-ID: <{id}@hall.example>\r\n\r\nx\r\n").into_bytes(),
            device: counter.map(|counter| KnownDevice {
                id: DeviceId::new("ups-1"),
                proof: Proof::Sealed,
                counter: Some(counter),
            }),
        }
    }

    fn begin(register: &Arc<Register>, mail: &StoredMail) -> Result<UnderWay, Result<u64, Defer>> {
        match register.begin(mail) {
            Ok(Begun::Fresh(under_way)) => Ok(under_way),
            Ok(Begun::Known(seq)) => Err(Ok(seq)),
            Err(defer) => Err(Err(defer)),
        }
    }

    fn fresh(register: &Arc<Register>, mail: &StoredMail) -> UnderWay {
        match begin(register, mail) {
            Ok(under_way) => under_way,
            Err(known) => panic!("it is not fresh: {known:?}"),
        }
    }

    #[test]
    fn a_message_is_begun_once_and_again_only_if_it_was_not_made_durable() {
        let register = Arc::new(Register::new(Remembered::new(9), Replays::default()));
        let check = |mail: &StoredMail, expected: Result<u64, Defer>| {
            assert_eq!(begin(&register, mail).err(), Some(expected));
        };
        let under_way = fresh(&register, &mail(1, None));
        check(&mail(1, None), Err(Defer::Busy));
        drop(under_way);
        let under_way = fresh(&register, &mail(1, None));
        under_way.durable(7);
        check(&mail(1, None), Ok(7));

        // A counter that is under way or used is taken for a replay, unless the message itself is known.
        let under_way = fresh(&register, &mail(2, Some(5)));
        check(&mail(3, Some(5)), Err(Defer::Replayed));
        drop(under_way);
        let under_way = fresh(&register, &mail(3, Some(5)));
        under_way.durable(8);
        check(&mail(4, Some(5)), Err(Defer::Replayed));
        check(&mail(3, Some(5)), Ok(8));
        // Busy gives the counter back.
        let under_way = fresh(&register, &mail(5, None));
        check(&mail(5, Some(6)), Err(Defer::Busy));
        drop(under_way);
        assert!(begin(&register, &mail(5, Some(6))).is_ok());
    }
}
