//! Rules about secrets: each has a maker and a reader, and none is written out. What looks like one
//! is named by its place, never repeated.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::KeyPath;
use crate::model::manifest::{RenderedSet, SecretContent};

use super::finding::Finding;
use super::rule;
use super::subject::{Pod, Subject, items, texts};

/// Keys below which names are somebody's own.
const FREE: &[&str] = &[
    "annotations",
    "podAnnotations",
    "commonAnnotations",
    "podLabels",
    "commonLabels",
];

/// Ends of names whose value is a secret.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api-key",
    "accesskey",
    "secretkey",
    "private-key",
];

/// Beginnings of credentials that have a form of their own, and how much follows at least.
const TOKEN_FORMS: &[(&str, usize)] = &[
    ("AKIA", 16),
    ("ghp_", 30),
    ("github_pat_", 30),
    ("glpat-", 16),
    ("xoxb-", 20),
    ("xoxp-", 20),
];

/// Secrets that pods need and that nobody lists, and passwords that are given and not used.
pub(super) fn missing_or_unused(subject: Subject<'_>) -> Vec<Finding> {
    let listed: BTreeSet<&str> = subject
        .set
        .secrets
        .iter()
        .map(|need| need.name.as_str())
        .collect();
    let mut found = Vec::new();
    for pod in subject.pods() {
        let needed: BTreeSet<&str> = needed(pod).collect();
        for name in needed.difference(&listed) {
            let says =
                format!("needs the Secret `{name}`, which is not among those that must exist");
            found.push(subject.about_object(&rule::SECRETS, pod.manifest, says));
        }
    }
    let values = subject.values();
    let has_redis = values.uses_queue() || values.deploys_redis();
    let given = subject.resolved.secrets.iter();
    let unused = given
        .filter(|given| given.content == SecretContent::RedisPassword && has_redis)
        .filter(|given| !is_needed(subject.set, given.content));
    found.extend(unused.map(|given| {
        let key = if values.deploys_redis() {
            "redis.auth.enabled"
        } else {
            "externalRedis.auth.enabled"
        };
        let says = format!(
            "is false, so the password in the variable {} is not used",
            given.variable
        );
        subject.about_key(&rule::SECRETS, key, says)
    }));
    found
}

fn is_needed(set: &RenderedSet, content: SecretContent) -> bool {
    let mut keys = set.secrets.iter().flat_map(|need| &need.keys);
    keys.any(|key| key.content == content)
}

/// The Secrets that a pod cannot start without.
fn needed<'a>(pod: Pod<'a>) -> impl Iterator<Item = &'a str> {
    let required = |reference: &&Value| reference["optional"] != true;
    let by_variable = pod
        .variables()
        .map(|variable| &variable["valueFrom"]["secretKeyRef"])
        .filter(required)
        .filter_map(|reference| reference["name"].as_str());
    let by_volume = items(&pod.template["spec"]["volumes"])
        .map(|volume| &volume["secret"])
        .filter(required)
        .filter_map(|secret| secret["secretName"].as_str());
    by_variable.chain(by_volume)
}

/// Secrets that are written out, in values and in manifests.
pub(super) fn inline(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    in_values(
        subject,
        subject.resolved.tree(),
        &KeyPath::default(),
        &mut found,
    );
    for manifest in &subject.set.manifests {
        if manifest.value["kind"] == "Secret" {
            let says = "is a Secret among the manifests";
            found.push(subject.about_object(&rule::INLINE_SECRET, manifest, says));
        }
    }
    for pod in subject.pods() {
        let literals = pod.variables().filter_map(|variable| {
            let text = variable["value"].as_str()?;
            Some((variable["name"].as_str()?, text))
        });
        let written = literals.filter(|(name, text)| is_secret_variable(name) && !text.is_empty());
        found.extend(written.map(|(name, _)| {
            let says = format!("has the variable `{name}` as text instead of by reference");
            subject.about_object(&rule::INLINE_SECRET, pod.manifest, says)
        }));
    }
    for manifest in subject.of_kind("ConfigMap") {
        let texts = texts(&manifest.value["data"]);
        found.extend(texts.filter_map(|(name, text)| {
            let says = format!("has {} in the file `{name}`", looks_like(text)?);
            Some(subject.about_object(&rule::INLINE_SECRET, manifest, says))
        }));
    }
    found
}

fn is_secret_variable(name: &str) -> bool {
    [
        "PASSWORD",
        "TOKEN",
        "PRIVATE_KEY",
        "CLIENT_KEY",
        "REDISCLI_AUTH",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

fn in_values(subject: Subject<'_>, value: &Value, path: &KeyPath, found: &mut Vec<Finding>) {
    match value {
        Value::Object(map) => {
            for (key, below) in map {
                in_values(subject, below, &path.child(key), found);
            }
        }
        Value::Array(list) => {
            for (index, below) in list.iter().enumerate() {
                in_values(subject, below, &path.child(&index.to_string()), found);
            }
        }
        Value::String(text) if !text.is_empty() => {
            let is_free = path.keys().iter().any(|key| FREE.contains(&key.as_str()));
            let named = is_free && is_secret_name(path.last());
            let named = named.then_some("what its name calls a secret");
            if let Some(what) = looks_like(text).or(named) {
                let says = format!("holds {what}");
                found.push(subject.about_key(&rule::INLINE_SECRET, &path.to_string(), says));
            }
        }
        _ => {}
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    SECRET_NAMES.iter().any(|end| name.ends_with(end))
}

/// What kind of secret a text holds, if it looks as if it held one.
fn looks_like(text: &str) -> Option<&'static str> {
    if text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    if has_login(text) {
        return Some("a URL with a password");
    }
    if has_password_setting(text) {
        return Some("a password");
    }
    let is_token = |word: &str| {
        TOKEN_FORMS.iter().any(|(start, length)| {
            let rest = word.strip_prefix(start).unwrap_or_default();
            rest.len() >= *length
        })
    };
    let mut words = text.split(|symbol: char| !(symbol.is_alphanumeric() || "_-".contains(symbol)));
    words.any(is_token).then_some("an access token")
}

/// `scheme://user:password@host`, where the password is no reference.
fn has_login(text: &str) -> bool {
    text.match_indices("://").any(|(at, separator)| {
        let rest = &text[at + separator.len()..];
        let end = rest.find(|symbol: char| symbol == '/' || symbol.is_whitespace());
        let authority = &rest[..end.unwrap_or(rest.len())];
        let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
        let password = login.split_once(':').map_or("", |(_, password)| password);
        is_literal(password)
    })
}

/// `password=…`, as connection settings have it.
fn has_password_setting(text: &str) -> bool {
    let lower = text.to_lowercase();
    lower.match_indices("password").any(|(at, word)| {
        let rest = lower[at + word.len()..].trim_start();
        let value = rest.strip_prefix('=').map(str::trim_start);
        value.is_some_and(|value| is_literal(value.trim_start_matches(['\'', '"'])))
    })
}

fn is_literal(secret: &str) -> bool {
    !secret.is_empty() && !secret.starts_with(['$', '\'', '"', '\n'])
}

#[cfg(test)]
mod tests {
    use super::{is_secret_name, looks_like};

    #[test]
    fn secrets_are_known_by_their_form() {
        for (text, expected) in [
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc",
                Some("a private key"),
            ),
            ("redis://u:p4ss@host:6379", Some("a URL with a password")),
            ("host=a password=p4ss", Some("a password")),
            (
                "primary_conninfo = 'password = ''p4ss'''",
                Some("a password"),
            ),
            ("key AKIAABCDEFGHIJKLMNOP", Some("an access token")),
            ("redis://u:$(REDIS_PASSWORD)@host", None),
            ("https://host:2379/a@b", None),
            ("password_encryption = scram-sha-256", None),
            ("-----BEGIN CERTIFICATE-----", None),
            ("the password is elsewhere", None),
        ] {
            assert_eq!(looks_like(text), expected, "{text}");
        }
        assert!(is_secret_name("example.com/api-token"));
        assert!(!is_secret_name("token-bucket"));
    }
}
