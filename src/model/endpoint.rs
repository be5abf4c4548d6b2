//! A host and a port.

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

/// Where something listens. Prints as `host:port`, with brackets around an IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// A DNS name or an address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint from its parts; brackets around an IPv6 address are taken off.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host: String = host.into();
        let host = match host
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
        {
            Some(inner) => inner.to_owned(),
            None => host,
        };
        Self { host, port }
    }

    /// An endpoint from `host`, `host:port`, `::1`, `[::1]` or `[::1]:port`; `None` if it is none.
    pub fn parse(text: &str, usual_port: u16) -> Option<Self> {
        let host = host_of(text);
        let rest = text.strip_prefix('[').unwrap_or(text);
        let rest = rest.strip_prefix(host)?;
        let port = match rest.strip_prefix(']').unwrap_or(rest) {
            "" => usual_port,
            rest => rest.strip_prefix(':')?.parse().ok()?,
        };
        let is_ipv6 = host.parse::<Ipv6Addr>().is_ok();
        let is_name = |symbol: char| symbol.is_alphanumeric() || matches!(symbol, '.' | '-' | '_');
        let is_host = is_ipv6 || (!host.is_empty() && host.chars().all(is_name));
        is_host.then(|| Self::new(host, port))
    }

    /// The host as it stands in a URL: with brackets if it is an IPv6 address.
    pub fn url_host(&self) -> String {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

/// The host of `host`, `host:port`, `::1`, `[::1]` or `[::1]:port`.
pub fn host_of(address: &str) -> &str {
    if let Some((host, _)) = address
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        return host;
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => address,
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.url_host(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, host_of};

    #[test]
    fn x09_the_host_of_an_address_is_without_brackets_and_port() {
        for (address, host) in [
            ("streamer.example", "streamer.example"),
            ("streamer.example:8443", "streamer.example"),
            ("192.0.2.7:8081", "192.0.2.7"),
            ("fd00::1", "fd00::1"),
            ("[fd00::1]", "fd00::1"),
            ("[fd00::1]:8081", "fd00::1"),
        ] {
            assert_eq!(host_of(address), host, "{address}");
        }
    }

    #[test]
    fn x09_an_address_may_leave_its_port_out() {
        for (text, read) in [
            ("redis.example", Some("redis.example:6379")),
            ("192.0.2.7:7000", Some("192.0.2.7:7000")),
            ("fd00::1", Some("[fd00::1]:6379")),
            ("[fd00::1]", Some("[fd00::1]:6379")),
            ("[fd00::1]:7000", Some("[fd00::1]:7000")),
            ("", None),
            (":7000", None),
            ("a:b", None),
            ("a:70000", None),
            ("redis://a", None),
            ("[fd00::1]x", None),
        ] {
            let endpoint = Endpoint::parse(text, 6379);
            let written = endpoint.map(|endpoint| endpoint.to_string());
            assert_eq!(written.as_deref(), read, "{text}");
        }
    }

    #[test]
    fn x09_ipv6_endpoints_are_bracketed_once() {
        assert_eq!(Endpoint::new("fd00::1", 8081).to_string(), "[fd00::1]:8081");
        assert_eq!(
            Endpoint::new("[fd00::1]", 8081).to_string(),
            "[fd00::1]:8081"
        );
        assert_eq!(
            Endpoint::new("redis.example", 6379).to_string(),
            "redis.example:6379"
        );
    }
}
