//! A broker that shows a certificate and asks for a password, three ways on one listener.

use crate::apache::{Brokers, Extra, free_port};
use crate::kafka_suite::certificates::{Certificates, certificates};
use crate::kafka_suite::{self, feed, kcat, send, take, text, topic, within};
use edge::kafka::{ClientConfig, Feed, Mechanism, OffsetCommit, Sasl, Security, Tls};
use std::path::Path;

const PASSWORD: &str = "from-the-vault";

pub(crate) async fn run(version: &str) {
    let (port, ours) = (free_port(), certificates());
    let extra = |dir: &Path, plain, controller| extra(dir, plain, controller, port, &ours);
    let mut apache = Brokers::one(Some(version), extra).await;
    kafka_suite::run(&mut apache).await;

    let ca = apache.folder().join("ca.pem");
    let tls = Some(Tls {
        ca: ca.clone(),
        client: None,
    });
    let user = |mechanism, password: &str| {
        Some(Sasl {
            mechanism,
            username: "feed".to_owned(),
            password: password.to_owned(),
        })
    };
    let files = [
        ("client.pem", &ours.client.0),
        ("client.key", &ours.client.1),
    ];
    let [chain, key] = files.map(|(name, pem)| {
        let path = apache.folder().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    });
    let address = format!("localhost:{port}");
    let with = |security| ClientConfig::new([address.clone()], security);
    let mut producer = None;
    for (number, mechanism) in (1..).zip([
        Mechanism::ScramSha256,
        Mechanism::ScramSha512,
        Mechanism::Plain,
    ]) {
        let sasl = user(mechanism, PASSWORD);
        // The broker asks for a certificate as well, and does without.
        let client = (number == 2).then(|| (chain.clone(), key.clone()));
        let tls = tls.clone().map(|tls| Tls { client, ..tls });
        let config = with(Security { tls, sasl });
        if producer.is_none() {
            producer = Some(topic(&config, "protected", 1).await);
        }
        let value = format!("by {}", mechanism.name());
        send(producer.as_mut().unwrap(), 0, std::slice::from_ref(&value)).await;
        let mut reader = feed(&config, "protected");
        assert_eq!(text(&take(&mut reader, 1).await[0].1), value);
        let commit = OffsetCommit {
            partition: 0,
            offset: number,
            metadata: String::new(),
        };
        within(reader.commit(&[commit])).await.unwrap();
        assert_eq!(reader.counters().plaintext_bytes, 0);
    }
    // librdkafka reads what we sent, and that is one record for each mechanism.
    let authority = format!("ssl.ca.location={}", ca.display());
    let password = format!("sasl.password={PASSWORD}");
    let arguments = [
        "-C",
        "-t",
        "protected",
        "-e",
        "-q",
        "-X",
        "security.protocol=sasl_ssl",
        "-X",
        &authority,
        "-X",
        "sasl.mechanisms=SCRAM-SHA-512",
        "-X",
        "sasl.username=feed",
        "-X",
        &password,
    ];
    let read = kcat::spawn(&address, &arguments, "").await.unwrap();
    assert_eq!(read, "by SCRAM-SHA-256\nby SCRAM-SHA-512\nby PLAIN\n");

    let refused = async |security| {
        let error = within(feed(&with(security), "protected").poll()).await;
        error.unwrap_err()
    };
    let error = refused(Security {
        tls: tls.clone(),
        sasl: user(Mechanism::ScramSha512, "guessed"),
    });
    let error = error.await.to_string();
    says(&error, &["SASL SCRAM-SHA-512: refused for user \"feed\""]);
    // Not even tried: the password would cross in clear.
    let error = refused(Security {
        tls: None,
        sasl: user(Mechanism::Plain, PASSWORD),
    });
    let error = error.await;
    assert!(
        error.is_permanent() && error.to_string().contains("in clear"),
        "{error}"
    );
    // A broker of somebody else's authority does not get to hear of the password.
    let theirs = apache.folder().join("theirs.pem");
    std::fs::write(&theirs, certificates().ca_pem).unwrap();
    let error = refused(Security {
        tls: Some(Tls {
            ca: theirs,
            client: None,
        }),
        sasl: user(Mechanism::Plain, PASSWORD),
    });
    let error = error.await.to_string();
    says(&error, &["certificate"]);
    // A listener without SASL.
    let plain = ClientConfig::new(
        apache.addresses(),
        Security {
            tls: None,
            sasl: user(Mechanism::ScramSha256, PASSWORD),
        },
    );
    let mut reader = feed(&plain, "protected");
    let error = within(reader.poll()).await.unwrap_err().to_string();
    says(&error, &["does not take SASL SCRAM-SHA-256", "speak SASL"]);
}

/// One of these; librdkafka has words of its own, which are not ours to promise.
fn says(error: &str, expected: &[&str]) {
    let said = expected.iter().any(|words| error.contains(words));
    let refused = error.starts_with("cannot connect to Kafka broker");
    assert!(refused && (said || cfg!(feature = "rdkafka")), "{error}");
}

/// A second listener beside the one that `run.sh` makes, which the test's own set-up uses.
fn extra(dir: &Path, plain: u16, controller: u16, port: u16, ours: &Certificates) -> Extra {
    let (keystore, authority) = (dir.join("broker.pem"), dir.join("ca.pem"));
    std::fs::write(&authority, &ours.ca_pem).unwrap();
    let (chain, key) = &ours.broker;
    std::fs::write(&keystore, format!("{key}{chain}")).unwrap();
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required";
    let clear = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let user = |mechanism| format!(" --add-scram {mechanism}=[name=feed,password={PASSWORD}]");
    let listener = "listener.name.sasl_ssl";
    Extra {
        properties: format!(
            "listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{port}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://localhost:{port}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL\n\
             sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN\n\
             {listener}.scram-sha-256.sasl.jaas.config={scram};\n\
             {listener}.scram-sha-512.sasl.jaas.config={scram};\n\
             {listener}.plain.sasl.jaas.config={clear} user_feed=\"{PASSWORD}\";\n\
             ssl.keystore.type=PEM\n\
             ssl.keystore.location={}\n\
             ssl.truststore.type=PEM\n\
             ssl.truststore.location={}\n\
             {listener}.ssl.client.auth=requested\n",
            keystore.display(),
            authority.display(),
        ),
        format: user("SCRAM-SHA-256") + &user("SCRAM-SHA-512"),
    }
}
