//! Our configuration in librdkafka's words.

use crate::kafka::{FeedConfig, FeedError, Mechanism, Reach, tls};
use ::rdkafka::ClientConfig;

/// Records that librdkafka reads ahead, in KiB: its default of 64 MiB would be most of a node's memory.
const READ_AHEAD_KIB: &str = "16384";

/// Of librdkafka.
const DEFAULT_MESSAGE_MAX: i32 = 1_000_000;

/// Refuses what must not be done and files that are none, before librdkafka sees them: its own words for it are a
/// number.
pub(super) fn settings(config: &FeedConfig) -> Result<ClientConfig, FeedError> {
    let client = &config.client;
    if client.security.tells_its_password() {
        let reason = "SASL PLAIN would send the password in clear; use SCRAM, or TLS beside it";
        return Err(FeedError::Unsafe(reason));
    }
    match client.reach {
        Reach::Sockets => {}
        Reach::Dialer(_) => {
            let reason =
                "librdkafka opens its sockets itself; a dialer goes with the feed on samsa";
            return Err(FeedError::Unsafe(reason));
        }
    }
    if let Some(files) = &client.security.tls {
        tls::settings(files)?;
    }
    let mut set = ClientConfig::new();
    set.set("bootstrap.servers", client.bootstrap.join(","));
    set.set("client.id", &client.client_id);
    set.set("group.id", &config.group);
    set.set("enable.auto.commit", "false");
    set.set("enable.auto.offset.store", "false");
    // Our policy, not librdkafka's: it would move on without a word.
    set.set("auto.offset.reset", "error");
    set.set("isolation.level", "read_committed");
    set.set("check.crcs", "true");
    set.set("queued.max.messages.kbytes", READ_AHEAD_KIB);
    set.set("fetch.wait.max.ms", millis(config.max_wait));
    // Its half second is long for a partition that just moved.
    set.set("fetch.error.backoff.ms", "100");
    set.set("fetch.max.bytes", config.max_bytes.to_string());
    // A limit of producers, and nothing is produced; but it must not be over the one above.
    let message_max = config.max_bytes.min(DEFAULT_MESSAGE_MAX);
    set.set("message.max.bytes", message_max.to_string());
    set.set(
        "max.partition.fetch.bytes",
        config.partition_max_bytes.to_string(),
    );
    // It has to be longer than the wait that a fetch asks for.
    set.set(
        "socket.timeout.ms",
        millis(client.call_limit + config.max_wait),
    );
    set.set(
        "socket.connection.setup.timeout.ms",
        millis(client.connect_limit.max(std::time::Duration::from_secs(1))),
    );
    set.set("socket.nagle.disable", "true");
    protect(&mut set, config);
    Ok(set)
}

fn protect(set: &mut ClientConfig, config: &FeedConfig) {
    let security = &config.client.security;
    let protocol = match (&security.tls, &security.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    set.set("security.protocol", protocol);
    if let Some(files) = &security.tls {
        set.set("ssl.ca.location", files.ca.to_string_lossy());
        set.set("ssl.endpoint.identification.algorithm", "https");
        if let Some((chain, key)) = &files.client {
            set.set("ssl.certificate.location", chain.to_string_lossy());
            set.set("ssl.key.location", key.to_string_lossy());
        }
    }
    if let Some(sasl) = &security.sasl {
        let mechanism = match sasl.mechanism {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::Plain => "PLAIN",
        };
        set.set("sasl.mechanism", mechanism);
        set.set("sasl.username", &sasl.username);
        set.set("sasl.password", &sasl.password);
    }
}

fn millis(span: std::time::Duration) -> String {
    span.as_millis().to_string()
}
