//! SASL to brokers (KIP-43, KIP-152): the configured mechanism and no other.
//!
//! samsa takes whatever else a broker offers when it refuses the first one, PLAIN among it, and so could
//! be talked out of SCRAM by somebody in the middle. Requests and answers are samsa's, the mechanisms
//! rsasl's.

use super::dialer::{Connection, exchange};
use super::{Mechanism, Sasl};
use bytes::Bytes;
use rsasl::prelude::{Mechname, MessageSent, SASLClient, SASLConfig, State};
use samsa::prelude::KafkaCode;
use samsa::prelude::protocol::{
    SaslAuthenticationRequest, SaslAuthenticationResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use std::io::Cursor;

/// Messages of ours in one exchange: SCRAM takes two, PLAIN one.
const MOST_STEPS: i32 = 4;

impl Mechanism {
    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Plain => "PLAIN",
        }
    }
}

/// Shows who we are, and with SCRAM that the broker knows our password, too. The sentence says what failed.
pub(super) async fn authenticate(
    connection: &mut Box<dyn Connection>,
    client_id: &str,
    sasl: &Sasl,
) -> Result<(), String> {
    let name = sasl.mechanism.name();
    agree(connection, client_id, name).await?;

    let failed = |what: &dyn std::fmt::Display| format!("SASL {name}: {what}");
    let config = SASLConfig::with_credentials(None, sasl.username.clone(), sasl.password.clone())
        .map_err(|error| failed(&error))?;
    let mechanism = Mechname::parse(name.as_bytes()).map_err(|error| failed(&error))?;
    let mut session = SASLClient::new(config)
        .start_suggested(&[mechanism])
        .map_err(|error| failed(&error))?;
    let mut said: Option<Vec<u8>> = None;
    for step in 1..=MOST_STEPS {
        let mut out = Cursor::new(Vec::new());
        let state = session
            .step(said.as_deref(), &mut out)
            .map_err(|error| failed(&format!("the broker's part is wrong: {error}")))?;
        if let State::Finished(MessageSent::No) = state {
            return Ok(());
        }
        let request =
            SaslAuthenticationRequest::new(step, client_id, Bytes::from(out.into_inner()));
        let answer = exchange(connection, &request)
            .await
            .map_err(|error| failed(&error))?;
        let answer = SaslAuthenticationResponse::try_from(answer.freeze())
            .map_err(|error| failed(&error))?;
        if answer.error_code != KafkaCode::None {
            let why = answer.error_message.unwrap_or_default();
            return Err(failed(&format!(
                "refused for user {:?}: {}",
                sasl.username,
                String::from_utf8_lossy(&why)
            )));
        }
        if let State::Finished(MessageSent::Yes) = state {
            return Ok(());
        }
        said = Some(answer.auth_bytes.to_vec());
    }
    Err(failed(&"the exchange does not end"))
}

async fn agree(
    connection: &mut Box<dyn Connection>,
    client_id: &str,
    name: &str,
) -> Result<(), String> {
    let request = SaslHandshakeRequest::new(0, client_id, name.to_owned());
    let answer = exchange(connection, &request)
        .await
        .map_err(|error| format!("SASL: {error}; does the broker's listener speak SASL?"))?;
    let answer = SaslHandshakeResponse::try_from(answer.freeze())
        .map_err(|error| format!("SASL: {error}"))?;
    if answer.error_code == KafkaCode::None {
        return Ok(());
    }
    let offered: Vec<_> = answer
        .mechanisms
        .iter()
        .map(|name| String::from_utf8_lossy(name))
        .collect();
    Err(format!(
        "the broker does not take SASL {name}, it offers {}; configure one of them",
        offered.join(", ")
    ))
}
