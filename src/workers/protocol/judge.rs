//! What has to hold, looked at without asking a worker.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use rusqlite::{Connection, params};
use serde_json::Value;

use crate::queue::spool::Spool;
use crate::queue::spool::simulated::SimulatedDisk;

use super::source::File;

/// A message in a spool: what piece of the source it is, and its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub(super) piece: Value,
    payload: Bytes,
}

/// Incarnation and number.
pub(super) type Name = (String, u64);

/// What a spool would hold if its streamer came back now.
pub(super) fn spool(disk: &SimulatedDisk) -> Result<BTreeMap<Name, Held>, String> {
    let mounted = disk.copy().mount();
    let told = |error: crate::queue::spool::SpoolError| format!("a spool is of no use: {error:?}");
    let spool: Spool<Value> = Spool::open(&mounted.root().join("spool"), 1 << 20).map_err(told)?;
    let mut found = BTreeMap::new();
    for (sequence, note) in spool.undone() {
        let payload = spool.load(sequence).map_err(told)?;
        let held = Held {
            piece: note["piece"].clone(),
            payload: payload.unwrap_or_default(),
        };
        found.insert((spool.incarnation().0.clone(), sequence), held);
    }
    Ok(found)
}

/// One life of the store, read beside it.
pub(super) struct Life(Connection);

impl Life {
    pub(super) fn of(path: &Path) -> Self {
        Self(Connection::open(path).unwrap())
    }

    fn number(&self, question: &str) -> i64 {
        self.0.query_row(question, [], |row| row.get(0)).unwrap()
    }

    /// Whether it has a piece.
    pub(super) fn has(&self, piece: &Value) -> bool {
        let Some(chunk) = piece.get("Chunk") else {
            return self.number("SELECT count(*) FROM signed_off") > 0;
        };
        let (start, end) = (
            chunk["start"].as_i64().unwrap(),
            chunk["end"].as_i64().unwrap(),
        );
        let question = "SELECT coalesce(sum(min(\"end\", ?2) - max(\"start\", ?1)), 0)
                        FROM ledger WHERE \"start\" < ?2 AND \"end\" > ?1";
        let covered: i64 = self
            .0
            .query_row(question, params![start, end], |row| row.get(0))
            .unwrap();
        covered == end - start
    }

    /// Whether it has every row once, and its ledger tiles the file.
    pub(super) fn is_complete(&self, file: &File) -> Result<(), String> {
        let mut values = self
            .0
            .prepare("SELECT value FROM sample ORDER BY value")
            .unwrap();
        let values = values.query_map([], |row| row.get::<_, f64>(0)).unwrap();
        let values: Vec<u64> = values.map(|value| value.unwrap() as u64).collect();
        let expected: Vec<u64> = (0..file.rows).collect();
        if values != expected {
            return Err(format!(
                "the store has rows {values:?} instead of {expected:?}"
            ));
        }
        let mut ranges = self
            .0
            .prepare("SELECT \"start\", \"end\", \"rows\", quarantined FROM ledger ORDER BY 1")
            .unwrap();
        let ranges = ranges.query_map([], |row| {
            Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        });
        let ranges: Vec<[i64; 4]> = ranges.unwrap().map(Result::unwrap).collect();
        let mut place = 0;
        for [start, end, ..] in &ranges {
            if *start != place {
                return Err(format!("the ledger does not tile the file: {ranges:?}"));
            }
            place = *end;
        }
        let sum = |column: usize| -> i64 { ranges.iter().map(|range| range[column]).sum() };
        if (place, sum(2), sum(3)) != (file.size as i64, file.rows as i64, 1) {
            return Err(format!("the ledger does not count the file: {ranges:?}"));
        }
        let quarantined = self.number("SELECT count(*) FROM quarantine");
        if quarantined != 1 {
            return Err(format!("{quarantined} rows in quarantine instead of 1"));
        }
        let right = format!(
            "SELECT count(*) FROM signed_off WHERE size = {} AND \"rows\" = {} AND quarantined = 1",
            file.size, file.rows
        );
        match (
            self.number("SELECT count(*) FROM signed_off"),
            self.number(&right),
        ) {
            (1, 1) => Ok(()),
            (all, right) => Err(format!("signed off {all} times, {right} of them rightly")),
        }
    }

    /// The numbers of the dead letters and canaries that it has.
    pub(super) fn strays(&self) -> (BTreeSet<u64>, i64) {
        let mut dead = self.0.prepare("SELECT sequence FROM dead_letter").unwrap();
        let dead = dead.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let dead = dead.map(|sequence| sequence.unwrap().parse().unwrap());
        (dead.collect(), self.number("SELECT count(*) FROM canary"))
    }
}
