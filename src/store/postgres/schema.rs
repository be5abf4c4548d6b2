//! The tables, and how an older schema becomes the present one.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::error::SqlState;

use crate::model::source::StoreToken;
use crate::store::StoreError;

use super::fault::Fault;
use super::token;

/// Key of the advisory lock under which the schema changes. Arbitrary, the same for ever.
const SCHEMA_LOCK: i64 = 0x7465_6c65_6374_6c01;

/// What leads from each version to the next; the version of a schema is how many were applied.
/// Never change one that was released: add another.
pub(super) const STEPS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
];

/// Brings the schema to the present version, or finds it there.
pub(super) async fn migrate(client: &mut Object, address: &str) -> Result<StoreToken, Fault> {
    let known = i32::try_from(STEPS.len()).unwrap_or(i32::MAX);
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK])
        .await?;
    let found = version(&transaction).await?;
    if found > known {
        return Err(StoreError::SchemaTooNew {
            address: address.to_owned(),
            found,
            known,
        }
        .into());
    }
    if found < known {
        extension(&transaction, address).await?;
        for (step, version) in STEPS
            .iter()
            .zip(1..)
            .skip(usize::try_from(found).unwrap_or(0))
        {
            apply(&transaction, step, version).await?;
        }
    }
    transaction.commit().await?;
    token::read(client).await
}

async fn version(transaction: &Transaction<'_>) -> Result<i32, Fault> {
    transaction
        .batch_execute("SET LOCAL client_min_messages = warning")
        .await?;
    let table = transaction
        .query_one("SELECT to_regclass('store_schema') IS NOT NULL", &[])
        .await?;
    if !table.get::<_, bool>(0) {
        transaction
            .batch_execute(
                "CREATE TABLE store_schema (
                    version integer PRIMARY KEY,
                    applied_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
    }
    let row = transaction
        .query_one("SELECT coalesce(max(version), 0) FROM store_schema", &[])
        .await?;
    Ok(row.get(0))
}

async fn apply(transaction: &Transaction<'_>, step: &str, version: i32) -> Result<(), Fault> {
    transaction.batch_execute(step).await?;
    transaction
        .execute(
            "INSERT INTO store_schema (version) VALUES ($1)",
            &[&version],
        )
        .await?;
    Ok(())
}

/// The exclusion constraint of the ledger needs `btree_gist`, which comes with PostgreSQL.
async fn extension(transaction: &Transaction<'_>, address: &str) -> Result<(), Fault> {
    let created = transaction
        .batch_execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        .await;
    let Err(error) = created else { return Ok(()) };
    let remedy = match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            "let the owner of the database run `CREATE EXTENSION btree_gist` in it once"
        }
        Some(&SqlState::UNDEFINED_FILE | &SqlState::FEATURE_NOT_SUPPORTED) => {
            "install PostgreSQL's contrib package on the server, then run \
             `CREATE EXTENSION btree_gist` in the database"
        }
        _ => return Err(error.into()),
    };
    Err(StoreError::Unprepared {
        address: address.to_owned(),
        missing: "the extension `btree_gist`",
        remedy,
        source: Box::new(error),
    }
    .into())
}
