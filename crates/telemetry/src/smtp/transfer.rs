//! The part of a session in which the message itself comes: DATA (RFC 5321 §4.1.1.4) and BDAT
//! (RFC 3030).

use super::command::Chunk;
use super::content::{Content, Framing, GRACE, Step};
use super::dialogue::reply;
use super::exchange::{Output, Protocol};
use super::pace::Pace;
use super::profile::Relaxation;
use super::refusal::Refusal;
use super::session::{Phase, Session};
use machine::Instant;

impl Session {
    pub(super) fn data(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some(refusal) = self.not_ready() {
            return self.refuse(refusal, out);
        }
        if self
            .transaction
            .as_ref()
            .is_some_and(|transaction| transaction.body.is_some())
        {
            return self.refuse(Refusal::BadSequence("the message has begun with BDAT"), out);
        }
        out.push(Output::Reply(b"354 end with CRLF.CRLF\r\n".to_vec()));
        let loose = self.relaxing(Relaxation::BareLf).is_some();
        let content = Content::new(Framing::Dots, self.policy.max_size).loose(loose);
        let pace = Pace::new(now);
        self.phase = Phase::Data { content, pace };
        self.await_block(now, pace);
    }

    /// Takes bytes of a message after DATA; how many.
    pub(super) fn take_data(&mut self, now: Instant, input: &[u8], out: &mut Vec<Output>) -> usize {
        let Phase::Data { content, pace } = &mut self.phase else {
            return 0;
        };
        pace.add(input.len());
        let pace = *pace;
        match content.take(input) {
            Step::More => {
                self.payload_octets += input.len() as u64;
                self.await_block(now, pace);
                input.len()
            }
            Step::End(used) => {
                self.payload_octets += used as u64;
                self.await_command(now);
                if let Phase::Data { content, .. } =
                    core::mem::replace(&mut self.phase, Phase::Command)
                {
                    self.complete(content, out);
                }
                used
            }
            Step::Broken(refusal) => {
                self.payload_octets += input.len() as u64;
                self.end(refusal, out);
                input.len()
            }
        }
    }

    pub(super) fn bdat(&mut self, now: Instant, chunk: Chunk, out: &mut Vec<Output>) {
        let doomed = self.not_ready();
        // What cannot become part of a message is skipped, since commands may follow it; more
        // than a message's worth is not worth the wait.
        if chunk.size > self.policy.max_size.saturating_add(GRACE) {
            let refusal = doomed.unwrap_or(Refusal::TooBig(self.policy.max_size));
            return self.end(refusal, out);
        }
        let max_size = self.policy.max_size;
        let loose = self.relaxing(Relaxation::BareLf).is_some();
        if let (None, Some(transaction)) = (&doomed, &mut self.transaction) {
            transaction
                .body
                .get_or_insert_with(|| Content::new(Framing::Chunks, max_size).loose(loose));
        }
        let Chunk { size, last } = chunk;
        // A message in many chunks has no more time than one in a single piece.
        let transaction = self.transaction.as_ref();
        let pace = transaction.and_then(|transaction| transaction.pace);
        let pace = pace.unwrap_or(Pace::new(now));
        self.phase = Phase::Chunk {
            left: size,
            size,
            last,
            doomed,
            pace,
        };
        self.await_block(now, pace);
        self.end_of_chunk(now, out);
    }

    /// Takes bytes of a chunk; how many.
    pub(super) fn take_chunk(
        &mut self,
        now: Instant,
        input: &[u8],
        out: &mut Vec<Output>,
    ) -> usize {
        let Phase::Chunk {
            left, doomed, pace, ..
        } = &mut self.phase
        else {
            return 0;
        };
        let used = usize::try_from(*left)
            .unwrap_or(usize::MAX)
            .min(input.len());
        *left -= used as u64;
        pace.add(used);
        let (is_doomed, pace) = (doomed.is_some(), *pace);
        self.payload_octets += used as u64;
        let body = self
            .transaction
            .as_mut()
            .and_then(|transaction| transaction.body.as_mut());
        if let (false, Some(body)) = (is_doomed, body) {
            match body.take(&input[..used]) {
                Step::More | Step::End(_) => {}
                Step::Broken(refusal) => {
                    self.end(refusal, out);
                    return used;
                }
            }
        }
        self.await_block(now, pace);
        self.end_of_chunk(now, out);
        used
    }

    fn end_of_chunk(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Phase::Chunk {
            left: 0,
            size,
            last,
            doomed,
            pace,
        } = &mut self.phase
        else {
            return;
        };
        let (size, last, pace, mut fault) = (*size, *last, *pace, doomed.take());
        self.phase = Phase::Command;
        if let Some(transaction) = &mut self.transaction {
            transaction.pace = Some(pace);
        }
        self.await_command(now);
        if let (None, Some(transaction)) = (&fault, &mut self.transaction) {
            fault = transaction.body.as_ref().and_then(Content::fault).cloned();
            transaction.failed = fault.is_some();
        }
        match fault {
            None if last => {
                let body = self
                    .transaction
                    .as_mut()
                    .and_then(|transaction| transaction.body.take());
                if let Some(content) = body {
                    self.complete(content, out);
                }
            }
            None => reply(out, 250, "2.0.0", &format!("{size} octets received")),
            Some(refusal) => {
                let answers = match &self.transaction {
                    Some(transaction) if last => self.answers(transaction).max(1),
                    Some(_) | None => 1,
                };
                if last {
                    self.transaction = None;
                }
                self.refuse_all(refusal, answers, out);
            }
        }
    }

    fn complete(&mut self, content: Content, out: &mut Vec<Output>) {
        let loosened = content.loosened();
        match (content.finish(), self.transaction.take()) {
            (Ok(data), Some(mut transaction)) => {
                transaction.relaxed |= loosened;
                self.deliver(transaction, data, out);
            }
            (Err(refusal), Some(transaction)) => {
                self.refuse_all(refusal, self.answers(&transaction), out);
            }
            (Err(refusal), None) => self.refuse(refusal, out),
            (Ok(_), None) => self.refuse(Refusal::BadSequence("MAIL first"), out),
        }
    }

    /// Why no message can begin or go on.
    fn not_ready(&self) -> Option<Refusal> {
        match &self.transaction {
            None => Some(Refusal::BadSequence("MAIL and RCPT first")),
            Some(transaction) if transaction.failed => {
                Some(Refusal::BadSequence("a chunk was refused, RSET first"))
            }
            Some(transaction) if transaction.forward_paths.is_empty() => match self.protocol {
                Protocol::Esmtp => Some(Refusal::NoRecipients),
                // RFC 2033 §4.2 wants this very code.
                Protocol::Lmtp => Some(Refusal::BadSequence("no valid recipients")),
            },
            Some(_) => None,
        }
    }

    fn await_block(&mut self, now: Instant, pace: Pace) {
        let timeouts = &self.policy.timeouts;
        let block = now + timeouts.block;
        let end = pace.end(timeouts).min(pace.limit(timeouts));
        self.deadline = Some(end.min(block));
    }
}
