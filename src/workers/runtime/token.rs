//! The token that a worker asks for.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::model::secret::Secret;

/// Shows the token where a proxy takes `Authorization` for itself, as Kubernetes' API server does.
const TOKEN_HEADER: &str = "x-api-token";

/// The token that requests have to show, as its digest.
#[derive(Debug)]
pub(crate) struct Token([u8; 32]);

impl Token {
    /// Remembers it.
    pub(crate) fn new(token: &Secret<String>) -> Self {
        Self(digest(token.expose()))
    }

    /// Compares all bytes, of digests that nobody can steer: the time says nothing.
    pub(crate) fn is(&self, shown: &str) -> bool {
        let pairs = self.0.iter().zip(digest(shown));
        pairs.fold(0, |differs, (own, shown)| differs | (own ^ shown)) == 0
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The token that a request shows: the header of its own, `Bearer`, or the password of `Basic`.
pub(crate) fn shown(headers: &HeaderMap) -> Option<String> {
    if let Some(own) = headers.get(TOKEN_HEADER) {
        return own.to_str().ok().map(|token| token.trim().to_owned());
    }
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        return pair
            .split_once(':')
            .map(|(_, password)| password.to_owned());
    }
    None
}
