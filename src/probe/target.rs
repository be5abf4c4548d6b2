//! What is probed, and in which hops.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;
use tokio_util::either::Either;
use url::Url;

use crate::config::worker::{DatabaseSettings, EtcdSettings, RedisServers, RedisSettings, SslMode};
use crate::queue::redis::{Located, Shard};
use crate::registry::etcd::with_scheme;

use super::course::{Course, Failure, Reached};
use super::dns::Resolver;
use super::result::{Cause, Hop, Registration, TargetKind, TargetReport};
use super::tls::{Authority, Scrutiny, TlsPolicy, Witness, handshake};
use super::{etcd, http, postgresql, redis};

/// The cluster's own name: it exists wherever the cluster's DNS works.
const CLUSTER_NAME: &str = "kubernetes.default.svc";

type Stream = Either<tokio_rustls::client::TlsStream<TcpStream>, TcpStream>;

/// An HTTP endpoint.
#[derive(Debug, Clone)]
pub struct HttpTarget {
    /// Its URL.
    pub url: Url,
    /// The authority behind an `https` URL, if this pod knows one.
    pub authority: Option<Authority>,
}

/// Something to probe.
#[derive(Debug, Clone)]
pub enum Target {
    /// The DNS of the cluster that the probe runs in.
    ClusterDns,
    /// Redis as a worker uses it.
    Redis(RedisSettings),
    /// PostgreSQL as a worker uses it.
    Postgresql(DatabaseSettings),
    /// One endpoint of etcd as a worker uses it.
    Etcd {
        /// The endpoint, a URL.
        endpoint: String,
        /// How to log in.
        settings: EtcdSettings,
    },
    /// A health endpoint.
    Http(HttpTarget),
    /// Something whose settings cannot be understood.
    Misconfigured {
        /// What it would have been.
        kind: TargetKind,
        /// What is wrong.
        detail: String,
    },
}

/// Probes one target; the registrations come from etcd only.
pub async fn probe(
    target: &Target,
    resolver: &Resolver,
) -> (TargetReport, Option<Vec<Registration>>) {
    let mut sight = Sight::default();
    let mut course = Course::default();
    let (kind, endpoint) = match target {
        Target::ClusterDns => {
            course.hop(Hop::Dns, resolver.resolve(CLUSTER_NAME)).await;
            (TargetKind::ClusterDns, CLUSTER_NAME.to_owned())
        }
        Target::Redis(settings) => {
            Box::pin(probe_redis(settings, resolver, &mut course, &mut sight)).await;
            (TargetKind::Redis, settings.servers.to_string())
        }
        Target::Postgresql(settings) => {
            Box::pin(probe_postgresql(
                settings,
                resolver,
                &mut course,
                &mut sight,
            ))
            .await;
            (TargetKind::Postgresql, settings.endpoint.to_string())
        }
        Target::Etcd { endpoint, settings } => {
            Box::pin(probe_etcd(
                endpoint,
                settings,
                resolver,
                &mut course,
                &mut sight,
            ))
            .await;
            (TargetKind::Etcd, endpoint.clone())
        }
        Target::Http(target) => {
            Box::pin(probe_http(target, resolver, &mut course, &mut sight)).await;
            (TargetKind::Http, target.url.to_string())
        }
        Target::Misconfigured { kind, detail } => {
            let failure = Failure::new(Cause::Misconfigured, detail.clone());
            course
                .hop::<()>(Hop::Settings, async { Err(failure) })
                .await;
            (*kind, String::new())
        }
    };
    let report = TargetReport {
        kind,
        endpoint,
        hops: course.into_hops(),
        certificate: sight.witness.facts(),
        facts: sight.facts,
    };
    (report, sight.registrations)
}

/// What is seen on the way, besides the hops.
#[derive(Default)]
struct Sight {
    witness: Witness,
    facts: BTreeMap<String, String>,
    registrations: Option<Vec<Registration>>,
}

impl Sight {
    fn fact(&mut self, name: &str, value: impl Into<String>) {
        self.facts.insert(name.to_owned(), value.into());
    }
}

/// Name and connection. An address needs no name server.
async fn connect(
    host: &str,
    port: u16,
    resolver: &Resolver,
    course: &mut Course,
) -> Option<TcpStream> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => Some(vec![address]),
        Err(_) => course.hop(Hop::Dns, resolver.resolve(host)).await,
    };
    course
        .then(Hop::Tcp, addresses, |addresses| {
            super::tcp::connect(addresses, port)
        })
        .await
}

async fn encrypted(
    stream: TcpStream,
    policy: TlsPolicy<'_>,
    witness: Witness,
) -> Result<Reached<Stream>, Failure> {
    let reached = handshake(stream, policy, witness).await?;
    Ok(Reached {
        value: Either::Left(reached.value),
        address: reached.address,
    })
}

async fn probe_redis(
    settings: &RedisSettings,
    resolver: &Resolver,
    course: &mut Course,
    sight: &mut Sight,
) {
    if let RedisServers::One(endpoint) = &settings.servers {
        let shards = (0..settings.shards).map(|number| Shard::of(&settings.pipeline, number));
        let only = Located {
            endpoint: endpoint.clone(),
            address: endpoint.to_string(),
            shards: shards.collect(),
        };
        probe_servers(settings, &[only], resolver, course, sight).await;
        return;
    }
    let Some(located) = course.hop(Hop::Lookup, redis::look_up(settings)).await else {
        return;
    };
    let addresses: Vec<&str> = located.iter().map(|one| one.address.as_str()).collect();
    sight.fact("servers", addresses.join("; "));
    probe_servers(settings, &located, resolver, course, sight).await;
}

/// Each server by itself, with the shards that it has.
async fn probe_servers(
    settings: &RedisSettings,
    located: &[Located],
    resolver: &Resolver,
    course: &mut Course,
    sight: &mut Sight,
) {
    let mut entries = 0;
    for one in located {
        let reached = probe_one(settings, one, resolver, course, sight).await;
        let Some((role, count)) = reached else {
            return;
        };
        entries += count;
        sight.fact("role", role);
    }
    sight.fact("queue_entries", entries.to_string());
}

/// One server; answers its role and how many entries its shards have.
async fn probe_one(
    settings: &RedisSettings,
    located: &Located,
    resolver: &Resolver,
    course: &mut Course,
    sight: &mut Sight,
) -> Option<(String, u64)> {
    let endpoint = &located.endpoint;
    let stream = connect(&endpoint.host, endpoint.port, resolver, course).await;
    let stream = if settings.tls {
        let policy = TlsPolicy {
            host: &endpoint.host,
            ca: settings.ca_cert.as_deref(),
            ca_variable: "REDIS_CA_CERT",
            scrutiny: Scrutiny::Full,
            client: settings
                .client
                .as_ref()
                .map(|(certificate, key)| (certificate.as_str(), key)),
            protocol: None,
        };
        let witness = sight.witness.clone();
        let secured = |stream| encrypted(stream, policy, witness);
        course.then(Hop::Tls, stream, secured).await
    } else {
        stream.map(Either::Right)
    };
    let session = course
        .then(Hop::Authentication, stream, |stream| {
            redis::log_in(stream, settings)
        })
        .await;
    let session = course.then(Hop::Command, session, redis::ping).await;
    let role = |session| redis::role(session, &located.shards);
    course.then(Hop::Role, session, role).await
}

async fn probe_postgresql(
    settings: &DatabaseSettings,
    resolver: &Resolver,
    course: &mut Course,
    sight: &mut Sight,
) {
    let endpoint = &settings.endpoint;
    let stream = connect(&endpoint.host, endpoint.port, resolver, course).await;
    let stream = if settings.ssl_mode == SslMode::Disable {
        stream.map(Either::Right)
    } else {
        let witness = sight.witness.clone();
        let secured = |stream| negotiated(stream, settings, witness);
        course.then(Hop::Tls, stream, secured).await
    };
    sight.fact("user", &settings.user);
    if let Some(stream) = &stream {
        let word = match stream {
            Either::Left(_) => "yes",
            Either::Right(_) => "no",
        };
        sight.fact("encrypted", word);
    }
    let session = course
        .then(Hop::Authentication, stream, |stream| {
            postgresql::log_in(stream, settings)
        })
        .await;
    let session = course.then(Hop::Command, session, postgresql::query).await;
    let version = course.then(Hop::Role, session, postgresql::role).await;
    if let Some(version) = version {
        sight.fact("version", version);
    }
}

async fn negotiated(
    mut stream: TcpStream,
    settings: &DatabaseSettings,
    witness: Witness,
) -> Result<Reached<Stream>, Failure> {
    match postgresql::request_tls(&mut stream).await? {
        postgresql::Offer::Tls => {
            let policy = TlsPolicy {
                host: &settings.endpoint.host,
                ca: settings.ca_cert.as_deref(),
                ca_variable: "DB_CA_CERT",
                scrutiny: postgresql::scrutiny(settings.ssl_mode),
                client: None,
                protocol: None,
            };
            encrypted(stream, policy, witness).await
        }
        postgresql::Offer::Plain if settings.ssl_mode == SslMode::Prefer => Ok(Reached {
            value: Either::Right(stream),
            address: None,
        }),
        postgresql::Offer::Plain => Err(Failure::new(
            Cause::TlsFailed,
            "the server offers no TLS, and DB_SSL_MODE asks for it",
        )),
    }
}

async fn probe_etcd(
    endpoint: &str,
    settings: &EtcdSettings,
    resolver: &Resolver,
    course: &mut Course,
    sight: &mut Sight,
) {
    let endpoint = &with_scheme(endpoint, settings);
    let Some((url, host)) = Url::parse(endpoint)
        .ok()
        .and_then(|url| Some((url.clone(), bare_host(&url)?)))
    else {
        let detail = format!("`{endpoint}` in ETCD_ENDPOINTS is no URL such as https://etcd:2379");
        let failure = Failure::new(Cause::Misconfigured, detail);
        course
            .hop::<()>(Hop::Settings, async { Err(failure) })
            .await;
        return;
    };
    let stream = connect(&host, url.port().unwrap_or(2379), resolver, course).await;
    let reached = if url.scheme() == "https" {
        let policy = TlsPolicy {
            host: &host,
            ca: settings.ca_cert.as_deref(),
            ca_variable: "ETCD_CA_CERT",
            scrutiny: Scrutiny::Full,
            client: settings
                .client
                .as_ref()
                .map(|(certificate, key)| (certificate.as_str(), key)),
            protocol: Some(b"h2"),
        };
        let witness = sight.witness.clone();
        let secured = async |stream| {
            let mut reached = encrypted(stream, policy, witness).await?;
            etcd::greet(&mut reached.value).await?;
            Ok(reached)
        };
        course.then(Hop::Tls, stream, secured).await.map(drop)
    } else {
        stream.map(drop)
    };
    let client = course
        .then(Hop::Authentication, reached, |()| {
            etcd::log_in(settings, endpoint)
        })
        .await;
    let client = client.map(|(client, version)| {
        sight.fact("version", version);
        client
    });
    sight.registrations = course.then(Hop::Command, client, etcd::registrations).await;
}

async fn probe_http(
    target: &HttpTarget,
    resolver: &Resolver,
    course: &mut Course,
    sight: &mut Sight,
) {
    let host = bare_host(&target.url).unwrap_or_default();
    let port = target.url.port_or_known_default().unwrap_or(80);
    let is_secured = target.url.scheme() == "https";
    let authority = target.authority.as_ref().filter(|_| is_secured);
    let stream = connect(&host, port, resolver, course).await;
    let address: Option<SocketAddr> = stream.as_ref().and_then(|stream| stream.peer_addr().ok());
    let reached = if is_secured {
        let policy = TlsPolicy {
            host: &host,
            ca: authority.map(|authority| authority.pem.as_str()),
            ca_variable: authority.map_or("HTTP_CA_CERT", |authority| authority.variable),
            scrutiny: Scrutiny::Full,
            client: None,
            protocol: None,
        };
        let witness = sight.witness.clone();
        let secured = |stream| encrypted(stream, policy, witness);
        course.then(Hop::Tls, stream, secured).await.map(drop)
    } else {
        stream.map(drop)
    };
    course
        .then(Hop::Http, reached.and(address), |address| {
            http::get(&target.url, address, authority)
        })
        .await;
}

/// The host of a URL without the brackets of an IPv6 address.
fn bare_host(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    Some(inner.unwrap_or(host).to_owned())
}
