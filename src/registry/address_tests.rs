use super::*;

struct World {
    settings: AdvertiseSettings,
    reach: Reach,
    names: Vec<Lookup>,
    interfaces: Lookup,
}

fn found(name: &str, addresses: &[&str]) -> Lookup {
    Lookup {
        name: name.to_owned(),
        outcome: Ok(addresses.iter().map(|text| text.parse().unwrap()).collect()),
    }
}

fn failed(name: &str) -> Lookup {
    Lookup {
        name: name.to_owned(),
        outcome: Err("not found".to_owned()),
    }
}

/// A world in which every rung has an answer.
fn world() -> World {
    World {
        settings: AdvertiseSettings {
            service_address: Some("streamer.example".to_owned()),
            external_service_address: Some("203.0.113.7".to_owned()),
            pod_ip: Some("10.1.2.3".to_owned()),
            ..AdvertiseSettings::default()
        },
        reach: Reach::Network,
        names: vec![
            found("host-a", &["127.0.1.1", "10.1.9.9"]),
            found("streamer.telemetry-system.svc", &["10.96.0.8"]),
        ],
        interfaces: found("network interface", &["192.168.1.5"]),
    }
}

fn decide(world: &World) -> Result<Advertised, AddressError> {
    resolve(&Candidates {
        settings: &world.settings,
        listen_port: 8081,
        reach: world.reach,
        names: &world.names,
        interfaces: &world.interfaces,
    })
}

#[track_caller]
fn check(world: &World, rung: Rung, endpoint: &str) -> Advertised {
    let advertised = decide(world).unwrap();
    assert_eq!(
        (advertised.rung, advertised.endpoint.to_string().as_str()),
        (rung, endpoint)
    );
    advertised
}

#[test]
fn x01_each_rung_wins_once_those_above_it_are_gone() {
    let mut world = world();
    check(&world, Rung::ServiceAddress, "streamer.example:8081");
    world.settings.service_address = Some("  ".to_owned());
    check(&world, Rung::ExternalServiceAddress, "203.0.113.7:8081");
    world.settings.external_service_address = None;
    check(&world, Rung::PodIp, "10.1.2.3:8081");
    world.settings.pod_ip = Some("not an address".to_owned());
    check(&world, Rung::HostName, "10.1.9.9:8081");
    world.names[0] = failed("host-a");
    check(&world, Rung::HostName, "10.96.0.8:8081");
    world.names.clear();
    check(&world, Rung::Interface, "192.168.1.5:8081");
    world.interfaces = failed("network interface");
    world.reach = Reach::Host;
    let last = check(&world, Rung::Localhost, "localhost:8081");
    assert_eq!(
        last.explanation(),
        "SERVICE_ADDRESS: not set; EXTERNAL_SERVICE_ADDRESS: not set; \
         POD_IP: `not an address` is not an IP address; host name lookup: nothing to look up; \
         network interface: network interface: not found"
    );
}

#[test]
fn x02_the_winner_and_every_rung_above_it_are_explained() {
    let mut world = world();
    world.settings.service_address = None;
    world.settings.external_service_address = Some("http://x".to_owned());
    let advertised = decide(&world).unwrap();
    assert_eq!(advertised.rung, Rung::PodIp);
    let reasons: Vec<_> = advertised
        .skipped
        .iter()
        .map(|skip| (skip.rung, skip.because.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            (Rung::ServiceAddress, "not set"),
            (
                Rung::ExternalServiceAddress,
                "`http://x` does not end in a port number"
            )
        ]
    );
}

#[test]
fn x02_loopback_is_refused_where_others_have_to_reach_the_worker() {
    for loopback in ["localhost", "127.0.0.1", "[::1]:9", "::ffff:127.0.0.1"] {
        let mut world = world();
        world.settings.service_address = Some(loopback.to_owned());
        world.settings.external_service_address = None;
        check(&world, Rung::PodIp, "10.1.2.3:8081");
        world.reach = Reach::Host;
        assert_eq!(decide(&world).unwrap().rung, Rung::ServiceAddress);
    }
}

#[test]
fn x02_nothing_but_loopback_is_an_error_that_names_every_rung() {
    let mut world = world();
    world.settings = AdvertiseSettings {
        pod_ip: Some("127.0.0.1".to_owned()),
        ..AdvertiseSettings::default()
    };
    world.names = vec![found("host-a", &["127.0.1.1", "fe80::1"])];
    world.interfaces = found("network interface", &[]);
    let error = decide(&world).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no address that other machines reach (SERVICE_ADDRESS: not set; \
         EXTERNAL_SERVICE_ADDRESS: not set; \
         POD_IP: `127.0.0.1` is reachable from this machine only; \
         host name lookup: host-a: 127.0.1.1 is reachable from this machine only, \
         host-a: fe80::1 is reachable on one link only; \
         network interface: network interface has no address; \
         localhost: reachable from this machine only)"
    );
}

#[test]
fn x09_the_advertised_port_is_separate_from_the_listen_port() {
    let mut world = world();
    world.settings.service_address = Some("streamer.example:30081".to_owned());
    check(&world, Rung::ServiceAddress, "streamer.example:30081");
    world.settings.port = Some(443);
    world.settings.scheme = Some("https".to_owned());
    let advertised = check(&world, Rung::ServiceAddress, "streamer.example:443");
    assert_eq!(advertised.scheme, "https");
}

#[test]
fn x09_ipv6_is_accepted_with_and_without_brackets() {
    let mut world = world();
    for (value, endpoint) in [
        ("fd00::1", "[fd00::1]:8081"),
        ("[fd00::1]", "[fd00::1]:8081"),
        ("[fd00::1]:443", "[fd00::1]:443"),
    ] {
        world.settings.service_address = Some(value.to_owned());
        check(&world, Rung::ServiceAddress, endpoint);
    }
    world.settings.service_address = None;
    world.settings.external_service_address = None;
    world.settings.pod_ip = Some("fd00::2".to_owned());
    check(&world, Rung::PodIp, "[fd00::2]:8081");
}
