//! The files of the resolver.

use std::net::{IpAddr, SocketAddr};

use super::Resolver;

const DNS_PORT: u16 = 53;

/// The resolver uses no more servers than this.
const SERVER_LIMIT: usize = 3;

/// `nameserver`, `search`, `domain` and `options ndots:`; everything else has no meaning here.
pub(super) fn parse(text: &str) -> Resolver {
    let mut resolver = Resolver {
        nameservers: Vec::new(),
        search: Vec::new(),
        ndots: 1,
        hosts: Vec::new(),
    };
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                if let Some(address) = address
                    && resolver.nameservers.len() < SERVER_LIMIT
                {
                    resolver
                        .nameservers
                        .push(SocketAddr::new(address, DNS_PORT));
                }
            }
            Some("search" | "domain") => resolver.search = words.map(str::to_owned).collect(),
            Some("options") => {
                for option in words {
                    let ndots = option.strip_prefix("ndots:");
                    if let Some(ndots) = ndots.and_then(|number| number.parse().ok()) {
                        resolver.ndots = ndots;
                    }
                }
            }
            _ => {}
        }
    }
    resolver
}

/// Every (name, address) of `/etc/hosts`.
pub(super) fn parse_hosts(text: &str) -> Vec<(String, IpAddr)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            Some(
                words
                    .map(|name| (name.to_owned(), address))
                    .collect::<Vec<_>>(),
            )
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strange_lines_do_no_harm() {
        let resolver = parse(
            "# made by the kubelet\nnameserver 10.96.0.10\nnameserver nonsense\n\
             nameserver fd00::a\noptions timeout:1 ndots:5 rotate\nsortlist x\n",
        );
        assert_eq!(
            resolver.nameservers,
            [
                "10.96.0.10:53".parse().unwrap(),
                "[fd00::a]:53".parse().unwrap()
            ]
        );
        assert_eq!(resolver.ndots, 5);
        let hosts = parse_hosts("127.0.0.1 localhost lo # here\nnonsense x\n10.0.0.9 redis\n");
        assert_eq!(hosts.len(), 3);
        assert_eq!(hosts[2], ("redis".to_owned(), "10.0.0.9".parse().unwrap()));
    }
}
