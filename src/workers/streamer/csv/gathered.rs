//! What a chunk has so far.

use std::collections::BTreeSet;

use crate::model::batch::{Quarantined, Rows};
use crate::model::limits;
use crate::model::time::EventTime;

use super::row::Row;

/// Rows, and records that are none.
#[derive(Default)]
pub(in super::super) struct Gathered {
    pub(in super::super) rows: Rows,
    pub(in super::super) quarantined: Vec<Quarantined>,
    days: Days,
}

/// The days of the rows.
#[derive(Default)]
struct Days {
    last: Option<i64>,
    all: BTreeSet<i64>,
}

impl Gathered {
    pub(in super::super) fn add(&mut self, row: Row) {
        self.days.add(row.time);
        self.rows.series.push(row.series);
        self.rows.time.push(row.time);
        self.rows.value.push(row.value);
        self.rows.offset.push(row.offset);
    }

    /// How many rows and quarantined records.
    pub(in super::super) fn count(&self) -> usize {
        self.rows.len() + self.quarantined.len()
    }

    /// Whether its rows are of as many days as a store takes at once.
    pub(in super::super) fn has_enough_days(&self) -> bool {
        self.days.all.len() >= limits::DAYS
    }
}

impl Days {
    fn add(&mut self, time: EventTime) {
        let day = Some(limits::day(time));
        // Most rows are of the same day as the one before.
        if self.last != day {
            self.last = day;
            self.all.extend(day);
        }
    }
}
