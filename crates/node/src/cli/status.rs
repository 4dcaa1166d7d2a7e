//! `glasshouse status`.

use super::{ASK_LIMIT, Outcome};
use std::net::SocketAddr;
use std::path::PathBuf;
use wire::control::Ask;
use wire::status::{FormatStatus, Status};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Configuration of the node to ask, over its control socket.
    #[arg(long, conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// Or the address of its status page.
    #[arg(long, default_value = "127.0.0.1:7100")]
    admin: SocketAddr,
    /// Have a majority confirm first that the view is not older than the question.
    #[arg(long, requires = "config")]
    linearizable: bool,
    /// Print the JSON as it came.
    #[arg(long)]
    json: bool,
}

/// Asks over the control socket if there is a configuration, else over the status page.
fn fetch(arguments: &Arguments) -> Result<Status, Box<dyn std::error::Error + Send + Sync>> {
    if let Some(config) = &arguments.config {
        let ask = Ask::Status {
            linearizable: arguments.linearizable,
        };
        return super::status_of(config, &ask, ASK_LIMIT);
    }
    let admin = arguments.admin;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ASK_LIMIT))
        .build()
        .into();
    let status = agent
        .get(format!("http://{admin}/status.json"))
        .call()
        .map_err(|error| format!("no answer from {admin}: {error}. Is the node running? Its address is `node.admin` in its configuration"))?
        .body_mut()
        .read_json()?;
    Ok(status)
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let status = fetch(arguments)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print(&status);
    }
    Ok(())
}

fn print(status: &Status) {
    let up = |up: &bool| if *up { "up" } else { "DOWN" };
    let members: Vec<String> = status
        .members
        .iter()
        .map(|(name, is_up)| format!("{name} {}", up(is_up)))
        .collect();
    let links: Vec<String> = status
        .links
        .iter()
        .map(|(name, epoch)| format!("{name} (key epoch {epoch})"))
        .collect();
    let roles: Vec<String> = status
        .roles
        .iter()
        .map(|role| match role {
            wire::Role::Room(room) => format!("room {room}"),
            wire::Role::Feed(topic) => format!("feed {topic}"),
            wire::Role::FeedShare(share) => {
                format!("feed {} {}/{}", share.topic, share.share + 1, share.of)
            }
        })
        .collect();
    let leader = status
        .leader
        .as_ref()
        .map_or("none".into(), ToString::to_string);
    println!(
        "{} {}, up {:.0} s",
        status.node, status.version, status.uptime_s
    );
    println!(
        "  cluster   {}; leader {leader}, term {}",
        members.join(", "),
        status.term
    );
    println!("  links     {}", links.join(", "));
    for (name, peer) in &status.peers {
        let doubt = if peer.linked { "" } else { ", NO LINK" };
        println!(
            "    {name:<8}{} level {}, heard {} ms ago, suspicion {:.1}{doubt}",
            peer.address, peer.level, peer.silent_ms, peer.phi
        );
    }
    println!(
        "  roles     {}",
        if roles.is_empty() {
            "none".into()
        } else {
            roles.join(", ")
        }
    );
    println!("  keys      epoch {}", status.key_epoch);
    println!(
        "  ledger    {} leaves, root {}; {} of them under a cosigned checkpoint; {}",
        status.ledger.size, status.ledger.root, status.ledger.cosigned, status.ledger.phase
    );
    let names = |nodes: &[wire::NodeId]| -> String {
        let names: Vec<&str> = nodes.iter().map(wire::NodeId::as_str).collect();
        names.join(", ")
    };
    println!(
        "  consensus level {}; votes: {}; catching up: {}",
        status.ledger.level,
        names(&status.ledger.voters),
        if status.ledger.learners.is_empty() {
            "none".into()
        } else {
            names(&status.ledger.learners)
        }
    );
    println!(
        "  mail      {} accepted, {} refused, {} quarantined, {} duplicates, {} waiting",
        status.mail.accepted,
        status.mail.rejected,
        status.mail.quarantined,
        status.mail.duplicates,
        status.mail.pending
    );
    if !status.mail.formats.is_empty() {
        let formats = status.mail.formats.iter();
        let formats: Vec<String> = formats
            .map(|(name, count)| format_line(name, count))
            .collect();
        println!("  read by   {}", formats.join(", "));
    }
    println!(
        "  kafka     {} records, {} quarantined",
        status.kafka.records, status.kafka.quarantined
    );
    if let Some(reason) = &status.kafka.held_back {
        println!("            waiting: {reason}");
    }
    if status.export != Default::default() {
        println!(
            "  export    {} events acknowledged, {} scores left out",
            status.export.acknowledged, status.export.shed
        );
    }
    println!(
        "  dds       {} published, {} received ({} from other nodes), {} refused; mail to reader p50 {:.1} ms, p99 {:.1} ms",
        status.dds.published,
        status.dds.received,
        status.dds.received_remote,
        status.dds.refused,
        status.dds.mail_to_dds_p50_ms,
        status.dds.mail_to_dds_p99_ms
    );
    for (name, topic) in &status.dds.topics {
        let refused = topic.refused.iter();
        let refused: Vec<String> = refused
            .map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")))
            .collect();
        let refused = if refused.is_empty() {
            "none".to_owned()
        } else {
            refused.join(", ")
        };
        println!(
            "            {name}: {} published, {} received, refused: {refused}",
            topic.published, topic.received
        );
    }
    let loss = status
        .learning
        .losses
        .last()
        .map_or("–".into(), |(_, loss)| format!("{loss:.4}"));
    println!(
        "  learning  {} rounds closed, {} abandoned, last loss {loss}; {} devices, {} windows scored here",
        status.learning.closed,
        status.learning.abandoned,
        status.learning.devices,
        status.learning.scored
    );
    println!(
        "  alerts    {} raised, {} cleared; {} alert mails sent, {} waiting, {} refused, {} alert mails bounced",
        status.alerts.raised,
        status.alerts.cleared,
        status.alerts.mailed,
        status.alerts.waiting,
        status.alerts.refused,
        status.alerts.bounced
    );
    for bounce in &status.alerts.bounces {
        println!(
            "    bounced {} for {}: {} {}",
            bounce.mail, bounce.recipient, bounce.status, bounce.diagnostic
        );
    }
    for alert in &status.alerts.open {
        println!(
            "    open    {} {}: {}",
            alert.room, alert.device, alert.summary
        );
    }
    println!(
        "  plaintext {} bytes of payload seen unencrypted on sockets",
        status.plaintext_payload_bytes
    );
}

/// `manageups 12 (1 failed)`.
fn format_line(name: &str, count: &FormatStatus) -> String {
    match count.failed {
        0 => format!("{name} {}", count.read),
        failed => format!("{name} {} ({failed} failed)", count.read),
    }
}
