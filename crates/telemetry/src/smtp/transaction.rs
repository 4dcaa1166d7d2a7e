//! MAIL, RCPT, and the handing over of what came with them (RFC 5321 §3.3).

use super::address::{Address, Path};
use super::command::MailFrom;
use super::content::Content;
use super::exchange::{Mail, Output};
use super::policy::{Policy, Relaxation};
use super::refusal::Refusal;
use super::session::{Phase, Session, reply};

/// From MAIL to the end of the data.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) reverse_path: Option<Address>,
    pub(super) forward_paths: Vec<Address>,
    utf8: bool,
    profile: Option<String>,
    /// What BDAT has brought.
    pub(super) body: Option<Content>,
    /// A chunk was refused: the message cannot be completed any more.
    pub(super) failed: bool,
}

impl Session {
    pub(super) fn mail(&mut self, mail: MailFrom, out: &mut Vec<Output>) {
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
        let mut profile = None;
        if self.policy.require_tls && !self.tls {
            let relaxed = self.policy.relaxed(self.peer, Relaxation::Plaintext);
            profile = Some(relaxed.ok_or(Refusal::TlsRequired)?.name.clone());
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
        let (utf8, forward_paths) = (mail.utf8, Vec::new());
        Ok(Transaction {
            reverse_path,
            forward_paths,
            utf8,
            profile,
            body: None,
            failed: false,
        })
    }

    pub(super) fn rcpt(&mut self, path: Path, out: &mut Vec<Output>) {
        let outcome = match &mut self.transaction {
            None => Err(Refusal::BadSequence("MAIL first")),
            Some(transaction) if transaction.body.is_some() || transaction.failed => {
                Err(Refusal::BadSequence("the message has begun"))
            }
            Some(transaction) => transaction.add(path, &self.policy),
        };
        match outcome {
            Ok(()) => reply(out, 250, "2.1.5", "recipient ok"),
            Err(refusal) => self.refuse(refusal, out),
        }
    }

    /// Hands a complete message to the shell.
    pub(super) fn deliver(
        &mut self,
        transaction: Transaction,
        data: Vec<u8>,
        out: &mut Vec<Output>,
    ) {
        self.phase = Phase::Storing;
        self.deadline = None;
        out.push(Output::Message(Mail {
            reverse_path: transaction.reverse_path,
            forward_paths: transaction.forward_paths,
            data,
            tls: self.tls,
            profile: transaction.profile,
            helo: self.helo.clone().unwrap_or_default(),
            peer: self.peer,
        }));
    }
}

impl Transaction {
    fn add(&mut self, path: Path, policy: &Policy) -> Result<(), Refusal> {
        let address = match path {
            Path::Mailbox(address) => address,
            Path::Postmaster => Address::parse(&format!("postmaster@{}", policy.hostname))
                .map_err(Refusal::BadRecipient)?,
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
        if !self.forward_paths.contains(&address) {
            self.forward_paths.push(address);
        }
        Ok(())
    }
}
