//! How connections are made.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use tokio_postgres::config::SslMode as Negotiation;
use tokio_postgres::{Config, NoTls};

use crate::config::worker::{DatabaseSettings, SslMode};
use crate::store::StoreError;

use super::tls;

/// Longest time until a connection is ready: TCP, TLS and login.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Connections of one worker at most.
const CONNECTIONS: usize = 8;

/// What every session needs. The limits hold on the server, should the client vanish; commits are
/// made durable even where the server's default is not. A collector computes for a moment between two
/// statements of a transaction: one that is silent for longer is frozen, or its node is gone, and
/// nobody else could store the rows that it has entered until its session ends.
const SESSION: &str = "
    SET statement_timeout = '60s';
    SET lock_timeout = '20s';
    SET idle_in_transaction_session_timeout = '5s';
    SET timezone = 'UTC';
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// As above, for work that takes as long as it takes and for which nobody waits. What it needs a lock
/// for that others would wait behind, it gives up soon, and tries again another time.
const KEEPER_SESSION: &str = "
    SET statement_timeout = '12h';
    SET lock_timeout = '2s';
    SET idle_in_transaction_session_timeout = '60s';
    SET timezone = 'UTC'";

/// A pool that has no connection yet; `name` is how its sessions are called.
pub(super) fn pool(settings: &DatabaseSettings, name: &str) -> Result<Pool, StoreError> {
    sessions(settings, name, CONNECTIONS, SESSION)
}

/// Room for the one connection of the upkeep.
pub(super) fn keeper(settings: &DatabaseSettings, name: &str) -> Result<Pool, StoreError> {
    sessions(settings, name, 1, KEEPER_SESSION)
}

fn sessions(
    settings: &DatabaseSettings,
    name: &str,
    most: usize,
    session: &'static str,
) -> Result<Pool, StoreError> {
    let config = config(settings, name);
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = match settings.ssl_mode {
        SslMode::Disable => Manager::from_config(config, NoTls, recycling),
        _ => Manager::from_config(config, tls::connector(settings)?, recycling),
    };
    let limits = Timeouts {
        wait: Some(CONNECT_LIMIT),
        create: Some(CONNECT_LIMIT),
        recycle: Some(CONNECT_LIMIT),
    };
    Pool::builder(manager)
        .max_size(most)
        .timeouts(limits)
        .runtime(Runtime::Tokio1)
        .post_create(Hook::async_fn(move |client, _| {
            Box::pin(async move {
                client
                    .batch_execute(session)
                    .await
                    .map_err(HookError::Backend)
            })
        }))
        .build()
        .map_err(|error| StoreError::Unavailable {
            address: settings.endpoint.to_string(),
            action: "be set up".to_owned(),
            source: Box::new(error),
        })
}

fn config(settings: &DatabaseSettings, name: &str) -> Config {
    let mut config = Config::new();
    config
        .host(&settings.endpoint.host)
        .port(settings.endpoint.port)
        .dbname(&settings.name)
        .user(&settings.user)
        .application_name(name)
        .connect_timeout(CONNECT_LIMIT)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .tcp_user_timeout(Duration::from_secs(20))
        .ssl_mode(match settings.ssl_mode {
            SslMode::Disable => Negotiation::Disable,
            SslMode::Prefer => Negotiation::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Negotiation::Require,
        });
    if let Some(password) = &settings.password {
        config.password(password.expose());
    }
    config
}
