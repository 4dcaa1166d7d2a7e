//! From keys of the configuration to what the libraries want to hear.

use crate::exporter::ExportConfig;
use crate::gateway::Gateway;
use crate::rooms::Heartbeats;
use chrono::{Local, TimeZone as _};
use cluster::noise::EpochTable;
use cluster::{Cluster, ClusterConfig, Detection, Faults, FaultyTransport, Members, Transport};
use config::{Config, FeedFields, Peer};
use ed25519_dalek::SigningKey;
use edge::kafka::{
    ClientConfig, FeedConfig, Mechanism, OutOfRange, Reach, Sasl, Security as KafkaSecurity,
    StartAt, Tls,
};
use edge::mailer::{Mailer, MailerConfig, Outbox, Security};
use edge::registry::RegistryConfig;
use runtime::service::ServiceError;
use runtime::supervisor::SupervisorSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use telemetry::alertmail::Settings;
use telemetry::copybook::Copybook;
use telemetry::copybook::framing::Framing;
use telemetry::directory::{self, Directory};
use telemetry::ebcdic::CodePage;
use telemetry::transactions::{
    Dimension, FieldNames, JsonLayout, Layout, PipelineConfig, TransactionLayout, WindowConfig,
};
use wire::{Admission, Level, MemberEntry, NodeId, RoomId, UnixMillis};

/// A file named in the configuration.
fn read(key: &str, path: &Path) -> Result<String, ServiceError> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{key}` = {}: {error}", path.display()).into())
}

/// The members that the configuration names: founders, or whom this node met when it joined.
pub(super) fn configured(config: &Config) -> BTreeMap<NodeId, MemberEntry> {
    let entry = |peer: &Peer| {
        // The configuration was checked: every identity is 64 hex digits.
        let identity = hex::decode(&peer.identity).ok()?.try_into().ok()?;
        let node = NodeId::new(peer.name.clone());
        let entry = MemberEntry {
            node: node.clone(),
            identity,
            address: peer.address.clone(),
        };
        Some((node, entry))
    };
    config.cluster.peers.iter().filter_map(entry).collect()
}

/// Where others reach this node.
pub(super) fn address(config: &Config) -> String {
    let listen = || config.cluster.listen.to_string();
    config.cluster.address.clone().unwrap_or_else(listen)
}

/// What this node speaks.
pub(super) fn level(config: &Config) -> Level {
    config.cluster.level.map_or(Level::NEWEST, Level)
}

/// The links, and the switch for faults where they are allowed.
pub(super) struct Links {
    pub(super) cluster: Cluster,
    pub(super) spec: SupervisorSpec,
    pub(super) faults: Option<Faults>,
}

/// Who this node is to the others.
pub(super) struct Itself<'a> {
    pub(super) incarnation: u64,
    pub(super) identity: &'a SigningKey,
    pub(super) admission: Option<Admission>,
}

pub(super) fn links<T: Transport>(
    config: &Config,
    transport: T,
    itself: Itself<'_>,
    members: &Members,
    epochs: &EpochTable,
    gateway: &Arc<Gateway>,
) -> Result<Links, ServiceError> {
    let detection = &config.cluster.detection;
    let links = ClusterConfig {
        cluster: config.cluster.name.clone(),
        me: NodeId::new(config.node.name.clone()),
        incarnation: itself.incarnation,
        identity: itself.identity.clone(),
        members: members.clone(),
        level: level(config),
        admission: itself.admission,
        detection: Detection {
            heartbeat: Duration::from_millis(detection.heartbeat_ms),
            acceptable_pause: Duration::from_millis(detection.pause_ms),
            threshold: detection.threshold,
            ..Detection::default()
        },
    };
    if config.cluster.allow_faults {
        let (transport, faults) = FaultyTransport::new(transport);
        let (cluster, spec) = Cluster::new(links, transport, epochs.clone(), gateway.clone())?;
        let faults = Some(faults);
        return Ok(Links {
            cluster,
            spec,
            faults,
        });
    }
    let (cluster, spec) = Cluster::new(links, transport, epochs.clone(), gateway.clone())?;
    Ok(Links {
        cluster,
        spec,
        faults: None,
    })
}

pub(super) fn devices(config: &Config) -> Result<Directory, ServiceError> {
    let devices = config.devices.iter().map(|device| directory::Device {
        id: device.id.as_str().into(),
        room: device.room.as_str().into(),
        class: device.class.clone(),
        addresses: device.addresses.clone(),
    });
    Ok(Directory::new(devices)?)
}

/// Devices that have to report regularly, by room.
pub(super) fn heartbeats(config: &Config) -> Heartbeats {
    let mut heartbeats = Heartbeats::new();
    for device in &config.devices {
        if let Some(seconds) = device.heartbeat_s {
            let of_room = heartbeats.entry(device.room.as_str().into()).or_default();
            of_room.push((device.id.as_str().into(), Duration::from_secs(seconds)));
        }
    }
    heartbeats
}

pub(super) fn mailer(config: &Config) -> Result<Option<Arc<dyn Outbox>>, ServiceError> {
    let Some(alerts) = &config.alerts else {
        return Ok(None);
    };
    let (host, port) = alerts
        .relay
        .rsplit_once(':')
        .unwrap_or((&alerts.relay, "25"));
    let security = match (&alerts.ca, alerts.require_tls) {
        (Some(ca), _) => Security::StartTls { roots: read("alerts.ca", ca)? },
        (None, true) => return Err("`alerts.ca` is missing; name a PEM file with the relay's root certificate, or set `alerts.require_tls = false` for a relay on this host".into()),
        (None, false) => Security::Plaintext,
    };
    let mailer = Mailer::new(MailerConfig {
        host: host.to_owned(),
        port: port.parse()?,
        security,
        helo: config.mailbox.hostname.clone(),
        from: alerts.from.clone(),
        to: alerts.to.clone(),
        limit: MailerConfig::LIMIT,
    })?;
    Ok(Some(Arc::new(mailer)))
}

/// How alerts are mailed. Without `[alerts]` somebody else brought the outbox, and knows no time zone.
pub(super) fn alert_mail(config: &Config) -> Settings {
    let cluster = config.cluster.name.clone();
    match &config.alerts {
        Some(alerts) => Settings {
            cluster,
            digest_after: alerts.digest_after,
            digest_window: Duration::from_secs(alerts.digest_window_s),
            repeat: Duration::from_secs(alerts.repeat_s),
            zone: local,
        },
        None => Settings {
            cluster,
            digest_after: Settings::DIGEST_AFTER,
            digest_window: Settings::DIGEST_WINDOW,
            repeat: Settings::REPEAT,
            zone: |_| 0,
        },
    }
}

/// Minutes east of UTC on this host's clock.
fn local(at: UnixMillis) -> i32 {
    let moment = i64::try_from(at.0).ok();
    let moment = moment.and_then(|millis| Local.timestamp_millis_opt(millis).single());
    moment.map_or(0, |moment| moment.offset().local_minus_utc() / 60)
}

/// `feed.format` of values that a copybook describes.
const RECORDS: &str = "records";

/// How EBCDIC records are read.
fn records(
    feed: &config::Feed,
    file: &Path,
    names: &FieldNames,
) -> Result<TransactionLayout, ServiceError> {
    let mut copybook = Copybook::parse(&read("feed.copybook", file)?)
        .map_err(|error| format!("`feed.copybook` = {}: {error}", file.display()))?;
    for rule in &feed.alternatives {
        copybook
            .choose(rule)
            .map_err(|error| format!("`feed.alternatives`: {error}"))?;
    }
    let page: CodePage = feed.code_page.parse()?;
    let framing: Framing = feed.framing.parse()?;
    Ok(TransactionLayout::new(copybook, page, names, 0)?.framed(framing))
}

pub(super) fn pipeline(
    config: &Config,
    reach: Reach,
) -> Result<Option<(FeedConfig, PipelineConfig)>, ServiceError> {
    let Some(feed) = &config.feed else {
        return Ok(None);
    };
    let FeedFields {
        timestamp,
        kind,
        key,
        amount,
        response,
        latency,
        terminal,
    } = feed.fields.clone();
    let names = FieldNames {
        timestamp,
        kind,
        key,
        amount,
        response,
        latency,
        terminal,
    };
    let by: BTreeSet<Dimension> = feed
        .windows_by
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    let layout = match &feed.copybook {
        Some(file) if feed.format == RECORDS => Layout::Records(records(feed, file, &names)?),
        _ if feed.registry.is_some() => Layout::Registered(JsonLayout::new(names, 0)),
        _ => Layout::Json(JsonLayout::new(names, 0)),
    };
    let width = Duration::from_millis(feed.window_ms);
    let windows = WindowConfig {
        width,
        // Records of one region come in order but for a retried one: a window is late enough.
        lateness: width,
        idle: width * 4,
        room: RoomId::new(feed.room.clone()),
        by,
        ..WindowConfig::default()
    };
    let security = kafka_security(feed.access())?;
    let client = ClientConfig {
        reach,
        ..ClientConfig::new(feed.brokers.clone(), security)
    };
    let topic = feed.topic.clone();
    let pipeline = PipelineConfig {
        topic: topic.clone(),
        layout,
        windows,
    };
    let config = FeedConfig {
        start: match feed.start {
            config::FeedStart::Earliest => StartAt::Earliest,
            config::FeedStart::Latest => StartAt::Latest,
        },
        out_of_range: match feed.out_of_range {
            config::FeedOutOfRange::Earliest => OutOfRange::Earliest,
            config::FeedOutOfRange::Latest => OutOfRange::Latest,
            config::FeedOutOfRange::Fail => OutOfRange::Fail,
        },
        ..FeedConfig::new(client, topic, feed.group.clone())
    };
    Ok(Some((config, pipeline)))
}

/// Where the schemas of values lie, if they have any.
pub(super) fn registry(config: &Config) -> Result<Option<RegistryConfig>, ServiceError> {
    let registry = config.feed.as_ref().and_then(|feed| feed.registry.as_ref());
    let Some(registry) = registry else {
        return Ok(None);
    };
    let login = match (&registry.username, &registry.password_file) {
        (Some(username), Some(file)) => {
            let password = read("feed.registry.password_file", file)?;
            // Editors end files with a line feed.
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            Some((username.clone(), password))
        }
        (None, None | Some(_)) | (Some(_), None) => None,
    };
    Ok(Some(RegistryConfig {
        url: registry.url.clone(),
        login,
        ca: registry.ca.clone(),
    }))
}

/// Where events go, if anywhere.
pub(super) fn export(config: &Config, reach: Reach) -> Result<Option<ExportConfig>, ServiceError> {
    let Some(export) = &config.export else {
        return Ok(None);
    };
    let security = kafka_security(export.access())?;
    Ok(Some(ExportConfig {
        client: ClientConfig {
            reach,
            ..ClientConfig::new(export.brokers.clone(), security)
        },
        alerts: export.alerts.clone(),
        rounds: export.rounds.clone(),
        scores: export.scores.clone(),
    }))
}

fn kafka_security(access: config::KafkaAccess<'_>) -> Result<KafkaSecurity, ServiceError> {
    let tls = access.ca.map(|ca| Tls {
        ca: ca.clone(),
        client: access.certificate.cloned().zip(access.key.cloned()),
    });
    let user = |sasl: &config::KafkaSasl| -> Result<Sasl, ServiceError> {
        let key = format!("{}.sasl.password_file", access.section);
        let password = read(&key, &sasl.password_file)?;
        Ok(Sasl {
            mechanism: match sasl.mechanism {
                config::SaslMechanism::ScramSha256 => Mechanism::ScramSha256,
                config::SaslMechanism::ScramSha512 => Mechanism::ScramSha512,
                config::SaslMechanism::Plain => Mechanism::Plain,
            },
            username: sasl.username.clone(),
            // Editors end files with a line feed.
            password: password.trim_end_matches(['\r', '\n']).to_owned(),
        })
    };
    let sasl = access.sasl.map(user).transpose()?;
    Ok(KafkaSecurity { tls, sasl })
}
