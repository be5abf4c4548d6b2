//! Fetches what the proof is decided from, in one snapshot.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, Row, Transaction, params};

use crate::model::source::{BatchId, ByteRange, IncarnationId, PassId, SourceId};
use crate::store::proof::file::{Origin, QuarantinedPlace};
use crate::store::proof::{
    Account, Count, End, Facts, Key, Letters, Line, MOST_LETTERS, Piece, Proof, Question,
    SeriesQuestion, Spans, Sums,
};

use super::Fault;

const LEDGER: &str = "
    SELECT source_id, pass, \"start\", \"end\", \"rows\", quarantined, first_ts, last_ts,
           incarnation, sequence, streamer,
           max(0, strftime('%s', 'now') - strftime('%s', ingested_at))
    FROM ledger
    ORDER BY source_id, pass, \"start\", \"end\"";

/// Proves what the store holds. There is no server that could be slow: the limit of the question is
/// not looked at.
pub(super) fn prove(connection: &mut Connection, question: &Question) -> Result<Proof, Fault> {
    let transaction = connection.transaction()?;
    let mut account = Account::new(Facts {
        sources: sources(&transaction)?,
        ends: ends(&transaction)?,
        kept: kept(&transaction)?,
        letters: letters(&transaction)?,
    });
    let mut statement = transaction.prepare_cached(LEDGER)?;
    for line in statement.query_map([], line)? {
        account.push(line?);
    }
    let (sources, dead_letters) = account.finish();
    let spans = Spans::of(&sources, Vec::new());
    let counts = samples(&transaction, &spans)?;
    let files = question
        .files
        .iter()
        .map(|asked| series(&transaction, asked))
        .collect::<Result<_, Fault>>()?;
    Ok(Proof::of(sources, dead_letters, spans, counts, files))
}

fn sources(transaction: &Transaction<'_>) -> Result<HashMap<i64, SourceId>, Fault> {
    let mut statement =
        transaction.prepare_cached("SELECT id, cluster, name, digest FROM source")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, identity(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn identity(row: &Row<'_>, column: usize) -> Result<SourceId, rusqlite::Error> {
    Ok(SourceId {
        cluster: row.get(column)?,
        name: row.get(column + 1)?,
        digest: row.get(column + 2)?,
    })
}

fn key(row: &Row<'_>) -> Result<Key, rusqlite::Error> {
    Ok((row.get(0)?, row.get(1)?))
}

fn count(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    // Negative only where somebody entered it by hand: then it is nothing that could hold.
    let number = row.get::<_, i64>(column)?;
    Ok(u64::try_from(number).unwrap_or(u64::MAX >> 1))
}

fn ends(transaction: &Transaction<'_>) -> Result<BTreeMap<Key, End>, Fault> {
    let mut statement = transaction
        .prepare_cached("SELECT source_id, pass, size, \"rows\", quarantined FROM signed_off")?;
    let rows = statement.query_map([], |row| {
        let end = End {
            size: count(row, 2)?,
            rows: count(row, 3)?,
            quarantined: count(row, 4)?,
        };
        Ok((key(row)?, end))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn kept(transaction: &Transaction<'_>) -> Result<HashMap<Key, u64>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT source_id, pass, count(*) FROM quarantine GROUP BY source_id, pass",
    )?;
    let rows = statement.query_map([], |row| Ok((key(row)?, count(row, 2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn letters(transaction: &Transaction<'_>) -> Result<Letters, Fault> {
    let mut letters = Letters::default();
    letters.count.total =
        transaction.query_row("SELECT count(*) FROM dead_letter", [], |row| count(row, 0))?;
    let mut statement = transaction.prepare_cached(
        "SELECT incarnation, sequence, payload, reason FROM dead_letter
         ORDER BY incarnation, sequence, digest LIMIT ?1",
    )?;
    let mut rows = statement.query([MOST_LETTERS])?;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        let batch = BatchId {
            incarnation: IncarnationId(row.get(0)?),
            sequence: row.get::<_, String>(1)?.parse().unwrap_or(u64::MAX),
        };
        let payload: Vec<u8> = row.get(2)?;
        letters.push(batch, &payload, row.get(3)?);
        seen += 1;
    }
    letters.count.unreadable += letters.count.total.saturating_sub(seen);
    Ok(letters)
}

fn line(row: &Row<'_>) -> Result<Line, rusqlite::Error> {
    let (first, last): (Option<i64>, Option<i64>) = (row.get(6)?, row.get(7)?);
    Ok(Line {
        key: key(row)?,
        piece: Piece {
            range: ByteRange {
                start: count(row, 2)?,
                end: count(row, 3)?,
            },
            batch: BatchId {
                incarnation: IncarnationId(row.get(8)?),
                sequence: count(row, 9)?,
            },
            streamer: row.get(10)?,
        },
        rows: count(row, 4)?,
        quarantined: count(row, 5)?,
        times: first.zip(last),
        age: count(row, 11)?,
    })
}

/// Buckets are found here: SQLite has no function for it, and passes rows without a network.
fn samples(transaction: &Transaction<'_>, spans: &Spans) -> Result<Vec<Count>, Fault> {
    let mut counted: BTreeMap<(Option<String>, usize), u64> = BTreeMap::new();
    let mut statement = transaction.prepare_cached(
        "SELECT cluster, ts, count(*) FROM sample LEFT JOIN series USING (series_id)
         GROUP BY sample.series_id, ts",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bucket = spans.bucket(row.get(1)?);
        *counted.entry((row.get(0)?, bucket)).or_default() += count(row, 2)?;
    }
    let counts = counted.into_iter();
    Ok(counts
        .map(|((cluster, bucket), samples)| Count {
            cluster,
            bucket,
            samples,
        })
        .collect())
}

fn series(
    transaction: &Transaction<'_>,
    asked: &SeriesQuestion,
) -> Result<Vec<(i64, Sums)>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT count(*), count(value), coalesce(sum(value), 0.0), min(value), max(value)
         FROM sample WHERE series_id = ?1 AND ts BETWEEN ?2 AND ?3",
    )?;
    let mut found = Vec::new();
    for id in &asked.ids {
        let sums = statement.query_row(params![id, asked.from, asked.to], |row| {
            let (least, most): (Option<f64>, Option<f64>) = (row.get(3)?, row.get(4)?);
            Ok(Sums {
                rows: count(row, 0)?,
                values: count(row, 1)?,
                sum: row.get(2)?,
                range: least.zip(most),
            })
        })?;
        if sums.rows > 0 {
            found.push((*id, sums));
        }
    }
    found.sort_by_key(|(id, _)| *id);
    Ok(found)
}

/// Every source and pass with this content.
pub(super) fn origins(connection: &mut Connection, digest: &str) -> Result<Vec<Origin>, Fault> {
    let transaction = connection.transaction()?;
    let mut passes = transaction.prepare_cached(
        "SELECT id, pass, cluster, name, digest,
                coalesce((SELECT max(\"end\") FROM ledger
                          WHERE ledger.source_id = id AND ledger.pass = known.pass), 0)
         FROM source JOIN (SELECT source_id, pass FROM ledger
                           UNION SELECT source_id, pass FROM signed_off) AS known
                     ON id = source_id
         WHERE digest = ?1
         ORDER BY cluster, name, pass",
    )?;
    let mut quarantined = transaction.prepare_cached(
        "SELECT \"offset\", length(record) FROM quarantine
         WHERE source_id = ?1 AND pass = ?2
         ORDER BY \"offset\"",
    )?;
    let mut origins = Vec::new();
    let all = passes.query_map([digest], |row| {
        Ok((key(row)?, identity(row, 2)?, count(row, 5)?))
    })?;
    for found in all {
        let ((id, pass), source, reach) = found?;
        let places = quarantined.query_map(params![id, pass], |row| {
            Ok(QuarantinedPlace {
                offset: count(row, 0)?,
                kept: count(row, 1)?,
            })
        })?;
        origins.push(Origin {
            source,
            pass: PassId(pass),
            reach,
            quarantined: places.collect::<Result<_, _>>()?,
        });
    }
    Ok(origins)
}
