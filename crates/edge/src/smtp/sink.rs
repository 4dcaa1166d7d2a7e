use futures::future::BoxFuture;
use telemetry::smtp::{Defer, Mail};
use wire::UnixMicros;

/// A complete message and the moment its last byte came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcceptedMail {
    /// Message, SMTP envelope and origin.
    pub mail: Mail,
    /// When it was complete.
    pub end_of_data: UnixMicros,
}

/// Proof that a message is safe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Told to the client and written to the log: it finds the message again.
    pub id: String,
    /// We had it already; the client had lost our answer.
    pub duplicate: bool,
}

/// Where the door puts messages.
pub trait MailSink: Send + Sync + 'static {
    /// Asked before a message begins: whether there is any point. Must not block.
    ///
    /// # Errors
    /// Why not; the client is told and keeps its message.
    fn room(&self) -> Result<(), Defer>;

    /// Makes the message durable. An `Ok` is a promise: the client is told 250 and forgets.
    fn accept(&self, mail: AcceptedMail) -> BoxFuture<'_, Result<Receipt, Defer>>;
}
