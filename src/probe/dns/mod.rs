//! Names to addresses, as a pod's resolver does it, with the reason when it does not work.
//!
//! `getaddrinfo` has one answer for "there is no such name" and for "the server failed"; so the
//! name servers of `resolv.conf` are asked directly, honouring `search` and `ndots`.

mod exchange;
mod resolv_conf;

use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::course::{Failure, Reached};
use super::result::Cause;

use exchange::{ExchangeError, exchange};

/// Which name servers are asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// The name servers, in order.
    pub nameservers: Vec<SocketAddr>,
    /// Suffixes that are tried.
    pub search: Vec<String>,
    /// With at least this many dots a name is tried without a suffix first.
    pub ndots: usize,
    /// Names that need no server, as `/etc/hosts` has them.
    pub hosts: Vec<(String, IpAddr)>,
}

/// What the servers said about one name.
enum Said {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    NoAddress,
    Trouble(ResponseCode),
}

impl Resolver {
    /// From the texts of `/etc/resolv.conf` and `/etc/hosts`.
    pub fn from_files(resolv_conf: &str, hosts: &str) -> Self {
        let mut resolver = resolv_conf::parse(resolv_conf);
        resolver.hosts = resolv_conf::parse_hosts(hosts);
        resolver
    }

    /// The names that are asked for, in order; all end with a dot.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let plain = format!("{name}.");
        let mut candidates: Vec<String> = self
            .search
            .iter()
            .map(|suffix| format!("{name}.{}.", suffix.trim_end_matches('.')))
            .collect();
        if name.matches('.').count() >= self.ndots {
            candidates.insert(0, plain);
        } else {
            candidates.push(plain);
        }
        candidates
    }

    /// The addresses of a name; the address that is given back is the server that answered.
    pub(super) async fn resolve(&self, name: &str) -> Result<Reached<Vec<IpAddr>>, Failure> {
        let known: Vec<IpAddr> = self
            .hosts
            .iter()
            .filter(|(host, _)| host.eq_ignore_ascii_case(name))
            .map(|(_, address)| *address)
            .collect();
        if !known.is_empty() {
            return Ok(Reached {
                value: known,
                address: Some("/etc/hosts".to_owned()),
            });
        }
        let mut seen_without_address = None;
        let mut trouble = None;
        let mut answered = None;
        for candidate in self.candidates(name) {
            let (server, said) = self.ask(&candidate).await?;
            answered = Some(server);
            match said {
                Said::Addresses(value) => {
                    return Ok(Reached {
                        value,
                        address: Some(server.to_string()),
                    });
                }
                Said::NoSuchName => {}
                Said::NoAddress => seen_without_address = Some(candidate),
                Said::Trouble(code) => trouble = Some((candidate, code)),
            }
        }
        let failure = match (trouble, seen_without_address) {
            (Some((candidate, code)), _) => Failure::new(
                Cause::DnsFailed,
                format!("the name server answers `{code}` for {candidate}"),
            ),
            (None, Some(candidate)) => Failure::new(
                Cause::NameNotFound,
                format!("{candidate} exists but has no address"),
            ),
            (None, None) => Failure::new(
                Cause::NameNotFound,
                format!("the name server knows no `{name}`, with any search suffix"),
            ),
        };
        Err(match answered {
            Some(server) => failure.at(server.to_string()),
            None => failure,
        })
    }

    /// Asks the servers in order until one answers.
    async fn ask(&self, name: &str) -> Result<(SocketAddr, Said), Failure> {
        let mut worst = Failure::new(
            Cause::DnsUnreachable,
            "no name server is configured in /etc/resolv.conf",
        );
        for server in &self.nameservers {
            let (four, six) = tokio::join!(
                exchange(*server, name, RecordType::A),
                exchange(*server, name, RecordType::AAAA),
            );
            match both(four, six) {
                Ok(said) => return Ok((*server, said)),
                Err(error) => worst = unreachable(*server, name, &error),
            }
        }
        Err(worst)
    }
}

/// One family of addresses is enough; without any, the IPv4 answer speaks.
fn both(
    four: Result<exchange::Answer, ExchangeError>,
    six: Result<exchange::Answer, ExchangeError>,
) -> Result<Said, ExchangeError> {
    let four = four?;
    let mut addresses = four.addresses;
    if let Ok(six) = six {
        addresses.extend(six.addresses);
    }
    Ok(match four.code {
        _ if !addresses.is_empty() => Said::Addresses(addresses),
        ResponseCode::NoError => Said::NoAddress,
        ResponseCode::NXDomain => Said::NoSuchName,
        code => Said::Trouble(code),
    })
}

fn unreachable(server: SocketAddr, name: &str, error: &ExchangeError) -> Failure {
    let failure = match error {
        ExchangeError::NoAnswer => Failure::new(
            Cause::DnsTimedOut,
            format!("the name server {server} does not answer"),
        ),
        ExchangeError::Io(error) => Failure::new(
            Cause::DnsUnreachable,
            format!("the name server {server} cannot be reached: {error}"),
        ),
        ExchangeError::Name => Failure::new(
            Cause::NameNotFound,
            format!("`{name}` cannot be a host name"),
        ),
        ExchangeError::Malformed => Failure::new(
            Cause::DnsFailed,
            format!("the name server {server} answers with something that is no DNS message"),
        ),
    };
    failure.at(server.to_string())
}

#[cfg(test)]
mod tests {
    use super::Resolver;

    fn in_a_pod() -> Resolver {
        Resolver::from_files(
            "search telemetry-system.svc.cluster.local svc.cluster.local cluster.local\n\
             nameserver 10.96.0.10\noptions ndots:5\n",
            "",
        )
    }

    #[test]
    fn v12_suffixes_are_tried_as_the_resolver_of_a_pod_does() {
        let resolver = in_a_pod();
        assert_eq!(
            resolver.candidates("redis.shared-infrastructure.svc"),
            [
                "redis.shared-infrastructure.svc.telemetry-system.svc.cluster.local.",
                "redis.shared-infrastructure.svc.svc.cluster.local.",
                "redis.shared-infrastructure.svc.cluster.local.",
                "redis.shared-infrastructure.svc.",
            ]
        );
        assert_eq!(
            resolver.candidates("a.b.c.d.e.example")[0],
            "a.b.c.d.e.example."
        );
        assert_eq!(resolver.candidates("redis.example."), ["redis.example."]);
    }
}
