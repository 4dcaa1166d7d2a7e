//! MAIL, RCPT, and the handing over of what came with them (RFC 5321 §3.3).

use super::address::{Address, Path};
use super::command::MailFrom;
use super::content::Content;
use super::device::{Claim, Identity};
use super::dialogue::reply;
use super::exchange::{Mail, Output, Protocol};
use super::pace::Pace;
use super::policy::Policy;
use super::profile::Relaxation;
use super::refusal::Refusal;
use super::sealed;
use super::session::{Phase, Session};
use super::shape;
use wire::Proof;

/// From MAIL to the end of the data.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) reverse_path: Option<Address>,
    pub(super) forward_paths: Vec<Address>,
    /// Recipients said yes to, repeated ones as well.
    pub(super) accepted: usize,
    utf8: bool,
    /// Without a profile it would have been refused.
    pub(super) relaxed: bool,
    /// Who it is from, if that was shown.
    pub(super) identity: Option<Identity>,
    /// Whose sealed message it must be.
    sealed_by: Option<String>,
    /// Since its first octet.
    pub(super) pace: Option<Pace>,
    /// What BDAT has brought.
    pub(super) body: Option<Content>,
    /// A chunk was refused: the message cannot be completed any more.
    pub(super) failed: bool,
}

impl Session {
    pub(super) fn mail(&mut self, mail: MailFrom, out: &mut Vec<Output>) {
        if self.payload_octets >= self.policy.max_session_octets {
            let limit = self.policy.max_session_octets;
            return self.end(Refusal::SessionFull(limit), out);
        }
        match self.begin(mail) {
            Ok(transaction) => {
                self.phase = Phase::Admitting(transaction);
                self.deadline = None;
                out.push(Output::Admit);
            }
            Err(refusal) => self.refuse(refusal, out),
        }
    }

    fn begin(&self, mail: MailFrom) -> Result<Transaction, Refusal> {
        if self.helo.is_none() {
            return Err(Refusal::BadSequence("EHLO first"));
        }
        if self.transaction.is_some() {
            return Err(Refusal::BadSequence("a transaction is open"));
        }
        let mut relaxed = self.is_loose();
        if self.policy.require_tls && self.tls.is_none() && self.protocol == Protocol::Esmtp {
            self.relaxing(Relaxation::Plaintext)
                .ok_or(Refusal::TlsRequired)?;
            relaxed = true;
        }
        if mail.auth && self.mechanisms().is_empty() {
            return Err(Refusal::BadParameter);
        }
        let reverse_path = match mail.path {
            Path::Mailbox(address) => Some(address),
            Path::Null | Path::Postmaster => None,
        };
        let is_ascii = reverse_path
            .as_ref()
            .is_none_or(|path| path.as_str().is_ascii());
        if !is_ascii && !mail.utf8 {
            return Err(Refusal::NeedsUtf8);
        }
        if mail.size.is_some_and(|size| size > self.policy.max_size) {
            return Err(Refusal::TooBig(self.policy.max_size));
        }
        let devices = &self.policy.devices;
        let (mut identity, mut sealed_by) = (None, None);
        match devices.claim(reverse_path.as_ref(), self.peer, self.proven().as_ref()) {
            // Somebody put words between: where the rest comes from proves nothing here.
            Claim::Known(known) if known.proof == Proof::Address && self.is_marked() => {}
            Claim::Known(known) => identity = Some(known),
            Claim::Unknown => {}
            Claim::Sealed(device) => sealed_by = Some(device),
            Claim::MustProve => return Err(Refusal::MustProve),
            Claim::NotYours => return Err(Refusal::NotYours),
        }
        Ok(Transaction {
            reverse_path,
            forward_paths: Vec::new(),
            accepted: 0,
            utf8: mail.utf8,
            relaxed,
            identity,
            sealed_by,
            pace: None,
            body: None,
            failed: false,
        })
    }

    pub(super) fn rcpt(&mut self, path: Path, out: &mut Vec<Output>) {
        let loosely = self.is_loose();
        let outcome = match &mut self.transaction {
            None => Err(Refusal::BadSequence("MAIL first")),
            Some(transaction) if transaction.body.is_some() || transaction.failed => {
                Err(Refusal::BadSequence("the message has begun"))
            }
            Some(transaction) => {
                transaction.relaxed |= loosely;
                transaction.add(path, &self.policy)
            }
        };
        match outcome {
            Ok(()) => reply(out, 250, "2.1.5", "recipient ok"),
            Err(refusal) => self.refuse(refusal, out),
        }
    }

    /// How often the end of this transaction's data is answered.
    pub(super) const fn answers(&self, transaction: &Transaction) -> usize {
        match self.protocol {
            Protocol::Esmtp => 1,
            Protocol::Lmtp => transaction.accepted,
        }
    }

    /// Hands a complete message to the shell, or says what is wrong with it.
    pub(super) fn deliver(
        &mut self,
        mut transaction: Transaction,
        data: Vec<u8>,
        out: &mut Vec<Output>,
    ) {
        let answers = self.answers(&transaction);
        match self.inspect(&mut transaction, data) {
            Ok((data, counter)) => {
                self.phase = Phase::Storing;
                self.deadline = None;
                self.replies_due = answers;
                let profile = self
                    .policy
                    .profile(self.peer)
                    .filter(|_| transaction.relaxed);
                out.push(Output::Message(Mail {
                    reverse_path: transaction.reverse_path,
                    forward_paths: transaction.forward_paths,
                    data,
                    tls: self.tls.is_some(),
                    profile: profile.map(|profile| profile.name.clone()),
                    identity: transaction.identity,
                    counter,
                    helo: self.helo.clone().unwrap_or_default(),
                    peer: self.peer,
                }));
            }
            Err(refusal) => self.refuse_all(refusal, answers, out),
        }
    }

    /// The message, opened if it is sealed, and then its counter.
    fn inspect(
        &self,
        transaction: &mut Transaction,
        data: Vec<u8>,
    ) -> Result<(Vec<u8>, Option<u64>), Refusal> {
        match shape::check(&data, self.policy.require_date) {
            Err(Refusal::NoDate) if self.relaxing(Relaxation::NoDate).is_some() => {
                transaction.relaxed = true;
            }
            outcome => outcome?,
        }
        let house = self.policy.house_key.as_deref();
        match house.and_then(|house| sealed::open(&data, house, &self.policy.devices)) {
            Some(opened) => {
                let opened = opened.map_err(Refusal::Seal)?;
                let meant = transaction.sealed_by.as_ref();
                if meant.is_some_and(|device| *device != opened.device) {
                    return Err(Refusal::NotYours);
                }
                shape::check(&opened.message, false)?;
                transaction.identity = Some(Identity {
                    device: opened.device,
                    proof: Proof::Sealed,
                });
                Ok((opened.message, Some(opened.counter)))
            }
            None if transaction.sealed_by.is_some() => Err(Refusal::MustSeal),
            None => Ok((data, None)),
        }
    }
}

impl Transaction {
    fn add(&mut self, path: Path, policy: &Policy) -> Result<(), Refusal> {
        let address = match path {
            Path::Mailbox(address) => address,
            Path::Postmaster => policy.postmaster().map_err(Refusal::BadRecipient)?,
            Path::Null => return Err(Refusal::NotOurs),
        };
        if !self.utf8 && !address.as_str().is_ascii() {
            return Err(Refusal::NeedsUtf8);
        }
        if !policy.recipients.accepts(&address) {
            return Err(Refusal::NotOurs);
        }
        if self.forward_paths.len() >= policy.max_recipients {
            return Err(Refusal::TooManyRecipients(policy.max_recipients));
        }
        self.accepted += 1;
        if !self.forward_paths.contains(&address) {
            self.forward_paths.push(address);
        }
        Ok(())
    }
}
