//! From keys of the configuration to what the libraries want to hear.

use crate::gateway::Gateway;
use cluster::noise::EpochTable;
use cluster::{Cluster, ClusterConfig, Detection, MemberTable, Members, TcpTransport};
use config::{Config, FeedFields};
use ed25519_dalek::SigningKey;
use edge::kafka::{ClientConfig, FeedConfig, Security as KafkaSecurity};
use edge::mailer::{Mailer, MailerConfig, Security};
use edge::smtp::{Policy, Recipients, SmtpConfig, SmtpLimits};
use edge::tls;
use runtime::service::ServiceError;
use runtime::supervisor::SupervisorSpec;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use telemetry::copybook::Copybook;
use telemetry::directory::{self, Directory};
use telemetry::ebcdic::CodePage;
use telemetry::transactions::{FieldNames, PipelineConfig, TransactionLayout, WindowConfig};
use wire::{Level, MemberEntry, NodeId, RoomId};

/// A file named in the configuration.
fn read(key: &str, path: &Path) -> Result<String, ServiceError> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{key}` = {}: {error}", path.display()).into())
}

pub(super) fn roster(config: &Config) -> BTreeMap<NodeId, [u8; 32]> {
    config
        .cluster
        .peers
        .iter()
        .filter_map(|peer| {
            // The configuration was checked: every identity is 64 hex digits.
            let key = hex::decode(&peer.identity).ok()?.try_into().ok()?;
            Some((NodeId::new(peer.name.clone()), key))
        })
        .collect()
}

pub(super) async fn links(
    config: &Config,
    me: &NodeId,
    incarnation: u64,
    identity: &SigningKey,
    roster: &BTreeMap<NodeId, [u8; 32]>,
    epochs: &EpochTable,
    gateway: &Arc<Gateway>,
) -> Result<(Cluster, SupervisorSpec), ServiceError> {
    let members = config.cluster.peers.iter().filter_map(|peer| {
        let node = NodeId::new(peer.name.clone());
        Some(MemberEntry {
            identity: *roster.get(&node)?,
            node,
            address: peer.address.to_string(),
        })
    });
    let transport = TcpTransport::bind(config.cluster.listen).await?;
    let cluster = ClusterConfig {
        cluster: config.cluster.name.clone(),
        me: me.clone(),
        incarnation,
        identity: identity.clone(),
        members: Members::new(MemberTable::founding(members)),
        level: Level::NEWEST,
        admission: None,
        detection: Detection::default(),
    };
    Ok(Cluster::new(
        cluster,
        transport,
        epochs.clone(),
        gateway.clone(),
    )?)
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

pub(super) fn door(
    config: &Config,
) -> Result<Arc<dyn Fn() -> SmtpConfig + Send + Sync>, ServiceError> {
    let mailbox = &config.mailbox;
    let certified = match (&mailbox.certificate, &mailbox.key) {
        (Some(certificate), Some(key)) => tls::Certified::load(certificate, key)?,
        (Some(_), None) | (None, Some(_)) | (None, None) => tls::Certified::load_or_create(
            &config.node.data_dir,
            "mailbox",
            std::slice::from_ref(&mailbox.hostname),
        )?,
    };
    let tls = tls::server_config(&certified)?;
    let recipients = Recipients::new(&mailbox.domains, &[]);
    let policy = Policy {
        max_size: mailbox.max_message_bytes,
        require_tls: mailbox.require_tls,
        ..Policy::new(mailbox.hostname.clone(), recipients)
    };
    let limits = SmtpLimits {
        sessions: mailbox.max_sessions,
        sessions_per_address: mailbox.max_sessions_per_address,
    };
    let listen = mailbox.listen;
    Ok(Arc::new(move || SmtpConfig {
        listen,
        policy: policy.clone(),
        tls: tls.clone(),
        limits,
    }))
}

pub(super) fn mailer(config: &Config) -> Result<Option<Mailer>, ServiceError> {
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
    Ok(Some(mailer))
}

pub(super) fn pipeline(
    config: &Config,
) -> Result<Option<(FeedConfig, PipelineConfig)>, ServiceError> {
    let Some(feed) = &config.feed else {
        return Ok(None);
    };
    let copybook = Copybook::parse(&read("feed.copybook", &feed.copybook)?)
        .map_err(|error| format!("`feed.copybook` = {}: {error}", feed.copybook.display()))?;
    let page: CodePage = feed.code_page.parse()?;
    let FeedFields {
        timestamp,
        kind,
        key,
        amount,
        response,
        latency,
    } = feed.fields.clone();
    let names = FieldNames {
        timestamp,
        kind,
        key,
        amount,
        response,
        latency,
    };
    let layout = TransactionLayout::new(copybook, page, &names, 0)?;
    let width = Duration::from_millis(feed.window_ms);
    let windows = WindowConfig {
        width,
        // Records of one region come in order but for a retried one: a window is late enough.
        lateness: width,
        idle: width * 4,
        room: RoomId::new(feed.room.clone()),
        ..WindowConfig::default()
    };
    let security = match (&feed.ca, &feed.certificate, &feed.key) {
        (Some(ca), Some(cert), Some(key)) => KafkaSecurity::MutualTls {
            ca: ca.clone(),
            cert: cert.clone(),
            key: key.clone(),
        },
        _ => KafkaSecurity::Plaintext,
    };
    let client = ClientConfig::new(feed.brokers.clone(), security);
    let topic = feed.topic.clone();
    let pipeline = PipelineConfig {
        topic: topic.clone(),
        layout,
        windows,
    };
    Ok(Some((
        FeedConfig::new(client, topic, feed.group.clone()),
        pipeline,
    )))
}
