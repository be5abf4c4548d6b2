//! From environment variables to typed settings.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::config::environment::Environment;
use crate::model::component::Component;
use crate::model::endpoint::Endpoint;
use crate::model::secret::Secret;

use super::{
    AdvertiseSettings, CollectorSettings, CorsOrigins, DatabaseSettings, EtcdSettings,
    GatewaySettings, IdentitySettings, SettingError, SslMode, UpkeepSettings, VARIABLES,
};

/// The pipeline of workers that are told of none: the namespace that the profiles use.
pub(super) const DEFAULT_PIPELINE: &str = "telemetry-system";

fn meaning(name: &str) -> &'static str {
    VARIABLES
        .iter()
        .find(|(known, _)| *known == name)
        .map_or("", |(_, meaning)| meaning)
}

pub(super) fn required<'a>(
    environment: &'a Environment,
    name: &'static str,
) -> Result<&'a str, SettingError> {
    environment.get(name).ok_or_else(|| SettingError::Missing {
        name,
        meaning: meaning(name),
    })
}

pub(super) fn parsed<T: FromStr>(
    environment: &Environment,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<T>, SettingError> {
    environment
        .get(name)
        .map(|text| {
            text.trim()
                .parse()
                .map_err(|_| SettingError::Malformed { name, expected })
        })
        .transpose()
}

pub(super) fn duration(
    environment: &Environment,
    name: &'static str,
) -> Result<Option<Duration>, SettingError> {
    environment
        .get(name)
        .map(|text| {
            parse_duration(text).ok_or(SettingError::Malformed {
                name,
                expected: "a time such as 500ms, 15s or 2m",
            })
        })
        .transpose()
}

/// A time such as `500ms`, `1.5s`, `15s`, `2m` or `1h`; `None` if it is none.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.')?;
    let (number, unit) = text.split_at(digits);
    let seconds_per_unit = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * seconds_per_unit;
    Duration::try_from_secs_f64(seconds).ok()
}

pub(super) fn flag(environment: &Environment, name: &'static str) -> Result<bool, SettingError> {
    Ok(parsed(environment, name, "true or false")?.unwrap_or(false))
}

pub(super) fn secret(environment: &Environment, name: &str) -> Option<Secret<String>> {
    environment.get(name).map(Secret::from)
}

/// A secret and what it belongs to: neither means anything without the other.
pub(super) fn pair(
    environment: &Environment,
    public: &'static str,
    private: &'static str,
) -> Result<Option<(String, Secret<String>)>, SettingError> {
    let is_set = [public, private].map(|name| environment.get(name).is_some());
    if is_set == [false, false] {
        return Ok(None);
    }
    let public = required(environment, public)?.to_owned();
    Ok(Some((public, required(environment, private)?.into())))
}

pub(super) fn text(environment: &Environment, name: &str) -> Option<String> {
    environment.get(name).map(str::to_owned)
}

/// The port that a worker of this component listens on: `LISTEN_PORT`, else its own.
pub fn listen_port(component: Component, environment: &Environment) -> Result<u16, SettingError> {
    let port = parsed(environment, "LISTEN_PORT", "a port number")?;
    Ok(port.unwrap_or(component.default_port()))
}

impl IdentitySettings {
    /// What a worker of this component knows about itself.
    pub fn from_environment(
        component: Component,
        environment: &Environment,
    ) -> Result<Self, SettingError> {
        let id_variable = match component {
            Component::Streamer => "STREAMER_ID",
            Component::Collector => "COLLECTOR_ID",
            _ => "GATEWAY_ID",
        };
        let id = text(environment, id_variable)
            .or_else(|| text(environment, "POD_NAME"))
            .or_else(|| text(environment, "HOSTNAME"))
            .unwrap_or_else(|| component.name().to_owned());
        Ok(Self {
            cluster_id: required(environment, "CLUSTER_ID")?.to_owned(),
            namespace: text(environment, "NAMESPACE"),
            id,
            listen_port: listen_port(component, environment)?,
            tls_folder: text(environment, "HTTP_TLS_DIR").map(PathBuf::from),
            advertise: AdvertiseSettings::from_environment(environment)?,
            shutdown_grace: duration(environment, "SHUTDOWN_GRACE")?
                .unwrap_or(Duration::from_secs(25)),
            log_level: text(environment, "LOG_LEVEL").unwrap_or_else(|| "info".to_owned()),
            log_json: environment.get("LOG_FORMAT") == Some("json"),
        })
    }
}

impl AdvertiseSettings {
    /// From the variables of the ladder.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let service = text(environment, "SERVICE_NAME").zip(text(environment, "NAMESPACE"));
        Ok(Self {
            service_address: text(environment, "SERVICE_ADDRESS"),
            external_service_address: text(environment, "EXTERNAL_SERVICE_ADDRESS"),
            pod_ip: text(environment, "POD_IP"),
            service,
            port: parsed(environment, "HTTP_PORT", "a port number")?,
            scheme: text(environment, "ADVERTISED_SCHEME").or_else(|| {
                let is_secured = environment.get("HTTP_TLS_DIR").is_some();
                is_secured.then(|| "https".to_owned())
            }),
        })
    }
}

impl EtcdSettings {
    /// From `ETCD_ENDPOINTS` and the variables beside it; `None` if there are no endpoints.
    pub fn from_environment(environment: &Environment) -> Result<Option<Self>, SettingError> {
        let Some(endpoints) = environment.get("ETCD_ENDPOINTS") else {
            return Ok(None);
        };
        Ok(Some(Self {
            endpoints: endpoints
                .split(',')
                .map(|endpoint| endpoint.trim().to_owned())
                .filter(|endpoint| !endpoint.is_empty())
                .collect(),
            ca_cert: text(environment, "ETCD_CA_CERT"),
            client: pair(environment, "ETCD_CLIENT_CERT", "ETCD_CLIENT_KEY")?,
            login: pair(environment, "ETCD_USERNAME", "ETCD_PASSWORD")?,
            lease_ttl: duration(environment, "LEASE_TTL")?.unwrap_or(Duration::from_secs(15)),
        }))
    }
}

impl FromStr for SslMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" | "allow" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(()),
        }
    }
}

impl DatabaseSettings {
    /// From the `DB_*` variables.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let port = parsed(environment, "DB_PORT", "a port number")?.unwrap_or(5432);
        Ok(Self {
            endpoint: Endpoint::new(required(environment, "DB_HOST")?, port),
            name: text(environment, "DB_NAME").unwrap_or_else(|| "telemetry".to_owned()),
            user: text(environment, "DB_USER").unwrap_or_else(|| "telemetry".to_owned()),
            password: secret(environment, "DB_PASSWORD"),
            ssl_mode: parsed(
                environment,
                "DB_SSL_MODE",
                "disable, prefer, require, verify-ca or verify-full",
            )?
            .unwrap_or(SslMode::VerifyFull),
            ca_cert: text(environment, "DB_CA_CERT"),
        })
    }
}

impl CollectorSettings {
    /// From the collector's variables.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        Ok(Self {
            batch_size: parsed(environment, "BATCH_SIZE", "a number of rows from 1 on")?
                .unwrap_or(50_000)
                .max(1),
            poll_interval: duration(environment, "POLL_INTERVAL")?
                .unwrap_or(Duration::from_secs(1)),
            pace: duration(environment, "COMMIT_INTERVAL")?,
            upkeep: UpkeepSettings::from_environment(environment)?,
        })
    }
}

impl GatewaySettings {
    /// From the gateway's variables.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let usual = Self::default();
        let origins = environment
            .get("CORS_ORIGINS")
            .map(|text| {
                parse_origins(text).ok_or(SettingError::Malformed {
                    name: "CORS_ORIGINS",
                    expected: ORIGINS_FORM,
                })
            })
            .transpose()?;
        let limit = parsed(environment, "STREAM_LIMIT", "a number from 0 on")?;
        Ok(Self {
            token: secret(environment, "API_TOKEN"),
            cors_origins: origins.unwrap_or(usual.cors_origins),
            stream_limit: limit.unwrap_or(usual.stream_limit),
        })
    }
}

/// What a list of origins has to be.
const ORIGINS_FORM: &str =
    "* or comma-separated origins such as https://app.example.com, without a path";

/// A list of origins, in the form that browsers write them in; `None` if one is none.
pub fn parse_origins(text: &str) -> Option<CorsOrigins> {
    let text = text.trim();
    if text == "*" {
        return Some(CorsOrigins::Any);
    }
    let origins: Option<Vec<String>> = text.split(',').map(|word| origin(word.trim())).collect();
    origins.map(CorsOrigins::These)
}

fn origin(word: &str) -> Option<String> {
    let url = url::Url::parse(word).ok()?;
    let has_more = url.path() != "/"
        || url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some();
    let is_origin = matches!(url.scheme(), "http" | "https") && !has_more;
    is_origin.then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::worker::RedisSettings;

    #[test]
    fn a_missing_or_malformed_variable_is_named() {
        let missing = RedisSettings::from_environment(&Environment::default()).unwrap_err();
        assert!(
            missing.to_string().contains("`REDIS_URL` is not set"),
            "{missing}"
        );
        let environment = Environment::from([("DB_HOST", "db"), ("DB_SSL_MODE", "on")]);
        let malformed = DatabaseSettings::from_environment(&environment).unwrap_err();
        assert!(
            malformed
                .to_string()
                .contains("`DB_SSL_MODE` must be disable"),
            "{malformed}"
        );
    }

    #[test]
    fn n07_half_of_a_client_certificate_is_named() {
        const PAIRS: [(&str, &str); 3] = [
            ("REDIS_CLIENT_CERT", "REDIS_CLIENT_KEY"),
            ("ETCD_CLIENT_CERT", "ETCD_CLIENT_KEY"),
            ("ETCD_USERNAME", "ETCD_PASSWORD"),
        ];
        for (one, other) in PAIRS {
            for (set, unset) in [(one, other), (other, one)] {
                let environment = Environment::from([
                    ("REDIS_URL", "rediss://redis"),
                    ("ETCD_ENDPOINTS", "https://etcd:2379"),
                    (set, "canary-90aa"),
                ]);
                let redis = RedisSettings::from_environment(&environment).map(drop);
                let etcd = EtcdSettings::from_environment(&environment).map(drop);
                let error = redis.and(etcd).unwrap_err().to_string();
                assert!(error.contains(&format!("`{unset}` is not set")), "{error}");
                assert!(!error.contains("canary"), "{error}");
            }
        }
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        let these = |origins: &[&str]| {
            let origins = origins.iter().map(|origin| (*origin).to_owned());
            Some(CorsOrigins::These(origins.collect()))
        };
        assert_eq!(parse_origins(" * "), Some(CorsOrigins::Any));
        assert_eq!(
            parse_origins("HTTPS://App.Example.com:443/, http://localhost:3000"),
            these(&["https://app.example.com", "http://localhost:3000"])
        );
        for wrong in [
            "",
            "app.example.com",
            "https://a.example/page",
            "https://a.example,",
            "https://a.example,*",
            "https://me@a.example",
            "ftp://a.example",
            "null",
        ] {
            assert_eq!(parse_origins(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_gateway_is_closed_to_other_origins_unless_it_is_told_otherwise() {
        let settings = GatewaySettings::from_environment(&Environment::default()).unwrap();
        assert_eq!(settings.cors_origins, CorsOrigins::None);
        assert_eq!(settings.stream_limit, 32);
        for (name, value) in [("CORS_ORIGINS", "example.com"), ("STREAM_LIMIT", "-1")] {
            let environment = Environment::from([(name, value)]);
            let refused = GatewaySettings::from_environment(&environment).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("10"), None);
        assert_eq!(parse_duration("-1s"), None);
    }
}
