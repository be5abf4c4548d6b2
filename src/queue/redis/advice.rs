//! What a server's settings mean for the queue: asked when a server is met for the first time.

use std::collections::BTreeMap;

use ::redis::aio::MultiplexedConnection;
use ::redis::cmd;

/// The oldest server with every command of the queue (XAUTOCLAIM).
const OLDEST: (u32, u32) = (6, 2);

/// What a server says about itself, by name; `maxmemory_policy` for example.
pub(super) type Information = BTreeMap<String, String>;

/// Asks a server about itself. What the user may not ask is left out.
pub(super) async fn ask(connection: &mut MultiplexedConnection) -> Information {
    let mut information = Information::new();
    for section in ["server", "memory", "persistence"] {
        let mut command = cmd("INFO");
        let answer: Result<String, _> = command.arg(section).query_async(connection).await;
        let lines = answer.unwrap_or_default();
        let pairs = lines.lines().filter_map(|line| line.trim().split_once(':'));
        information.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let mut command = cmd("CONFIG");
    let answer: Result<Vec<String>, _> =
        command.arg("GET").arg("save").query_async(connection).await;
    if let Ok([_, save]) = answer.as_deref() {
        information.insert("save".to_owned(), save.clone());
    }
    information
}

/// What should be set otherwise, a sentence per setting.
pub(super) fn advice(information: &Information) -> Vec<String> {
    let is = |name: &str, value: &str| information.get(name).is_some_and(|found| found == value);
    let mut advice = Vec::new();
    if let Some(version) = information.get("redis_version")
        && is_older(version)
    {
        let (major, minor) = OLDEST;
        advice.push(format!(
            "its version is {version}, and the queue needs {major}.{minor} or newer: entries of a \
             dead collector cannot be taken over"
        ));
    }
    if let Some(policy) = information.get("maxmemory_policy")
        && policy != "noeviction"
    {
        advice.push(format!(
            "maxmemory-policy is {policy}: it deletes entries at the memory limit, which are then \
             published again and again; set it to noeviction"
        ));
    }
    if is("maxmemory", "0") {
        advice.push(
            "maxmemory is not set: the system ends the server once the queue has filled the \
             memory; set it to about 70 % of what the server may use"
                .to_owned(),
        );
    }
    if is("aof_enabled", "0") && is("save", "") {
        advice.push(
            "nothing is written to disk (appendonly no, save \"\"): after a restart streamers \
             publish again what was in it; set appendonly to yes to keep it"
                .to_owned(),
        );
    }
    advice
}

/// Whether a version such as `7.0.15` is older than the oldest that will do.
fn is_older(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Information, advice};

    fn of(pairs: &[(&str, &str)]) -> Vec<String> {
        let pairs = pairs.iter();
        let owned = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        advice(&owned.collect::<Information>())
    }

    #[test]
    fn every_setting_that_harms_the_queue_is_named() {
        let harmful = of(&[
            ("redis_version", "6.0.16"),
            ("maxmemory_policy", "allkeys-lru"),
            ("maxmemory", "0"),
            ("aof_enabled", "0"),
            ("save", ""),
        ]);
        let named = [
            "6.0.16",
            "maxmemory-policy is allkeys-lru",
            "maxmemory is",
            "appendonly",
        ];
        assert_eq!(harmful.len(), named.len(), "{harmful:?}");
        for (says, word) in harmful.iter().zip(named) {
            assert!(says.contains(word), "{says}");
        }
    }

    #[test]
    fn nothing_is_said_about_a_sound_server_or_one_that_says_nothing() {
        let sound = of(&[
            ("redis_version", "10.0.1"),
            ("maxmemory_policy", "noeviction"),
            ("maxmemory", "1000000"),
            ("aof_enabled", "0"),
            ("save", "3600 1"),
        ]);
        assert_eq!(sound, Vec::<String>::new());
        assert_eq!(of(&[]), Vec::<String>::new());
    }
}
