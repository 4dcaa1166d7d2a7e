//! The part of a session in which the message itself comes: DATA (RFC 5321 §4.1.1.4) and BDAT
//! (RFC 3030).

use super::command::Chunk;
use super::content::{Content, Framing, GRACE, Step};
use super::exchange::Output;
use super::refusal::Refusal;
use super::session::{Phase, Session, reply};
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
        let content = Content::new(Framing::Dots, self.policy.max_size);
        let until = now + self.policy.timeouts.message;
        self.phase = Phase::Data { content, until };
        self.await_block(now, until);
    }

    /// Takes bytes of a message after DATA; how many.
    pub(super) fn take_data(&mut self, now: Instant, input: &[u8], out: &mut Vec<Output>) -> usize {
        let Phase::Data { content, until } = &mut self.phase else {
            return 0;
        };
        let until = *until;
        match content.take(input) {
            Step::More => {
                self.payload_octets += input.len() as u64;
                self.await_block(now, until);
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
        if let (None, Some(transaction)) = (&doomed, &mut self.transaction) {
            transaction
                .body
                .get_or_insert_with(|| Content::new(Framing::Chunks, max_size));
        }
        let Chunk { size, last } = chunk;
        let until = now + self.policy.timeouts.message;
        self.phase = Phase::Chunk {
            left: size,
            size,
            last,
            doomed,
            until,
        };
        self.await_block(now, until);
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
            left,
            doomed,
            until,
            ..
        } = &mut self.phase
        else {
            return 0;
        };
        let used = usize::try_from(*left)
            .unwrap_or(usize::MAX)
            .min(input.len());
        *left -= used as u64;
        let (is_doomed, until) = (doomed.is_some(), *until);
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
        self.await_block(now, until);
        self.end_of_chunk(now, out);
        used
    }

    fn end_of_chunk(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Phase::Chunk {
            left: 0,
            size,
            last,
            doomed,
            ..
        } = &mut self.phase
        else {
            return;
        };
        let (size, last, mut fault) = (*size, *last, doomed.take());
        self.phase = Phase::Command;
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
                if last {
                    self.transaction = None;
                }
                self.refuse(refusal, out);
            }
        }
    }

    fn complete(&mut self, content: Content, out: &mut Vec<Output>) {
        match (content.finish(), self.transaction.take()) {
            (Ok(data), Some(transaction)) => self.deliver(transaction, data, out),
            // In DATA the grammar leaves no way to get here; a BDAT may end in a lone CR.
            (Err(refusal), _) => self.refuse(refusal, out),
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
            Some(transaction) if transaction.forward_paths.is_empty() => {
                Some(Refusal::NoRecipients)
            }
            Some(_) => None,
        }
    }

    fn await_block(&mut self, now: Instant, until: Instant) {
        self.deadline = Some(until.min(now + self.policy.timeouts.block));
    }
}
