//! The tables, and how an older schema becomes the present one.

use rusqlite::{Connection, TransactionBehavior};

use crate::model::source::StoreToken;
use crate::store::StoreError;

use super::Fault;

/// What leads from each version to the next; the version of a schema is how many were applied.
/// Never change one that was released: add another.
const STEPS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
];

/// Brings the schema to the present version, or finds it there.
pub(super) fn migrate(connection: &mut Connection, address: &str) -> Result<StoreToken, Fault> {
    let known = i32::try_from(STEPS.len()).unwrap_or(i32::MAX);
    // Immediate: of two that migrate at once, one waits here.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS store_schema (
            version INTEGER PRIMARY KEY,
            applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    )?;
    let found: i32 = transaction.query_row(
        "SELECT coalesce(max(version), 0) FROM store_schema",
        [],
        |row| row.get(0),
    )?;
    if found > known {
        return Err(StoreError::SchemaTooNew {
            address: address.to_owned(),
            found,
            known,
        }
        .into());
    }
    let applied = usize::try_from(found).unwrap_or(0);
    for (step, version) in STEPS.iter().zip(1_i32..).skip(applied) {
        transaction.execute_batch(step)?;
        transaction.execute("INSERT INTO store_schema (version) VALUES (?1)", [version])?;
    }
    let token = token(&transaction)?;
    transaction.commit()?;
    Ok(token)
}

/// Which life of the data this is.
pub(super) fn token(connection: &Connection) -> Result<StoreToken, Fault> {
    let token = connection.query_row("SELECT token FROM store_token", [], |row| row.get(0))?;
    Ok(StoreToken(token))
}
