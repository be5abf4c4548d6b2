//! The versions of PostgreSQL beside the installed one.

use telectl::config::worker::IngestProfile;
use telectl::store::postgres::PostgresStore;
use telectl::store::{Store as _, StoreError};

use crate::conformance::store as suite;
use crate::store::{with_tables, without_tables};
use crate::store_fixture::{InMajor, InPostgres, StoreFixture as _};
use crate::store_ingest::{changes_its_profile, is_indexed_once_closed};
use crate::store_retention::{a_day_is_dropped_and_the_proof_holds, a_drop_waits_for_a_reader};

const OLDEST: u32 = 13;
const NEWEST: u32 = 18;

/// All that a store has to do; of the versions between the oldest and the newest, what their planners
/// and their snapshots are asked most for, since every claim needs a database of its own.
async fn claims_hold<const MAJOR: u32>() {
    without_tables::every::<InMajor<MAJOR, false>>().await;
    if MAJOR == OLDEST || MAJOR == NEWEST {
        with_tables::every::<InMajor<MAJOR, false>>().await;
        return;
    }
    let empty = async || {
        let fixture = InMajor::<MAJOR, true>::prepared().await;
        fixture.expect("it runs")
    };
    suite::pages_are_complete_and_without_duplicates(&empty().await).await;
    suite::the_latest_sample_of_every_series_is_found(&empty().await).await;
    suite::v17_every_pass_and_cluster_is_proven(&empty().await).await;
    suite::w10_partial_overlaps_add_only_what_is_missing(&empty().await).await;
    suite::w13_buckets_hold_what_their_samples_add_up_to(&empty().await).await;
    suite::w13_what_is_added_is_read_once(&empty().await).await;
    suite::w17_concurrent_stores_store_every_row_once(&empty().await).await;
}

/// What a store has to do, and what is done to its partitions.
async fn everything_holds<const MAJOR: u32>() {
    let Some(fixture) = InPostgres::of_major(MAJOR).await else {
        return;
    };
    let version = fixture.server.sql("postgres", "SHOW server_version");
    assert!(version.starts_with(&format!("{MAJOR}.")), "{version}");
    claims_hold::<MAJOR>().await;
    is_indexed_once_closed(&fixture).await;
    let another = async || InPostgres::of_major(MAJOR).await.expect("it runs");
    changes_its_profile(&another().await).await;
    a_drop_waits_for_a_reader(&another().await).await;
    for ingest in [IngestProfile::Default, IngestProfile::Max] {
        a_day_is_dropped_and_the_proof_holds(&another().await, ingest).await;
    }
}

/// One test per major version.
macro_rules! versions {
    ($($test:ident $major:literal),*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            everything_holds::<$major>().await;
        })*
    };
}

versions!(
    postgresql_13_is_a_store 13,
    postgresql_14_is_a_store 14,
    postgresql_16_is_a_store 16,
    postgresql_17_is_a_store 17,
    postgresql_18_is_a_store 18
);

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_with_the_next_step() {
    let Some(fixture) = InPostgres::of_major(12).await else {
        return;
    };
    let store = PostgresStore::new(&fixture.settings).expect("the settings are complete");
    let error = store.migrate().await.expect_err("it is too old");
    assert!(!error.is_passing(), "{error:?}");
    assert!(
        matches!(error, StoreError::ServerTooOld { oldest: 13, .. }),
        "{error:?}"
    );
    let said = error.to_string();
    for part in ["PostgreSQL 12.22", "13 or newer", "pg_upgrade"] {
        assert!(said.contains(part), "{said}");
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(fixture.server.sql(&fixture.settings.name, tables), "0");
}
