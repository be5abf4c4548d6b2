//! What a streamer's variables say about the exporters that it scrapes.

use std::time::Duration;

use url::Url;

use crate::config::environment::Environment;
use crate::model::secret::Secret;

use super::SettingError;
use super::parse::{duration, parsed, required, secret, text};

/// Exporters to scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeSettings {
    /// Which; at least one.
    pub targets: Vec<ScrapeTarget>,
    /// Time from one scrape to the next.
    pub interval: Duration,
    /// Longest time for one, at most the interval.
    pub timeout: Duration,
    /// Most bytes of an answer.
    pub limit: u64,
    /// PEM text of the authority; the public ones if unset.
    pub ca_cert: Option<String>,
    /// What all of them ask for.
    pub login: Option<ScrapeLogin>,
}

/// An exporter, or all behind a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeTarget {
    /// Where its metrics are.
    pub url: Url,
    /// Whether each address of the name is scraped by itself.
    pub each_address: bool,
}

/// How to prove who scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScrapeLogin {
    /// A bearer token.
    Token(Secret<String>),
    /// A user with a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret<String>,
    },
}

impl ScrapeTarget {
    /// What [`Self::parse`] takes.
    pub const EXPECTED: &str = "comma-separated http or https URLs, such as \
                                http://dcgm-exporter:9400/metrics, without a login or a query; with \
                                dns+ in front, every address of the name is scraped";

    /// Understands one URL; `None` if it cannot. A login is refused: the URL is the source's name.
    pub fn parse(text: &str) -> Option<Self> {
        let (text, each_address) = match text.trim().strip_prefix("dns+") {
            Some(text) => (text, true),
            None => (text.trim(), false),
        };
        let url = Url::parse(text).ok()?;
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        (is_bare && is_http).then_some(Self { url, each_address })
    }
}

impl ScrapeSettings {
    /// Shortest time between two scrapes.
    pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
    /// Time between two scrapes unless something else is said.
    pub const INTERVAL: Duration = Duration::from_secs(15);
    /// Most bytes of an answer unless something else is said.
    const LIMIT: u64 = 16 * 1024 * 1024;

    /// From the streamer's variables.
    pub(super) fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let malformed = |name, expected| SettingError::Malformed { name, expected };
        let targets = required(environment, "SCRAPE_TARGETS")?.split(',');
        let targets: Option<Vec<_>> = targets.map(ScrapeTarget::parse).collect();
        let targets = targets.ok_or_else(|| malformed("SCRAPE_TARGETS", ScrapeTarget::EXPECTED))?;
        let interval = duration(environment, "SCRAPE_INTERVAL")?.unwrap_or(Self::INTERVAL);
        if interval < Self::SHORTEST_INTERVAL {
            let expected = "a time from 100ms on, for example 15s";
            return Err(malformed("SCRAPE_INTERVAL", expected));
        }
        let timeout = duration(environment, "SCRAPE_TIMEOUT")?;
        let timeout = timeout.unwrap_or(interval.min(Duration::from_secs(10)));
        if timeout.is_zero() || timeout > interval {
            let expected = "a time up to SCRAPE_INTERVAL, for example 10s";
            return Err(malformed("SCRAPE_TIMEOUT", expected));
        }
        let user = environment.get("SCRAPE_USERNAME").map(str::to_owned);
        let password = secret(environment, "SCRAPE_PASSWORD");
        let login = match (secret(environment, "SCRAPE_TOKEN"), user) {
            (Some(_), Some(_)) => {
                return Err(SettingError::Conflict {
                    one: "SCRAPE_TOKEN",
                    other: "SCRAPE_USERNAME",
                });
            }
            (Some(token), None) => Some(ScrapeLogin::Token(token)),
            (None, Some(user)) => Some(ScrapeLogin::Password {
                user,
                password: password.unwrap_or_default(),
            }),
            (None, None) => None,
        };
        Ok(Self {
            targets,
            interval,
            timeout,
            limit: parsed(environment, "SCRAPE_LIMIT", "a number of bytes")?.unwrap_or(Self::LIMIT),
            ca_cert: text(environment, "SCRAPE_CA_CERT"),
            login,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_urls_without_secrets_and_a_scrape_ends_before_the_next() {
        let settings = |name: &str, value: &str| {
            let targets = (
                "SCRAPE_TARGETS",
                "http://a:9400/metrics, dns+https://b/metrics",
            );
            let variables = Environment::from([targets, (name, value)]);
            ScrapeSettings::from_environment(&variables)
        };
        let usual = settings("LOG_LEVEL", "info").unwrap();
        let each: Vec<bool> = usual.targets.iter().map(|one| one.each_address).collect();
        assert_eq!(each, [false, true]);
        assert_eq!(
            (usual.interval, usual.timeout),
            (ScrapeSettings::INTERVAL, Duration::from_secs(10))
        );
        let quick = settings("SCRAPE_INTERVAL", "1s").unwrap();
        assert_eq!(quick.timeout, Duration::from_secs(1));
        for (name, value, part) in [
            ("SCRAPE_INTERVAL", "1ms", "from 100ms on"),
            ("SCRAPE_TIMEOUT", "1m", "up to SCRAPE_INTERVAL"),
            ("SCRAPE_LIMIT", "much", "a number of bytes"),
        ] {
            let error = settings(name, value).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        for refused in [
            "http://u:p@a/",
            "http://a/?token=1",
            "ftp://a/",
            "a:9400",
            "",
        ] {
            assert_eq!(ScrapeTarget::parse(refused), None, "{refused}");
        }
    }
}
