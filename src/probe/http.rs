//! A health endpoint over HTTP: the answer's code and what its body says.

use std::net::SocketAddr;

use serde_json::Value;
use url::Url;

use super::course::{Failure, HOP_LIMIT, Reached, words};
use super::result::Cause;
use super::tls::{Authority, http_client_config, misconfigured, public_authorities, roots};

/// Enough of a body to understand why.
const EXCERPT: usize = 200;

/// Asks the endpoint at an address that accepted a connection before.
pub(super) async fn get(
    url: &Url,
    address: SocketAddr,
    authority: Option<&Authority>,
) -> Result<Reached<u16>, Failure> {
    let trusted = match authority {
        Some(authority) => roots(&authority.pem, authority.variable)?,
        None => public_authorities(),
    };
    let tls = http_client_config(trusted).map_err(|error| misconfigured(error.to_string()))?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(HOP_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .resolve(url.host_str().unwrap_or_default(), address)
        .no_proxy()
        .build()
        .map_err(|error| Failure::new(Cause::ProtocolError, words(&error)))?;
    let answer = client.get(url.clone()).send().await.map_err(|error| {
        let cause = if error.is_timeout() {
            Cause::TimedOut
        } else {
            Cause::ProtocolError
        };
        Failure::new(cause, words(&error))
    })?;
    let code = answer.status().as_u16();
    let body = answer.text().await.unwrap_or_default();
    judge(code, &body)?;
    Ok(Reached {
        value: code,
        address: None,
    })
}

/// A code of 200 and, where the body has a `status`, one that means well.
fn judge(code: u16, body: &str) -> Result<(), Failure> {
    if !(200..300).contains(&code) {
        let excerpt: String = body.chars().take(EXCERPT).collect();
        return Err(Failure::new(
            Cause::Unhealthy,
            format!("HTTP {code}: {}", excerpt.trim()),
        ));
    }
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    let status = parsed
        .as_ref()
        .and_then(|body| body.get("status"))
        .and_then(Value::as_str);
    match status {
        None | Some("healthy" | "ok" | "ready" | "alive" | "pass") => Ok(()),
        Some(status) => Err(Failure::new(
            Cause::Unhealthy,
            format!("HTTP {code}, but its body says `{status}`"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn v03_the_body_counts_and_not_only_the_code() {
        assert!(judge(200, r#"{"status":"healthy"}"#).is_ok());
        assert!(judge(200, "ok").is_ok());
        assert!(judge(200, r#"{"status":"unhealthy"}"#).is_err());
        assert!(judge(503, r#"{"status":"healthy"}"#).is_err());
    }
}
