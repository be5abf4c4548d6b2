//! Which life of the data this is.

use deadpool_postgres::GenericClient;

use crate::model::source::StoreToken;
use crate::store::check::digest;

use super::fault::Fault;

/// Our own token tells a database from one that was made anew, the system identifier and the
/// database's number tell it from one that a dump was restored to, and the timeline from a standby
/// that took over and may lack the last commits.
const LIFE: &str = "
    SELECT concat_ws('/',
        (SELECT token FROM store_token),
        (SELECT system_identifier FROM pg_control_system()),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8))";

/// Characters of a token: enough to tell any two apart.
const LENGTH: usize = 32;

/// Reads it.
pub(super) async fn read(client: &impl GenericClient) -> Result<StoreToken, Fault> {
    let statement = client.prepare_cached(LIFE).await?;
    let life: String = client.query_one(&statement, &[]).await?.get(0);
    let mut token = digest(life.as_bytes());
    token.truncate(LENGTH);
    Ok(StoreToken(token))
}
