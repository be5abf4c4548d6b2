//! One partition of `sample` per day of event time, made when it is needed.

use std::collections::BTreeSet;

use deadpool_postgres::{Object, Transaction};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::config::worker::IngestProfile;

use super::Known;
use super::fault::Fault;
use super::indexes;

/// Key of the advisory lock under which partitions are made.
pub(super) const PARTITION_LOCK: i64 = 0x7465_6c65_6374_6c02;

/// Makes the partitions of these days (since the epoch) that are missing.
pub(super) async fn ensure(
    known: &Known<'_>,
    client: &mut Object,
    days: &BTreeSet<i64>,
) -> Result<(), Fault> {
    let unknown: Vec<i64> = {
        let made = &known.catalogue().days;
        days.iter()
            .filter(|day| !made.contains(day))
            .copied()
            .collect()
    };
    for day in unknown {
        make(client, day, known.store.0.upkeep.ingest).await?;
        known.catalogue().days.insert(day);
    }
    Ok(())
}

/// First a table of its own, then attached: that takes no lock that writers of other days or
/// readers would wait for.
async fn make(client: &mut Object, day: i64, ingest: IngestProfile) -> Result<(), Fault> {
    let Some((name, from, to)) = place(day) else {
        return Err(Fault::Pool(format!("day {day} has no date")));
    };
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK])
        .await?;
    let attached = transaction
        .query_one(
            "SELECT EXISTS (
                 SELECT FROM pg_inherits
                 WHERE inhrelid = to_regclass($1) AND inhparent = to_regclass('sample'))",
            &[&name],
        )
        .await?;
    if !attached.get::<_, bool>(0) {
        // Where all of `sample` is indexed, the copy is, too, and a partition has to be.
        let index = match indexes::whole(&transaction).await? {
            Some(_) => String::new(),
            None => indexes::definition(&name, ingest),
        };
        transaction
            .batch_execute(&format!(
                "CREATE TABLE {name} (LIKE sample INCLUDING ALL);
                 {index};
                 ALTER TABLE sample ATTACH PARTITION {name} {};",
                bounds(from, to)
            ))
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Makes a table a partition again that was one of this day; nothing if there is none.
pub(super) async fn attach(transaction: &Transaction<'_>, day: i64) -> Result<(), Fault> {
    let Some((name, from, to)) = place(day) else {
        return Ok(());
    };
    let is_alone = transaction
        .query_one(
            "SELECT to_regclass($1) IS NOT NULL
                AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1))",
            &[&name],
        )
        .await?;
    if is_alone.get::<_, bool>(0) {
        transaction
            .batch_execute(&format!(
                "ALTER TABLE sample ATTACH PARTITION {name} {}",
                bounds(from, to)
            ))
            .await?;
    }
    Ok(())
}

fn bounds(from: Date, to: Date) -> String {
    format!("FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00')")
}

/// Name of the partition and its first and next day.
fn place(day: i64) -> Option<(String, Date, Date)> {
    let hours = SignedDuration::from_hours(day.checked_mul(24)?);
    let from = Timestamp::from_duration(hours)
        .ok()?
        .to_zoned(TimeZone::UTC)
        .date();
    let name = format!(
        "sample_{:04}_{:02}_{:02}",
        from.year(),
        from.month(),
        from.day()
    );
    Some((name, from, from.tomorrow().ok()?))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_day_has_one_name_and_ends_where_the_next_begins() {
        let (name, from, to) = place(20_287).unwrap();
        assert_eq!(name, "sample_2025_07_18");
        assert_eq!(
            (from.to_string(), to.to_string()),
            ("2025-07-18".to_owned(), "2025-07-19".to_owned())
        );
        assert_eq!(place(-1).unwrap().0, "sample_1969_12_31");
        assert_eq!(place(-719_162).unwrap().0, "sample_0001_01_01");
    }
}
