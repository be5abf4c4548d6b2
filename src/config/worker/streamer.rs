//! What a streamer's variables say about its sources.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::environment::Environment;

use super::parse::{duration, flag, parsed, required, secret, text};
use super::{
    FetchSettings, FollowSettings, GenerateSettings, ScrapeSettings, SettingError, SourceSettings,
    StreamerSettings, UploadSettings,
};

impl FollowSettings {
    /// Shortest time between two looks: below it, looking would be most of the work.
    pub const SHORTEST_LINGER: Duration = Duration::from_millis(10);
}

fn source(environment: &Environment) -> Result<SourceSettings, SettingError> {
    if environment.get("SCRAPE_TARGETS").is_some() {
        let others = ["CSV_FILE", "GENERATE", "FOLLOW"].into_iter();
        let mut others = others.filter(|name| environment.get(name).is_some());
        return match others.next() {
            Some(other) => Err(SettingError::Conflict {
                one: "SCRAPE_TARGETS",
                other,
            }),
            None => ScrapeSettings::from_environment(environment).map(SourceSettings::Scraped),
        };
    }
    let follows = flag(environment, "FOLLOW")?;
    match environment.get("GENERATE") {
        None if environment.get("CSV_FILE").is_none() && uploads(environment)?.is_some() => {
            Ok(SourceSettings::Nothing)
        }
        None if follows => follow(environment).map(SourceSettings::Followed),
        None => Ok(SourceSettings::Files(PathBuf::from(required(
            environment,
            "CSV_FILE",
        )?))),
        Some(_) if follows => Err(SettingError::Conflict {
            one: "GENERATE",
            other: "FOLLOW",
        }),
        Some(text) => match GenerateSettings::parse(text) {
            Some(settings) => Ok(SourceSettings::Generated(settings)),
            None => Err(SettingError::Malformed {
                name: "GENERATE",
                expected: GenerateSettings::EXPECTED,
            }),
        },
    }
}

fn follow(environment: &Environment) -> Result<FollowSettings, SettingError> {
    if flag(environment, "LOOP_MODE")? {
        return Err(SettingError::Conflict {
            one: "FOLLOW",
            other: "LOOP_MODE",
        });
    }
    let linger = duration(environment, "FOLLOW_LINGER")?;
    if linger.is_some_and(|linger| linger < FollowSettings::SHORTEST_LINGER) {
        return Err(SettingError::Malformed {
            name: "FOLLOW_LINGER",
            expected: "a time from 10ms on, for example 500ms",
        });
    }
    Ok(FollowSettings {
        path: PathBuf::from(required(environment, "CSV_FILE")?),
        linger: linger.unwrap_or(Duration::from_millis(500)),
        grace: duration(environment, "FOLLOW_GRACE")?.unwrap_or(Duration::from_secs(10)),
    })
}

fn uploads(environment: &Environment) -> Result<Option<UploadSettings>, SettingError> {
    const BYTES: &str = "a number of bytes from 1 on";
    let number = |name: &'static str| match parsed(environment, name, BYTES)? {
        Some(0) => Err(SettingError::Malformed {
            name,
            expected: BYTES,
        }),
        number => Ok(number),
    };
    let Some(limit) = number("UPLOAD_LIMIT")? else {
        return Ok(None);
    };
    Ok(Some(UploadSettings {
        limit,
        total: number("UPLOAD_TOTAL")?.unwrap_or(limit.saturating_mul(4)),
        token: secret(environment, "UPLOAD_TOKEN"),
    }))
}

impl StreamerSettings {
    /// From the streamer's variables.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        Ok(Self {
            source: source(environment)?,
            uploads: uploads(environment)?,
            batch_size: parsed(environment, "BATCH_SIZE", "a number of rows from 1 to 5000")?
                .unwrap_or(5000)
                .clamp(1, 5000),
            stream_interval: duration(environment, "STREAM_INTERVAL")?,
            loop_mode: flag(environment, "LOOP_MODE")?,
            spool_dir: PathBuf::from(
                environment
                    .get("SPOOL_DIR")
                    .unwrap_or("/var/lib/telectl/spool"),
            ),
            spool_limit: parsed(environment, "SPOOL_LIMIT", "a number of bytes")?
                .unwrap_or(512 * 1024 * 1024),
            replicas: parsed(environment, "STREAMER_REPLICAS", "a number from 1 on")?
                .unwrap_or(1)
                .max(1),
        })
    }
}

impl FetchSettings {
    /// From the variables of the download.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        const URL: SettingError = SettingError::Malformed {
            name: "SOURCE_URL",
            expected: "an http or https URL",
        };
        let url = url::Url::parse(required(environment, "SOURCE_URL")?).map_err(|_| URL)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(URL);
        }
        let sha256 = required(environment, "SOURCE_SHA256")?.to_ascii_lowercase();
        if sha256.len() != 64 || hex::decode(&sha256).is_err() {
            return Err(SettingError::Malformed {
                name: "SOURCE_SHA256",
                expected: "64 hexadecimal digits",
            });
        }
        Ok(Self {
            url,
            sha256,
            limit: parsed(environment, "SOURCE_LIMIT", "a number of bytes")?.unwrap_or(u64::MAX),
            file: PathBuf::from(required(environment, "CSV_FILE")?),
            ca_cert: text(environment, "SOURCE_CA_CERT"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_followed_is_named_once_and_not_looped() {
        let settings = |name, value| {
            let variables = [("CSV_FILE", "/data"), ("FOLLOW", "true"), (name, value)];
            StreamerSettings::from_environment(&Environment::from(variables))
        };
        let followed = settings("LOOP_MODE", "false").unwrap().source;
        let SourceSettings::Followed(follow) = followed else {
            panic!("it is to be followed");
        };
        assert_eq!(follow.path, PathBuf::from("/data"));
        assert_eq!(
            (follow.linger, follow.grace),
            (Duration::from_millis(500), Duration::from_secs(10))
        );
        for (name, value, part) in [
            ("GENERATE", "default", "`GENERATE` and `FOLLOW` exclude"),
            ("LOOP_MODE", "true", "`FOLLOW` and `LOOP_MODE` exclude"),
            ("FOLLOW_LINGER", "1ms", "from 10ms on"),
        ] {
            let error = settings(name, value).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
