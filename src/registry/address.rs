//! Which address a worker advertises: a ladder of rungs, the first usable one wins.
//!
//! Pure: names are looked up and interfaces are read before ([`super::lookup`]), the outcomes are
//! values here. [`resolve`] says which rung won and why each one above it did not.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::config::worker::AdvertiseSettings;
use crate::model::endpoint::Endpoint;

/// Where an address may come from, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// `SERVICE_ADDRESS`.
    ServiceAddress,
    /// `EXTERNAL_SERVICE_ADDRESS`.
    ExternalServiceAddress,
    /// `POD_IP`.
    PodIp,
    /// The host's name, or the Service's, looked up.
    HostName,
    /// The network interface that leads out of the host.
    Interface,
    /// `localhost`: reachable from this host only.
    Localhost,
}

impl fmt::Display for Rung {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ServiceAddress => "SERVICE_ADDRESS",
            Self::ExternalServiceAddress => "EXTERNAL_SERVICE_ADDRESS",
            Self::PodIp => "POD_IP",
            Self::HostName => "host name lookup",
            Self::Interface => "network interface",
            Self::Localhost => "localhost",
        })
    }
}

/// From where the advertised address has to be reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From other machines: an address of the loopback interface is refused.
    Network,
    /// From this machine is enough.
    Host,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What was looked up, for the explanation.
    pub name: String,
    /// The addresses, in the order in which they came, or why there are none.
    pub outcome: Result<Vec<IpAddr>, String>,
}

/// Everything that the decision depends on.
#[derive(Debug, Clone)]
pub struct Candidates<'a> {
    /// What the environment says.
    pub settings: &'a AdvertiseSettings,
    /// The port that the worker listens on.
    pub listen_port: u16,
    /// From where the address has to be reachable.
    pub reach: Reach,
    /// Lookups of the host's name and of the Service's, in this order.
    pub names: &'a [Lookup],
    /// Addresses of network interfaces.
    pub interfaces: &'a Lookup,
}

/// A rung that did not win.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Which.
    pub rung: Rung,
    /// Why.
    pub because: String,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// Where others reach the worker.
    pub endpoint: Endpoint,
    /// `http` or `https`.
    pub scheme: String,
    /// Where the address comes from.
    pub rung: Rung,
    /// The rungs above the winner.
    pub skipped: Vec<Skipped>,
}

impl Advertised {
    /// Every rung above the winner with its reason, in one line; empty if there is none.
    pub fn explanation(&self) -> String {
        explain(&self.skipped)
    }
}

/// Why no address can be advertised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Only the loopback interface is left.
    #[error("no address that other machines reach ({})", explain(.skipped))]
    OnlyLoopback {
        /// Why each rung was not used.
        skipped: Vec<Skipped>,
    },
}

fn explain(skipped: &[Skipped]) -> String {
    let reasons: Vec<String> = skipped
        .iter()
        .map(|skip| format!("{}: {}", skip.rung, skip.because))
        .collect();
    reasons.join("; ")
}

/// Goes down the ladder.
///
/// The advertised port is `HTTP_PORT`, else the port within the address, else the listen port.
///
/// # Errors
/// When the address has to be reachable from other machines and none of the rungs has such a one.
pub fn resolve(candidates: &Candidates<'_>) -> Result<Advertised, AddressError> {
    const LADDER: [Rung; 6] = [
        Rung::ServiceAddress,
        Rung::ExternalServiceAddress,
        Rung::PodIp,
        Rung::HostName,
        Rung::Interface,
        Rung::Localhost,
    ];
    let mut skipped = Vec::new();
    for rung in LADDER {
        match address_of(rung, candidates) {
            Ok((host, port)) => {
                let settings = candidates.settings;
                let port = settings.port.or(port).unwrap_or(candidates.listen_port);
                return Ok(Advertised {
                    endpoint: Endpoint::new(host, port),
                    scheme: settings.scheme.clone().unwrap_or_else(|| "http".to_owned()),
                    rung,
                    skipped,
                });
            }
            Err(because) => skipped.push(Skipped { rung, because }),
        }
    }
    Err(AddressError::OnlyLoopback { skipped })
}

type Found = Result<(String, Option<u16>), String>;

fn address_of(rung: Rung, candidates: &Candidates<'_>) -> Found {
    let settings = candidates.settings;
    match rung {
        Rung::ServiceAddress => given(settings.service_address.as_deref(), candidates.reach),
        Rung::ExternalServiceAddress => given(
            settings.external_service_address.as_deref(),
            candidates.reach,
        ),
        Rung::PodIp => pod_ip(settings.pod_ip.as_deref(), candidates.reach),
        Rung::HostName => looked_up(candidates.names),
        Rung::Interface => looked_up(std::slice::from_ref(candidates.interfaces)),
        Rung::Localhost if candidates.reach == Reach::Host => Ok(("localhost".to_owned(), None)),
        Rung::Localhost => Err("reachable from this machine only".to_owned()),
    }
}

fn given(value: Option<&str>, reach: Reach) -> Found {
    let value = value.map(str::trim).filter(|value| !value.is_empty());
    let value = value.ok_or("not set")?;
    let (host, port) = split_port(value)?;
    if !is_host(&host) {
        return Err(format!("`{value}` is neither a host name nor an address"));
    }
    let is_loopback = host
        .parse::<IpAddr>()
        .map_or(host.eq_ignore_ascii_case("localhost"), is_loopback);
    if is_loopback && reach == Reach::Network {
        return Err(format!("`{value}` is reachable from this machine only"));
    }
    Ok((host, port))
}

/// `host`, `host:port`, `::1`, `[::1]` or `[::1]:port`.
fn split_port(value: &str) -> Result<(String, Option<u16>), String> {
    if value.parse::<IpAddr>().is_ok() {
        return Ok((value.to_owned(), None));
    }
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if !value.ends_with(']') => (host, Some(port)),
        _ => (value, None),
    };
    let port = port
        .map(|port| {
            port.parse()
                .map_err(|_| format!("`{value}` does not end in a port number"))
        })
        .transpose()?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    Ok((host.to_owned(), port))
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|symbol| symbol.is_ascii_alphanumeric() || matches!(symbol, '-' | '_'))
    };
    host.parse::<IpAddr>().is_ok()
        || (host.len() <= 253 && host.trim_end_matches('.').split('.').all(is_label))
}

fn pod_ip(value: Option<&str>, reach: Reach) -> Found {
    let value = value.ok_or("not set")?;
    let address: IpAddr = value
        .trim()
        .parse()
        .map_err(|_| format!("`{value}` is not an IP address"))?;
    match usable(address) {
        Err(because) if reach == Reach::Network || !is_loopback(address) => {
            Err(format!("`{value}` {because}"))
        }
        _ => Ok((address.to_string(), None)),
    }
}

/// The first usable address; if there is none, why, name by name.
fn looked_up(lookups: &[Lookup]) -> Found {
    let mut reasons = Vec::new();
    for lookup in lookups {
        let name = &lookup.name;
        let addresses = match &lookup.outcome {
            Ok(addresses) if addresses.is_empty() => {
                reasons.push(format!("{name} has no address"));
                continue;
            }
            Ok(addresses) => addresses,
            Err(reason) => {
                reasons.push(format!("{name}: {reason}"));
                continue;
            }
        };
        for address in addresses {
            match usable(*address) {
                Ok(()) => return Ok((address.to_string(), None)),
                Err(because) => reasons.push(format!("{name}: {address} {because}")),
            }
        }
    }
    if reasons.is_empty() {
        reasons.push("nothing to look up".to_owned());
    }
    Err(reasons.join(", "))
}

/// Whether another machine can reach the address; if not, why.
fn usable(address: IpAddr) -> Result<(), &'static str> {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if is_loopback(address) {
        Err("is reachable from this machine only")
    } else if address.is_unspecified() || address.is_multicast() {
        Err("is not the address of a machine")
    } else if is_link_local {
        Err("is reachable on one link only")
    } else {
        Ok(())
    }
}

/// Also an IPv4 loopback address written as an IPv6 one.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
