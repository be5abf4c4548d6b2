//! The lookups that [`super::address`] decides on.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

use crate::config::worker::AdvertiseSettings;

use super::address::{self, AddressError, Advertised, Candidates, Lookup, Reach, Rung};

/// Longest time for one lookup of a name.
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);

const INTERFACE: &str = "network interface";

/// Addresses that are for documentation only: a route to them is the way out of the host.
const FAR_AWAY: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// The address to advertise. Looks names up only if no setting decides.
///
/// # Errors
/// As [`address::resolve`].
pub async fn advertised_address(
    settings: &AdvertiseSettings,
    listen_port: u16,
    reach: Reach,
    host_name: Option<&str>,
) -> Result<Advertised, AddressError> {
    let nothing = Lookup {
        name: INTERFACE.to_owned(),
        outcome: Ok(Vec::new()),
    };
    let mut candidates = Candidates {
        settings,
        listen_port,
        reach,
        names: &[],
        interfaces: &nothing,
    };
    if let Ok(decided) = address::resolve(&candidates)
        && decided.rung < Rung::HostName
    {
        return Ok(decided);
    }
    let mut names = Vec::new();
    if let Some(host_name) = host_name {
        names.push(look_up(host_name.to_owned()).await);
    }
    if let Some((service, namespace)) = &settings.service {
        names.push(look_up(format!("{service}.{namespace}.svc")).await);
    }
    let interfaces = outward_interfaces().await;
    candidates.names = &names;
    candidates.interfaces = &interfaces;
    address::resolve(&candidates)
}

async fn look_up(name: String) -> Lookup {
    let outcome = match timeout(LOOKUP_LIMIT, lookup_host((name.as_str(), 0))).await {
        Ok(Ok(found)) => Ok(without_repetition(found.map(|address| address.ip()))),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LOOKUP_LIMIT.as_secs())),
    };
    Lookup { name, outcome }
}

fn without_repetition(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut kept = Vec::new();
    for address in addresses {
        if !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

/// The addresses from which this host would talk to the world. Nothing is sent.
async fn outward_interfaces() -> Lookup {
    let mut addresses = Vec::new();
    let mut reasons = Vec::new();
    for (local, remote) in FAR_AWAY {
        match outward_address(local, remote).await {
            Ok(address) => addresses.push(address),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    let outcome = if addresses.is_empty() {
        Err(reasons.join(", "))
    } else {
        Ok(addresses)
    };
    Lookup {
        name: INTERFACE.to_owned(),
        outcome,
    }
}

async fn outward_address(local: &str, remote: &str) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind(local).await?;
    socket.connect(remote).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn x01_a_setting_decides_without_any_lookup() {
        let settings = AdvertiseSettings {
            pod_ip: Some("10.1.2.3".to_owned()),
            ..AdvertiseSettings::default()
        };
        let advertised = advertised_address(&settings, 8081, Reach::Network, Some("no.such.name"))
            .await
            .unwrap();
        assert_eq!(advertised.endpoint.to_string(), "10.1.2.3:8081");
    }

    #[tokio::test]
    async fn x02_a_name_that_means_this_machine_is_good_enough_only_on_it() {
        let settings = AdvertiseSettings::default();
        let advertised = advertised_address(&settings, 8081, Reach::Host, Some("localhost"))
            .await
            .unwrap();
        assert!(
            advertised.rung > Rung::HostName,
            "the lookup of localhost must not win: {advertised:?}"
        );
    }
}
