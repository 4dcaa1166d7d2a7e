//! Invitations as text, to be carried by hand, mail or chat.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use wire::{DecodeError, Digest, Invitation};

/// What every token starts with; the number counts formats.
pub const TOKEN_PREFIX: &str = "gh1-";

/// Bytes of the checksum: enough to tell a slip of the hand, which is all it is for.
const CHECKSUM: usize = 4;

/// Longest token: 64 members of some 200 bytes, in base64, and as much again.
const MAX_TOKEN: usize = 40 << 10;

/// Why a text is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Something else.
    #[error("an invitation starts with \"{TOKEN_PREFIX}\"; this does not: {start:?}")]
    Prefix {
        /// How the text starts.
        start: String,
    },
    /// Longer than any token is.
    #[error("an invitation of {len} characters is over the limit of {MAX_TOKEN}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// Characters that do not belong.
    #[error("the invitation has characters that none has, or was cut: {0}; copy it again, whole")]
    Alphabet(#[from] base64::DecodeError),
    /// Something was changed or is missing.
    #[error(
        "the invitation's checksum is wrong: something is missing or was changed; copy it again, whole"
    )]
    Checksum,
    /// Whole, and yet unreadable.
    #[error("the invitation is whole but not readable: {0}")]
    Malformed(#[from] DecodeError),
}

/// The token of an invitation: `gh1-`, and in base64url the encoded invitation with a checksum.
pub fn encode_token(invitation: &Invitation) -> String {
    let mut bytes = wire::encode(invitation);
    let checksum = checksum(&bytes);
    bytes.extend(checksum);
    format!("{TOKEN_PREFIX}{}", BASE64URL.encode(bytes))
}

/// The invitation in a token. White space is ignored, since mail programs and terminals break lines.
pub fn decode_token(token: &str) -> Result<Invitation, TokenError> {
    let len = token.len();
    if len > MAX_TOKEN {
        return Err(TokenError::TooLong { len });
    }
    let token: String = token.split_whitespace().collect();
    let Some(body) = token.strip_prefix(TOKEN_PREFIX) else {
        let start = token.chars().take(TOKEN_PREFIX.len()).collect();
        return Err(TokenError::Prefix { start });
    };
    let bytes = BASE64URL.decode(body)?;
    let (bytes, found) = bytes
        .split_last_chunk::<CHECKSUM>()
        .ok_or(TokenError::Checksum)?;
    if *found != checksum(bytes) {
        return Err(TokenError::Checksum);
    }
    Ok(wire::decode(bytes)?)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let [a, b, c, d, ..] = Digest::of(bytes).0;
    [a, b, c, d]
}
