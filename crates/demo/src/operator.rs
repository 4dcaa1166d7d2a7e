//! The operator's mailbox: a real SMTP server that keeps what arrives, once per Message-ID.

use edge::mailer::ALERTS_HEADER;
use edge::smtp::{
    AcceptedMail, BindError, Defer, MailSink, Policy, Receipt, Recipients, SmtpConfig, SmtpServer,
};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Mails kept; far more than a run raises.
const MAX_MAILS: usize = 10_000;

/// One mail.
#[derive(Clone, Default)]
struct Arrived {
    subject: String,
    /// Alerts that it tells, and ends of alerts: a digest tells several.
    raised: u64,
    cleared: u64,
}

/// What arrived, by Message-ID.
#[derive(Default)]
pub(crate) struct Inbox(Mutex<BTreeMap<String, Arrived>>);

impl Inbox {
    /// Alerts told, each mail counted once.
    pub(crate) fn alerts(&self) -> u64 {
        self.mails().iter().map(|mail| mail.raised).sum()
    }

    /// Ends of alerts told.
    pub(crate) fn clears(&self) -> u64 {
        self.mails().iter().map(|mail| mail.cleared).sum()
    }

    /// Subjects, for people.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let mails = self.mails().into_iter();
        mails.map(|mail| mail.subject).collect()
    }

    fn mails(&self) -> Vec<Arrived> {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mails.values().cloned().collect()
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
        let told = header(&format!("{ALERTS_HEADER}:"));
        let count = |name: &str| {
            let mut words = told.split_whitespace();
            let number = words.find_map(|word| word.strip_prefix(name)?.parse().ok());
            number.unwrap_or(0)
        };
        let arrived = Arrived {
            subject: header("Subject:"),
            raised: count("raised="),
            cleared: count("cleared="),
        };
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let duplicate = mails.contains_key(&id);
        let verdict = if duplicate || mails.len() < MAX_MAILS {
            mails.insert(id.clone(), arrived);
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
