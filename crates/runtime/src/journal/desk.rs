//! Where the writer sits: on a thread of its own, or, where the runtime has but one thread, in a task.
//!
//! Both take whatever appends wait, commit them together and answer; both have answered everything
//! that was handed over when the last handle is gone.

use super::disk::Disk;
use super::writer::{Append, Writer};
use crate::blocking;
use machine::mistakes::{self, Mistake};
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::{self, JoinHandle};
use tokio::sync::mpsc;

/// A writer at work.
pub(super) enum Work {
    Thread(JoinHandle<()>),
    /// Writes what is still waiting, now.
    Task(Box<dyn Fn() + Send + Sync>),
}

impl Work {
    /// Sets a writer to work on what comes through `queue`.
    pub(super) fn start<D: Disk>(
        writer: Writer<D>,
        queue: mpsc::Receiver<Append>,
    ) -> io::Result<Self> {
        let mut desk = Desk::new(writer, queue);
        if !blocking::on_one_thread() {
            return thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || desk.run())
                .map(Self::Thread);
        }
        let place = Arc::new(Place(Mutex::new(Some(desk))));
        let task = Arc::clone(&place);
        tokio::spawn(async move { while poll_fn(|cx| task.poll_batch(cx)).await.is_some() {} });
        Ok(Self::Task(Box::new(move || place.finish())))
    }

    /// Returns when everything is answered. The queue's sender must be gone.
    pub(super) fn finish(self) {
        match self {
            // A writer that panicked has dropped its answers: callers saw `Closed`.
            Self::Thread(thread) => drop(thread.join()),
            Self::Task(finish) => finish(),
        }
    }
}

/// Where task and handles find the desk. It is taken out while it works: a writer that panics takes
/// its queue with it, and callers see `Closed`, as they do when a thread ends that way.
struct Place<D>(Mutex<Option<Desk<D>>>);

impl<D: Disk> Place<D> {
    fn poll_batch(&self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut desk) = place.take() else {
            return Poll::Ready(None);
        };
        let polled = desk.poll_batch(cx);
        *place = Some(desk);
        polled
    }

    fn finish(&self) {
        let desk = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut desk) = desk {
            desk.finish();
        }
    }
}

struct Desk<D> {
    writer: Writer<D>,
    queue: mpsc::Receiver<Append>,
    /// Did not fit into the last batch.
    held: Option<Append>,
    batch: Vec<Append>,
    /// Answered by mistake before they are written.
    late: Vec<Append>,
}

impl<D: Disk> Desk<D> {
    fn new(writer: Writer<D>, queue: mpsc::Receiver<Append>) -> Self {
        Self {
            writer,
            queue,
            held: None,
            batch: Vec::new(),
            late: Vec::new(),
        }
    }

    /// Until every handle is gone.
    fn run(&mut self) {
        while let Some(first) = self.held.take().or_else(|| self.queue.blocking_recv()) {
            self.commit(first);
        }
        self.writer.give_back();
    }

    /// One batch; `None` when every handle is gone.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let first = match self.held.take() {
            Some(held) => Some(held),
            None => ready!(self.queue.poll_recv(cx)),
        };
        Poll::Ready(first.map(|first| self.commit(first)))
    }

    /// What was handed over and is not answered yet.
    fn finish(&mut self) {
        while let Some(first) = self.held.take().or_else(|| self.queue.try_recv().ok()) {
            self.commit(first);
        }
        if !self.late.is_empty() {
            self.writer.answer(&mut self.late);
        }
        self.writer.give_back();
    }

    /// Gathers behind `first` whatever waits, up to a batch's limits, and commits it.
    fn commit(&mut self, first: Append) {
        let options = &self.writer.options;
        let mut bytes = first.payload.len();
        self.batch.push(first);
        while self.batch.len() < options.max_batch {
            let Ok(append) = self.queue.try_recv() else {
                break;
            };
            bytes += append.payload.len();
            if bytes > options.max_batch_bytes {
                self.held = Some(append);
                break;
            }
            self.batch.push(append);
        }
        if mistakes::on(Mistake::CommitBeforePersist) {
            return self.answer_early();
        }
        self.writer.answer(&mut self.batch);
    }

    /// By mistake: callers are answered at once, and their records written before the next ones or
    /// when the journal is closed in order.
    fn answer_early(&mut self) {
        self.writer.answer(&mut self.late);
        for (append, seq) in self.batch.drain(..).zip(self.writer.next..) {
            (append.answer)(Ok(seq));
            self.late.push(Append {
                answer: Box::new(|_| ()),
                payload: append.payload,
            });
        }
    }
}
