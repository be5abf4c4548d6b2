//! A store of each kind, empty, and a look at its tables past the store.

use std::sync::Arc;

use telectl::config::worker::{DatabaseSettings, IngestProfile, UpkeepSettings};
use telectl::store::Store;
use telectl::store::postgres::PostgresStore;
use telectl::store::sqlite::SqliteStore;
use tempfile::TempDir;

use crate::servers::postgres::PostgresServer;

/// What the conformance suite needs of a store.
pub(crate) trait StoreFixture: Sized {
    /// The store.
    type Store: Store;

    /// How many steps lead to the present schema.
    const SCHEMA_STEPS: u64;

    /// A prepared store without data; `None` if its server is not installed.
    async fn prepared() -> Option<Self> {
        let fixture = Self::unprepared().await?;
        fixture.open().migrate().await.expect("the schema is made");
        Some(fixture)
    }

    /// A store without tables; `None` if its server is not installed.
    async fn unprepared() -> Option<Self>;

    /// The store as another process opens it.
    fn open(&self) -> Self::Store;

    /// Runs a statement; answers its first field.
    fn sql(&self, statement: &str) -> String;

    /// Waits until every transaction that has begun by now has ended: what is added is read up to the
    /// lowest one under way, and other tests have theirs on the same server.
    async fn settle(&self) {}

    /// Makes a canary so many hours older.
    fn age_canary(&self, id: &str, hours: u32);

    /// Rows of a table.
    fn count(&self, table: &str) -> u64 {
        let count = self.sql(&format!("SELECT count(*) FROM {table}"));
        count.parse().expect("a number")
    }
}

/// A database of the shared PostgreSQL.
pub(crate) struct InPostgres {
    /// The server.
    pub(crate) server: Arc<PostgresServer>,
    /// The database.
    pub(crate) settings: DatabaseSettings,
}

impl InPostgres {
    /// A store without tables on a server of another major version than the installed one.
    pub(crate) async fn of_major(major: u32) -> Option<Self> {
        let server = PostgresServer::shared_of(Some(major)).await?;
        let settings = server.database();
        Some(Self { server, settings })
    }

    /// The store, with its partitions kept in some way.
    pub(crate) fn kept(&self, upkeep: UpkeepSettings) -> PostgresStore {
        PostgresStore::of_collector(&self.settings, upkeep).expect("the settings are complete")
    }

    /// A session of somebody else that runs statements meanwhile; it ends with the answer.
    pub(crate) fn in_background(&self, statements: &str) -> Session {
        Session(self.server.session(&self.settings.name, statements))
    }
}

/// A session that ends with this.
pub(crate) struct Session(std::process::Child);

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The same, where days stay open: there is no index by series.
pub(crate) struct InOpenDays(InPostgres);

/// A store on a server of another major version, with its days indexed at once or left open.
pub(crate) struct InMajor<const MAJOR: u32, const OPEN: bool>(InPostgres);

impl<const MAJOR: u32, const OPEN: bool> StoreFixture for InMajor<MAJOR, OPEN> {
    type Store = PostgresStore;

    const SCHEMA_STEPS: u64 = InPostgres::SCHEMA_STEPS;

    async fn unprepared() -> Option<Self> {
        InPostgres::of_major(MAJOR).await.map(Self)
    }

    fn open(&self) -> PostgresStore {
        let ingest = if OPEN {
            IngestProfile::Max
        } else {
            IngestProfile::Default
        };
        self.0.kept(UpkeepSettings {
            ingest,
            ..UpkeepSettings::default()
        })
    }

    fn sql(&self, statement: &str) -> String {
        self.0.sql(statement)
    }

    async fn settle(&self) {
        self.0.settle().await;
    }

    fn age_canary(&self, id: &str, hours: u32) {
        self.0.age_canary(id, hours);
    }
}

impl StoreFixture for InOpenDays {
    type Store = PostgresStore;

    const SCHEMA_STEPS: u64 = InPostgres::SCHEMA_STEPS;

    async fn unprepared() -> Option<Self> {
        InPostgres::unprepared().await.map(Self)
    }

    fn open(&self) -> PostgresStore {
        self.0.kept(UpkeepSettings {
            ingest: IngestProfile::Max,
            ..UpkeepSettings::default()
        })
    }

    fn sql(&self, statement: &str) -> String {
        self.0.sql(statement)
    }

    async fn settle(&self) {
        self.0.settle().await;
    }

    fn age_canary(&self, id: &str, hours: u32) {
        self.0.age_canary(id, hours);
    }
}

impl StoreFixture for InPostgres {
    type Store = PostgresStore;

    const SCHEMA_STEPS: u64 = 5;

    async fn unprepared() -> Option<Self> {
        let server = PostgresServer::shared().await?;
        let settings = server.database();
        Some(Self { server, settings })
    }

    fn open(&self) -> PostgresStore {
        PostgresStore::new(&self.settings).expect("the settings are complete")
    }

    fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.settings.name, statement)
    }

    async fn settle(&self) {
        let number = |question: &str| -> i64 {
            let number = self.sql(&format!("SELECT {question}::text::bigint"));
            number.parse().expect("a number")
        };
        let begun = number("pg_current_xact_id()");
        for _ in 0..200 {
            if number("pg_snapshot_xmin(pg_current_snapshot())") > begun {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("a transaction does not end");
    }

    fn age_canary(&self, id: &str, hours: u32) {
        self.sql(&format!(
            "UPDATE canary SET stored_at = stored_at - interval '{hours} hours' WHERE id = '{id}'"
        ));
    }
}

/// A file of SQLite.
pub(crate) struct InSqlite(TempDir);

impl InSqlite {
    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("store.db")
    }
}

impl StoreFixture for InSqlite {
    type Store = SqliteStore;

    const SCHEMA_STEPS: u64 = 3;

    async fn unprepared() -> Option<Self> {
        Some(Self(TempDir::new().expect("a temporary folder")))
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path()).expect("the file opens")
    }

    fn sql(&self, statement: &str) -> String {
        let connection = rusqlite::Connection::open(self.path()).expect("the file opens");
        let mut statement = connection.prepare(statement).expect("a valid statement");
        if statement.column_count() == 0 {
            statement.execute([]).expect("the statement runs");
            return String::new();
        }
        statement
            .query_row([], |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            })
            .expect("the statement answers")
    }

    fn age_canary(&self, id: &str, hours: u32) {
        let microseconds = u64::from(hours) * 3_600_000_000;
        self.sql(&format!(
            "UPDATE canary SET stored_at = stored_at - {microseconds} WHERE id = '{id}'"
        ));
    }
}
