//! Which life of the data this is.

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;

use crate::model::source::StoreToken;
use crate::store::check::digest;

use super::fault::Fault;

/// Our own token tells a database from one that was made anew; the transaction that wrote its row,
/// from one into which a dump was restored.
const ROW: &str = "(SELECT concat_ws('.', token, xmin) FROM store_token)";
/// Tells a database from others of its server.
const DATABASE: &str = "(SELECT oid FROM pg_database WHERE datname = current_database())";
/// Tells a server from every other one.
const SERVER: &str = "(SELECT system_identifier FROM pg_control_system())";
/// Tells a server from a standby that took over and may lack the last commits.
const TIMELINE: &str = "left(pg_walfile_name(pg_current_wal_lsn()), 8)";

/// Characters of a token: enough to tell any two apart.
const LENGTH: usize = 32;

/// Reads it. Not within a transaction: a refused question would end that.
pub(super) async fn read(client: &Object) -> Result<StoreToken, Fault> {
    let life = match ask(client, &[ROW, DATABASE, SERVER, TIMELINE]).await {
        Err(error) if is_closed(&error) => piece_by_piece(client).await?,
        answer => answer?,
    };
    let mut token = digest(life.as_bytes());
    token.truncate(LENGTH);
    Ok(StoreToken(token))
}

/// As much as a server tells that does not let all of its inside be seen: managed ones may not.
async fn piece_by_piece(client: &Object) -> Result<String, tokio_postgres::Error> {
    let mut life = ask(client, &[ROW, DATABASE]).await?;
    for inside in [SERVER, TIMELINE] {
        match ask(client, &[inside]).await {
            Err(error) if is_closed(&error) => {}
            answer => life = format!("{life}/{}", answer?),
        }
    }
    Ok(life)
}

async fn ask(client: &Object, questions: &[&str]) -> Result<String, tokio_postgres::Error> {
    let statement = format!("SELECT concat_ws('/', {})", questions.join(", "));
    let statement = client.prepare_cached(&statement).await?;
    Ok(client.query_one(&statement, &[]).await?.get(0))
}

fn is_closed(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::FEATURE_NOT_SUPPORTED)
    )
}
