//! Where Redis is, and how to log in there.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::config::environment::Environment;
use crate::model::endpoint::Endpoint;
use crate::model::secret::Secret;

use super::parse::{DEFAULT_PIPELINE, duration, flag, pair, parsed, required, secret, text};
use super::{RedisSettings, SettingError};

/// Redis' own port.
const PORT: u16 = 6379;
/// That of a sentinel.
const SENTINEL_PORT: u16 = 26_379;

/// What tells where Redis is: one of these variables.
pub const ADDRESSES: [&str; 3] = ["REDIS_URL", "REDIS_SENTINELS", "REDIS_CLUSTER_NODES"];

/// The servers behind the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisServers {
    /// One server.
    One(Endpoint),
    /// Whichever server sentinels name.
    Sentinel(SentinelSettings),
    /// The nodes of a Redis Cluster of which the others are learnt, at least one.
    Cluster(Vec<Endpoint>),
}

/// Redis Sentinel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentinelSettings {
    /// The sentinels, at least one.
    pub sentinels: Vec<Endpoint>,
    /// The name by which they know the master.
    pub master: String,
    /// User at the sentinels; their `default` if unset.
    pub username: Option<String>,
    /// Password at the sentinels.
    pub password: Option<Secret<String>>,
}

impl fmt::Display for RedisServers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(server) => server.fmt(formatter),
            Self::Sentinel(SentinelSettings {
                sentinels, master, ..
            }) => write!(formatter, "{} (sentinels of `{master}`)", list(sentinels)),
            Self::Cluster(nodes) => write!(formatter, "{} (cluster)", list(nodes)),
        }
    }
}

fn list(endpoints: &[Endpoint]) -> String {
    let texts: Vec<String> = endpoints.iter().map(Endpoint::to_string).collect();
    texts.join(",")
}

/// What `REDIS_URL` says.
struct Url {
    endpoint: Endpoint,
    tls: bool,
    username: Option<String>,
    password: Option<Secret<String>>,
    database: Option<i64>,
}

impl Url {
    fn parse(text: &str) -> Result<Self, SettingError> {
        const FORM: SettingError = SettingError::Malformed {
            name: "REDIS_URL",
            expected: "redis://host:port/database or rediss://host:port/database",
        };
        let url = url::Url::parse(text).map_err(|_| FORM)?;
        if !matches!(url.scheme(), "redis" | "rediss") {
            return Err(FORM);
        }
        let host = url.host_str().ok_or(FORM)?;
        let path = url.path().trim_matches('/');
        let database = (!path.is_empty()).then(|| path.parse());
        let in_url = |part: &str| {
            let decoded = percent_decode_str(part).decode_utf8_lossy();
            (!part.is_empty()).then(|| decoded.into_owned())
        };
        Ok(Self {
            endpoint: Endpoint::new(host, url.port().unwrap_or(PORT)),
            tls: url.scheme() == "rediss",
            username: in_url(url.username()),
            password: url.password().and_then(in_url).map(Secret::new),
            database: database.transpose().map_err(|_| FORM)?,
        })
    }
}

impl RedisSettings {
    /// From `REDIS_URL`, `REDIS_SENTINELS` or `REDIS_CLUSTER_NODES` and the variables beside it.
    ///
    /// # Errors
    /// When none or several of the three are set, or when a variable cannot be understood.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let set = ADDRESSES.map(|name| environment.get(name).is_some());
        if set.into_iter().filter(|is_set| *is_set).count() > 1 {
            return Err(SettingError::Malformed {
                name: if set[0] { ADDRESSES[0] } else { ADDRESSES[1] },
                expected: "the only one of REDIS_URL, REDIS_SENTINELS and REDIS_CLUSTER_NODES \
                           that is set: each names a queue",
            });
        }
        let (servers, url) = match set {
            [_, true, _] => (sentinel(environment)?, None),
            [_, _, true] => {
                let nodes = endpoints(environment, "REDIS_CLUSTER_NODES", PORT)?;
                (RedisServers::Cluster(nodes), None)
            }
            _ => {
                let url = Url::parse(required(environment, "REDIS_URL")?)?;
                (RedisServers::One(url.endpoint.clone()), Some(url))
            }
        };
        let of_url = url.as_ref();
        let database = of_url.and_then(|url| url.database);
        let beside = parsed(environment, "REDIS_DATABASE", "the number of a database")?;
        let database = database.or(beside).unwrap_or(0);
        if database != 0 && matches!(servers, RedisServers::Cluster(_)) {
            return Err(SettingError::Malformed {
                name: "REDIS_DATABASE",
                expected: "0 or unset, because a Redis Cluster has no other database",
            });
        }
        let username = of_url.and_then(|url| url.username.clone());
        let password = of_url.and_then(|url| url.password.clone());
        Ok(Self {
            servers,
            tls: of_url.is_some_and(|url| url.tls) || flag(environment, "REDIS_TLS_ENABLED")?,
            ca_cert: text(environment, "REDIS_CA_CERT"),
            username: username.or_else(|| text(environment, "REDIS_USERNAME")),
            password: password.or_else(|| secret(environment, "REDIS_PASSWORD")),
            database,
            client: pair(environment, "REDIS_CLIENT_CERT", "REDIS_CLIENT_KEY")?,
            pipeline: text(environment, "PIPELINE").unwrap_or_else(|| DEFAULT_PIPELINE.to_owned()),
            shards: parsed(environment, "QUEUE_SHARDS", "a number of streams from 1 on")?
                .unwrap_or(2)
                .max(1),
            claim_idle: duration(environment, "CLAIM_IDLE")?
                .unwrap_or(std::time::Duration::from_secs(8)),
        })
    }
}

fn sentinel(environment: &Environment) -> Result<RedisServers, SettingError> {
    Ok(RedisServers::Sentinel(SentinelSettings {
        sentinels: endpoints(environment, "REDIS_SENTINELS", SENTINEL_PORT)?,
        master: required(environment, "REDIS_MASTER_NAME")?.to_owned(),
        username: text(environment, "REDIS_SENTINEL_USERNAME"),
        password: secret(environment, "REDIS_SENTINEL_PASSWORD"),
    }))
}

/// Comma-separated `host` or `host:port`.
fn endpoints(
    environment: &Environment,
    name: &'static str,
    port: u16,
) -> Result<Vec<Endpoint>, SettingError> {
    let form = || SettingError::Malformed {
        name,
        expected: "comma-separated host:port",
    };
    let words = required(environment, name)?.split(',').map(str::trim);
    let words = words.filter(|word| !word.is_empty());
    let read: Option<Vec<Endpoint>> = words.map(|word| Endpoint::parse(word, port)).collect();
    let read = read.filter(|endpoints| !endpoints.is_empty());
    read.ok_or_else(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<const N: usize>(pairs: [(&str, &str); N]) -> String {
        let environment = Environment::from(pairs);
        let error = RedisSettings::from_environment(&environment).unwrap_err();
        error.to_string()
    }

    fn read<const N: usize>(pairs: [(&str, &str); N]) -> RedisSettings {
        let environment = Environment::from(pairs);
        RedisSettings::from_environment(&environment).unwrap()
    }

    #[test]
    fn redis_credentials_are_taken_from_the_url_or_from_beside_it() {
        let settings = read([("REDIS_URL", "rediss://worker:p%40ss+1@redis.example:6380/3")]);
        let server = RedisServers::One(Endpoint::new("redis.example", 6380));
        assert_eq!(settings.servers, server);
        assert!(settings.tls);
        assert_eq!(settings.database, 3);
        assert_eq!(settings.username.as_deref(), Some("worker"));
        assert_eq!(settings.password, Some(Secret::from("p@ss+1")));

        let settings = read([
            ("REDIS_URL", "redis://[fd00::1]"),
            ("REDIS_PASSWORD", "other"),
            ("REDIS_TLS_ENABLED", "true"),
        ]);
        assert_eq!(settings.servers.to_string(), "[fd00::1]:6379");
        assert!(settings.tls);
        assert_eq!(settings.password, Some(Secret::from("other")));
    }

    #[test]
    fn a_password_in_the_url_may_have_any_character() {
        for (written, meant) in [
            ("a&b=c", "a&b=c"),
            ("&", "&"),
            ("%26%25+%20", "&%+ "),
            ("a=", "a="),
        ] {
            let url = format!("redis://:{written}@redis.example");
            let environment = Environment::from([("REDIS_URL", url.as_str())]);
            let settings = RedisSettings::from_environment(&environment).unwrap();
            assert_eq!(settings.password, Some(Secret::from(meant)), "{written}");
        }
    }

    #[test]
    fn sentinels_and_nodes_of_a_cluster_are_lists() {
        let settings = read([
            ("REDIS_SENTINELS", "a, [fd00::1]:7000,fd00::2"),
            ("REDIS_MASTER_NAME", "queue"),
            ("REDIS_SENTINEL_PASSWORD", "canary-17"),
            ("REDIS_TLS_ENABLED", "true"),
            ("REDIS_DATABASE", "2"),
        ]);
        assert_eq!(
            settings.servers.to_string(),
            "a:26379,[fd00::1]:7000,[fd00::2]:26379 (sentinels of `queue`)"
        );
        assert_eq!((settings.tls, settings.database), (true, 2));
        assert!(!format!("{settings:?}").contains("canary"));
        let settings = read([("REDIS_CLUSTER_NODES", "a:1,b")]);
        assert_eq!(settings.servers.to_string(), "a:1,b:6379 (cluster)");
        assert_eq!((settings.tls, settings.database), (false, 0));
    }

    #[test]
    fn what_cannot_be_a_queue_is_refused_with_the_variable() {
        const NODES: (&str, &str) = ("REDIS_CLUSTER_NODES", "a:1");
        let says = refused([]);
        assert!(says.contains("`REDIS_URL` is not set"), "{says}");
        let says = refused([("REDIS_URL", "redis://a"), NODES]);
        assert!(says.contains("`REDIS_URL` must be the only one"), "{says}");
        let says = refused([("REDIS_SENTINELS", "a"), NODES]);
        assert!(
            says.contains("`REDIS_SENTINELS` must be the only one"),
            "{says}"
        );
        let says = refused([("REDIS_SENTINELS", "a")]);
        assert!(says.contains("`REDIS_MASTER_NAME` is not set"), "{says}");
        let says = refused([NODES, ("REDIS_DATABASE", "3")]);
        assert!(says.contains("`REDIS_DATABASE` must be 0"), "{says}");
        for wrong in ["a:b", "a:70000", ",", "redis://a", "a b:1"] {
            let says = refused([("REDIS_CLUSTER_NODES", wrong)]);
            assert!(
                says.contains("comma-separated host:port"),
                "{wrong}: {says}"
            );
        }
    }
}
