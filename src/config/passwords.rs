//! Secrets in values: a reference to an environment variable is taken, a literal is refused.

use crate::model::manifest::SecretContent;

use super::key_path::KeyPath;

/// A key that the original chart takes a secret at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SecretSetting {
    /// Its path.
    pub(super) key: &'static str,
    /// What the secret is; `None` if nothing uses it.
    pub(super) content: Option<SecretContent>,
    /// What to write instead of a literal.
    pub(super) instead: &'static str,
}

pub(super) const SETTINGS: &[SecretSetting] = &[
    SecretSetting {
        key: "externalRedis.password",
        content: Some(SecretContent::RedisPassword),
        instead: "externalRedis.auth.existingSecret, \"${REDIS_PASSWORD}\" here, or \
                  --redis-password env:REDIS_PASSWORD of `telectl deploy`",
    },
    SecretSetting {
        key: "redis.auth.password",
        content: Some(SecretContent::RedisPassword),
        instead: "redis.auth.existingSecret, \"${REDIS_PASSWORD}\" here, or \
                  --redis-password env:REDIS_PASSWORD of `telectl deploy`",
    },
    SecretSetting {
        key: "externalDatabase.password",
        content: Some(SecretContent::DatabasePassword),
        instead: "externalDatabase.existingSecret, \"${DB_PASSWORD}\" here, or \
                  --db-password env:DB_PASSWORD of `telectl deploy`",
    },
    SecretSetting {
        key: "postgresql.auth.password",
        content: Some(SecretContent::DatabasePassword),
        instead: "postgresql.auth.existingSecret, \"${DB_PASSWORD}\" here, or \
                  --db-password env:DB_PASSWORD of `telectl deploy`",
    },
    SecretSetting {
        key: "postgresql.auth.postgresPassword",
        content: None,
        instead: "nothing: there is one user, postgresql.auth.username",
    },
    SecretSetting {
        key: "redis.tls.cert",
        content: None,
        instead: "redis.tls.existingSecret with tls.crt, tls.key and ca.crt",
    },
    SecretSetting {
        key: "redis.tls.key",
        content: None,
        instead: "redis.tls.existingSecret with tls.crt, tls.key and ca.crt",
    },
    SecretSetting {
        key: "backup.storage.accessKey",
        content: None,
        instead: "backup.storage.existingSecret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    },
    SecretSetting {
        key: "backup.storage.secretKey",
        content: None,
        instead: "backup.storage.existingSecret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    },
];

/// The setting at `path`.
pub(super) fn at(path: &KeyPath) -> Option<&'static SecretSetting> {
    SETTINGS
        .iter()
        .find(|setting| KeyPath::from(setting.key) == *path)
}
