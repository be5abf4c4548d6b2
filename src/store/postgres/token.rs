//! Which life of the data this is.

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;

use crate::model::source::StoreToken;
use crate::store::check::digest;

use super::fault::Fault;

/// Our own token tells a database from one that was made anew, the system identifier and the
/// database's number tell it from one that a dump was restored to, and the timeline from a standby
/// that took over and may lack the last commits.
const LIFE: &str = "
    SELECT concat_ws('/',
        (SELECT token FROM store_token),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8))";

/// The same where the server does not let its inside be seen: managed ones may not.
const OUTSIDE: &str = "
    SELECT concat_ws('/',
        (SELECT token FROM store_token),
        (SELECT oid FROM pg_database WHERE datname = current_database()))";

/// Characters of a token: enough to tell any two apart.
const LENGTH: usize = 32;

/// Reads it. Not within a transaction: a refused question would end that.
pub(super) async fn read(client: &Object) -> Result<StoreToken, Fault> {
    let life = match ask(client, LIFE).await {
        Err(error)
            if matches!(
                error.code(),
                Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::FEATURE_NOT_SUPPORTED)
            ) =>
        {
            ask(client, OUTSIDE).await?
        }
        answer => answer?,
    };
    let mut token = digest(life.as_bytes());
    token.truncate(LENGTH);
    Ok(StoreToken(token))
}

async fn ask(client: &Object, question: &str) -> Result<String, tokio_postgres::Error> {
    let statement = client.prepare_cached(question).await?;
    Ok(client.query_one(&statement, &[]).await?.get(0))
}
