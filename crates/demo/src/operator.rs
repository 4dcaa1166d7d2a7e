//! The operator's mailbox: a real SMTP server that keeps what arrives, once per Message-ID.

use edge::smtp::{
    AcceptedMail, BindError, Defer, MailSink, Policy, Receipt, Recipients, SmtpConfig, SmtpServer,
};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Mails kept; far more than a run raises.
const MAX_MAILS: usize = 10_000;
/// How the postman marks the end of an alert.
const CLEARED: &str = "[CLEARED]";

/// What arrived: subject by Message-ID.
#[derive(Default)]
pub(crate) struct Inbox(Mutex<BTreeMap<String, String>>);

impl Inbox {
    /// Mails that raise an alert, each counted once.
    pub(crate) fn alerts(&self) -> u64 {
        self.subjects()
            .iter()
            .filter(|subject| !subject.starts_with(CLEARED))
            .count() as u64
    }

    /// Mails that say an alert is over.
    pub(crate) fn clears(&self) -> u64 {
        self.subjects()
            .iter()
            .filter(|subject| subject.starts_with(CLEARED))
            .count() as u64
    }

    /// Subjects, for people.
    pub(crate) fn subjects(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}

impl MailSink for Inbox {
    fn room(&self) -> Result<(), Defer> {
        Ok(())
    }

    fn accept(&self, accepted: AcceptedMail) -> BoxFuture<'_, Result<Receipt, Defer>> {
        let text = String::from_utf8_lossy(&accepted.mail.data).into_owned();
        let header = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map_or_else(String::new, |value| value.trim().to_owned())
        };
        let id = header("Message-ID:");
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let duplicate = mails.contains_key(&id);
        let verdict = if duplicate || mails.len() < MAX_MAILS {
            mails.insert(id.clone(), header("Subject:"));
            Ok(Receipt { id, duplicate })
        } else {
            Err(Defer::Full)
        };
        Box::pin(std::future::ready(verdict))
    }
}

/// Opens the mailbox.
pub(crate) async fn open(
    listen: SocketAddr,
    domain: &str,
    tls: Arc<rustls::ServerConfig>,
    inbox: Arc<Inbox>,
) -> Result<SmtpServer, BindError> {
    let policy = Policy::new("localhost", Recipients::new(&[domain], &[]));
    SmtpServer::bind(SmtpConfig::new(listen, policy, tls), inbox).await
}
