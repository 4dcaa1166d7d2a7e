//! Kafka: how brokers are spoken to, and what goes out to them.

use crate::check::{Problems, is_host_port};
use crate::schema::Feed;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `feed.start`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedStart {
    /// At the oldest record that is still there.
    #[default]
    Earliest,
    /// With what comes from now on.
    Latest,
}

/// `feed.out_of_range`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedOutOfRange {
    /// Go on at the oldest record that is still there.
    #[default]
    Earliest,
    /// Go on with what comes from now on.
    Latest,
    /// Stop reading and say so.
    Fail,
}

/// `[feed.sasl]`, `[export.sasl]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSasl {
    /// How the password is shown; no other way is tried.
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// Name.
    pub username: String,
    /// File that holds the password and nothing else.
    pub password_file: PathBuf,
}

/// `feed.sasl.mechanism`, `export.sasl.mechanism`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
pub enum SaslMechanism {
    /// SCRAM with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// In clear, so with `ca` only.
    #[serde(rename = "PLAIN")]
    Plain,
}

/// `[feed.registry]`: where the schemas of Avro and JSON values lie.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FeedRegistry {
    /// `http://…` or `https://…`.
    pub url: String,
    /// Name, where it asks for one.
    pub username: Option<String>,
    /// File that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// PEM file with the CA of its certificate.
    pub ca: Option<PathBuf>,
}

impl FeedRegistry {
    fn check(&self, found: &mut Problems) {
        let secure = self.url.starts_with("https://");
        let host = self.url.split_once("://").map_or("", |(_, host)| host);
        found.require(
            (secure || self.url.starts_with("http://")) && !host.is_empty(),
            "feed.registry.url",
            &self.url,
            "http://HOST:PORT or https://HOST:PORT",
        );
        found.require(
            !host.contains(['@', '?', '#']),
            "feed.registry.url",
            "(not shown)",
            "without a user, a query or a fragment; see feed.registry.username",
        );
        found.require(
            self.username.is_some() == self.password_file.is_some(),
            "feed.registry.password_file",
            &self.password_file,
            "given together with feed.registry.username, or neither",
        );
        found.require(
            secure == self.ca.is_some(),
            "feed.registry.ca",
            &self.ca,
            "the authority of the registry's certificate for https, none for http",
        );
    }
}

/// `[export]`: what other programs want to hear of us, as CloudEvents.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Bootstrap brokers, `host:port`.
    pub brokers: Vec<String>,
    /// Topic of alerts, raised and cleared.
    pub alerts: Option<String>,
    /// Topic of rounds of learning.
    pub rounds: Option<String>,
    /// Topic of scores, one for each judged report.
    pub scores: Option<String>,
    /// PEM file with the CA of the brokers; with it the connection uses TLS.
    pub ca: Option<PathBuf>,
    /// PEM client certificate, where brokers ask for one.
    pub certificate: Option<PathBuf>,
    /// PEM client key.
    pub key: Option<PathBuf>,
    /// Name and password, where brokers ask for them.
    pub sasl: Option<KafkaSasl>,
}

/// How brokers are to be spoken to, by `[feed]` or `[export]`.
#[derive(Clone, Copy, Debug)]
pub struct KafkaAccess<'a> {
    /// Name of the section.
    pub section: &'static str,
    /// Bootstrap brokers.
    pub brokers: &'a [String],
    /// Authorities of the brokers' certificates.
    pub ca: Option<&'a PathBuf>,
    /// Our certificate.
    pub certificate: Option<&'a PathBuf>,
    /// Our key.
    pub key: Option<&'a PathBuf>,
    /// Name and password.
    pub sasl: Option<&'a KafkaSasl>,
}

impl Feed {
    pub(crate) fn check_registry(&self, found: &mut Problems) {
        found.require(
            (self.format == "registry") == self.registry.is_some(),
            "feed.registry",
            self.registry.as_ref().map(|registry| &registry.url),
            "a section for feed.format = \"registry\", and for no other",
        );
        if let Some(registry) = &self.registry {
            registry.check(found);
        }
    }

    /// How its brokers are to be spoken to.
    pub fn access(&self) -> KafkaAccess<'_> {
        KafkaAccess {
            section: "feed",
            brokers: &self.brokers,
            ca: self.ca.as_ref(),
            certificate: self.certificate.as_ref(),
            key: self.key.as_ref(),
            sasl: self.sasl.as_ref(),
        }
    }
}

impl Export {
    /// How its brokers are to be spoken to.
    pub fn access(&self) -> KafkaAccess<'_> {
        KafkaAccess {
            section: "export",
            brokers: &self.brokers,
            ca: self.ca.as_ref(),
            certificate: self.certificate.as_ref(),
            key: self.key.as_ref(),
            sasl: self.sasl.as_ref(),
        }
    }

    pub(crate) fn check(&self, found: &mut Problems) {
        self.access().check(found);
        let topics = [&self.alerts, &self.rounds, &self.scores];
        found.require(
            topics.iter().any(|topic| topic.is_some()),
            "export.alerts",
            &self.alerts,
            "the name of a topic; without alerts, rounds and scores leave the section out",
        );
    }
}

impl KafkaAccess<'_> {
    pub(crate) fn check(&self, found: &mut Problems) {
        let section = self.section;
        found.require(
            !self.brokers.is_empty(),
            format!("{section}.brokers"),
            self.brokers,
            "at least one host:port",
        );
        for (i, broker) in self.brokers.iter().enumerate() {
            found.require(
                is_host_port(broker),
                format!("{section}.brokers[{i}]"),
                broker,
                "host:port",
            );
        }
        found.require(
            self.certificate.is_some() == self.key.is_some(),
            format!("{section}.certificate"),
            self.certificate,
            format!("given together with {section}.key, or neither"),
        );
        found.require(
            self.certificate.is_none() || self.ca.is_some(),
            format!("{section}.certificate"),
            self.certificate,
            format!("given together with {section}.ca: a certificate is shown under TLS only"),
        );
        let plain = self.sasl.map(|sasl| sasl.mechanism) == Some(SaslMechanism::Plain);
        found.require(
            !plain || self.ca.is_some(),
            format!("{section}.sasl.mechanism"),
            "PLAIN",
            format!(
                "SCRAM-SHA-512 or SCRAM-SHA-256, or given together with {section}.ca: PLAIN sends the \
                 password in clear"
            ),
        );
    }
}
