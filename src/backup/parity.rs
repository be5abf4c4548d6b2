//! What a dump holds, counted so that two databases can be compared: rows and a digest of every table,
//! samples by cluster and day, and every source as the ledger has it.
//!
//! A digest is the sum of the hashes of a table's rows, each in its text form (`hashtextextended`): it
//! does not depend on the order of rows, which a restore may change, and a row that is missing, there
//! twice or another one changes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BackupError;
use super::place::Place;
use super::psql::Psql;

/// Tables but partitions, and but what extensions brought.
pub(super) const TABLES: &str = "
    SELECT relname FROM pg_catalog.pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend
                      WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                        AND deptype = 'e')
    ORDER BY relname COLLATE \"C\";";

const SOURCES: &str = "
    SELECT json_build_object(
        'cluster', source.cluster, 'name', source.name, 'digest', source.digest, 'pass', pass,
        'ranges', ranges, 'bytes', coalesce(bytes, 0), 'rows', rows, 'quarantined', quarantined,
        'size', size)
    FROM (SELECT source_id, pass, count(*) AS ranges, sum(rows) AS rows,
                 sum(upper(range) - lower(range)) AS bytes, sum(quarantined) AS quarantined
          FROM ledger GROUP BY source_id, pass) AS held
    JOIN source ON source.id = source_id
    LEFT JOIN (SELECT source_id, pass, size FROM signed_off) AS ended USING (source_id, pass)
    ORDER BY source.cluster COLLATE \"C\", source.name COLLATE \"C\", source.digest COLLATE \"C\",
             pass COLLATE \"C\";";

// First by series, so that samples are joined with nothing.
const DAYS: &str = "
    SELECT json_build_object(
        'cluster', coalesce(cluster, ''), 'day', day, 'samples', sum(samples), 'values', sum(\"values\"),
        'digest', sum(digest)::text)
    FROM (SELECT series_id, (ts AT TIME ZONE 'UTC')::date AS day, count(*) AS samples,
                 count(value) AS \"values\", sum(hashtextextended(sample::text, 0)) AS digest
          FROM sample GROUP BY 1, 2) AS counted
         LEFT JOIN series USING (series_id)
    GROUP BY cluster, day ORDER BY cluster COLLATE \"C\", day;";

/// A table: how many rows, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableParity {
    /// Its name.
    pub table: String,
    /// Rows.
    pub rows: u64,
    /// Sum of the hashes of its rows.
    pub digest: String,
}

/// A reading of a source, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceParity {
    /// Cluster of the source.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// SHA-256 of its content.
    pub digest: String,
    /// Which reading.
    pub pass: String,
    /// Ranges of the ledger.
    pub ranges: u64,
    /// Bytes that they cover.
    pub bytes: u64,
    /// Rows that are stored.
    pub rows: u64,
    /// Rows that are quarantined.
    pub quarantined: u64,
    /// Size in bytes, once it was signed off.
    pub size: Option<u64>,
}

/// The samples of a cluster and a day (UTC) of event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayParity {
    /// Cluster of their series; empty for samples without one.
    pub cluster: String,
    /// The day.
    pub day: String,
    /// Samples.
    pub samples: u64,
    /// Those that are not blank.
    pub values: u64,
    /// Sum of the hashes of their rows.
    pub digest: String,
}

/// What a database holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parity {
    /// By name.
    pub tables: Vec<TableParity>,
    /// By cluster, name, digest and pass.
    pub sources: Vec<SourceParity>,
    /// By cluster and day.
    pub days: Vec<DayParity>,
}

impl Parity {
    /// Rows of a table.
    pub fn rows(&self, table: &str) -> u64 {
        let found = self.tables.iter().find(|one| one.table == table);
        found.map_or(0, |one| one.rows)
    }

    /// How a database differs that should hold this; in words, the most telling first.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut said = Vec::new();
        compare(
            &mut said,
            &self.tables,
            &found.tables,
            |one| format!("table {}", one.table),
            |one| format!("{} rows, digest {}", one.rows, one.digest),
        );
        let source = |one: &SourceParity| {
            let digest = one.digest.get(..12).unwrap_or(&one.digest);
            format!(
                "source {}/{} ({digest}), pass {}",
                one.cluster, one.name, one.pass
            )
        };
        compare(&mut said, &self.sources, &found.sources, source, |one| {
            let size = one.size.map_or_else(
                || "not signed off".to_owned(),
                |size| format!("size {size}"),
            );
            format!(
                "{} rows and {} quarantined in {} ranges of {} bytes, {size}",
                one.rows, one.quarantined, one.ranges, one.bytes
            )
        });
        let day = |one: &DayParity| format!("samples of {} on {}", one.cluster, one.day);
        compare(&mut said, &self.days, &found.days, day, |one| {
            format!(
                "{} samples, {} with a value, digest {}",
                one.samples, one.values, one.digest
            )
        });
        said
    }
}

/// Says of each thing that differs what was dumped and what is there.
fn compare<T>(
    said: &mut Vec<String>,
    dumped: &[T],
    found: &[T],
    key: impl Fn(&T) -> String,
    words: impl Fn(&T) -> String,
) {
    let of = |all: &[T]| -> BTreeMap<String, String> {
        all.iter().map(|one| (key(one), words(one))).collect()
    };
    let (dumped, found) = (of(dumped), of(found));
    let names: std::collections::BTreeSet<&String> = dumped.keys().chain(found.keys()).collect();
    for name in names {
        let nothing = || "nothing".to_owned();
        let was = dumped.get(name).cloned().unwrap_or_else(nothing);
        let is = found.get(name).cloned().unwrap_or_else(nothing);
        if was != is {
            said.push(format!("{name}: dumped {was}; restored {is}"));
        }
    }
}

/// Counts what a session sees, within its transaction.
pub(super) async fn count(session: &mut Psql<'_>, place: &Place) -> Result<Parity, BackupError> {
    const DOING: &str = "count what the database holds";
    let mut parity = Parity {
        sources: parsed(place, session.ask(DOING, SOURCES).await?)?,
        days: parsed(place, session.ask(DOING, DAYS).await?)?,
        tables: Vec::new(),
    };
    for table in session.ask(DOING, TABLES).await? {
        let counted = if table == "sample" {
            whole(&parity.days)
        } else {
            let answer = session.ask(DOING, &of_table(&table)).await?;
            parsed(place, answer)?.pop()
        };
        parity.tables.extend(counted);
    }
    Ok(parity)
}

/// The table of samples is what its days are together.
fn whole(days: &[DayParity]) -> Option<TableParity> {
    let digests = days.iter().map(|day| day.digest.parse::<i128>().ok());
    let digest = digests.sum::<Option<i128>>()?;
    Some(TableParity {
        table: "sample".to_owned(),
        rows: days.iter().map(|day| day.samples).sum(),
        digest: digest.to_string(),
    })
}

fn of_table(table: &str) -> String {
    let (literal, identifier) = (table.replace('\'', "''"), table.replace('"', "\"\""));
    format!(
        "SELECT json_build_object(
             'table', '{literal}', 'rows', count(*),
             'digest', coalesce(sum(hashtextextended(telectl_row::text, 0)), 0)::text)
         FROM public.\"{identifier}\" AS telectl_row;"
    )
}

fn parsed<T: for<'a> Deserialize<'a>>(
    place: &Place,
    lines: Vec<String>,
) -> Result<Vec<T>, BackupError> {
    let one = |line: String| {
        serde_json::from_str(&line).map_err(|_| BackupError::Answer {
            place: place.name(),
            answer: line,
        })
    };
    lines.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Parity {
        let table = |table: &str, rows| TableParity {
            table: table.to_owned(),
            rows,
            digest: "-5".to_owned(),
        };
        Parity {
            tables: vec![table("ledger", 2), table("sample", 10)],
            sources: vec![SourceParity {
                cluster: "edge".to_owned(),
                name: "f.csv".to_owned(),
                digest: "0123456789abcdef".to_owned(),
                pass: "once".to_owned(),
                ranges: 2,
                bytes: 100,
                rows: 10,
                quarantined: 0,
                size: Some(100),
            }],
            days: vec![DayParity {
                cluster: "edge".to_owned(),
                day: "2025-07-18".to_owned(),
                samples: 10,
                values: 9,
                digest: "-5".to_owned(),
            }],
        }
    }

    #[test]
    fn w23_what_is_the_same_does_not_differ() {
        assert_eq!(held().differences(&held()), Vec::<String>::new());
        assert_eq!(held().rows("sample"), 10);
    }

    #[test]
    fn w23_every_difference_is_said_with_both_sides() {
        let mut found = held();
        found.tables[0].digest = "7".to_owned();
        found.tables.remove(1);
        found.sources[0].size = None;
        found.days[0].values = 8;
        insta::assert_snapshot!(held().differences(&found).join("\n"), @r"
        table ledger: dumped 2 rows, digest -5; restored 2 rows, digest 7
        table sample: dumped 10 rows, digest -5; restored nothing
        source edge/f.csv (0123456789ab), pass once: dumped 10 rows and 0 quarantined in 2 ranges of 100 bytes, size 100; restored 10 rows and 0 quarantined in 2 ranges of 100 bytes, not signed off
        samples of edge on 2025-07-18: dumped 10 samples, 9 with a value, digest -5; restored 10 samples, 8 with a value, digest -5
        ");
    }

    #[test]
    fn the_days_together_are_the_table() {
        let mut days = held().days;
        days.push(DayParity {
            digest: "9223372036854775808".to_owned(),
            ..days[0].clone()
        });
        let whole = whole(&days).unwrap();
        assert_eq!(
            (whole.rows, whole.digest.as_str()),
            (20, "9223372036854775803")
        );
    }
}
