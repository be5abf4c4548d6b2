//! The proof that a store holds what was read: decided here from what the ledger, the signed-off
//! records and the samples say; the stores only fetch.
//!
//! For every source and pass: the ranges of the ledger tile the file from byte 0 to its size, and
//! the rows that were read are stored, quarantined or dead-lettered, each once. Samples carry their
//! series and their time, not their source. So they are counted per cluster and stretch of time, over
//! sources that overlap in time together, and held against the ledger's rows.

use std::time::Duration;

use crate::model::source::{ByteRange, PassId, SourceId};

mod account;
mod comparison;
pub mod file;
mod masked;
mod record;
mod spans;
mod tiles;

pub(super) use account::{Account, Facts, Key, Letters, Line};
pub use comparison::Comparison;
pub(super) use spans::{Count, Over, Spans};
pub use tiles::{Gap, Letter, Overlap, Piece, Tiling};

/// Dead letters that are looked into at most; each may be some 256 KiB.
pub(super) const MOST_LETTERS: i64 = 10_000;

/// What a store is asked to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Longest time for it.
    pub limit: Duration,
    /// Series to sum up besides, to compare with files.
    pub files: Vec<SeriesQuestion>,
}

/// Some series in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesQuestion {
    /// Their ids.
    pub ids: Vec<i64>,
    /// First event time, microseconds since the epoch.
    pub from: i64,
    /// Last event time, itself included.
    pub to: i64,
}

/// What the samples of one series come to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// Samples, blank ones included.
    pub rows: u64,
    /// Samples that have a value.
    pub values: u64,
    /// Sum of the values; depends in its last digits on their order.
    pub sum: f64,
    /// Smallest and largest value.
    pub range: Option<(f64, f64)>,
}

/// Everything that one look at a store found.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// By cluster, name, digest and pass.
    pub sources: Vec<SourceProof>,
    /// Samples in the store.
    pub samples: u64,
    /// Samples that are not kept any more; for the ledger they are there.
    pub expired: Expired,
    /// Samples that no ledger row accounts for, by cluster.
    pub strays: Vec<Stray>,
    /// Entries that could not be stored.
    pub dead_letters: DeadLetters,
    /// For each [`Question::files`], the series that have samples, by id.
    pub files: Vec<Vec<(i64, Sums)>>,
}

impl Proof {
    /// Holds what was counted against what the ledger says.
    pub(super) fn of(
        mut sources: Vec<SourceProof>,
        dead_letters: DeadLetters,
        spans: Spans,
        counts: Vec<Count>,
        files: Vec<Vec<(i64, Sums)>>,
    ) -> Self {
        let samples = counts.iter().map(|count| count.samples).sum();
        let expired = spans.expired();
        let strays = spans.judge(counts, &mut sources);
        Self {
            sources,
            samples,
            expired,
            strays,
            dead_letters,
            files,
        }
    }
}

/// How many samples are not kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// All of them.
    pub rows: u64,
    /// Those that were never stored, because their day was over when they came.
    pub on_arrival: u64,
}

/// How many entries could not be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeadLetters {
    /// All of them.
    pub total: u64,
    /// Those that do not tell of which source they are: damaged, or too many to look into.
    pub unreadable: u64,
}

/// Samples where no ledger row accounts for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Cluster of their series; `None` if the series are unknown.
    pub cluster: Option<String>,
    /// How many.
    pub samples: u64,
}

/// What was signed off about a source and pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Size in bytes.
    pub size: u64,
    /// Rows that can be stored.
    pub rows: u64,
    /// Rows that cannot.
    pub quarantined: u64,
}

/// What is known about one source and pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceProof {
    /// The source.
    pub source: SourceId,
    /// Which reading.
    pub pass: PassId,
    /// What was signed off; `None` while the source is being read.
    pub end: Option<End>,
    /// Rows stored, by the ledger.
    pub stored: u64,
    /// Rows quarantined, by the ledger.
    pub quarantined: u64,
    /// Rows in entries that could not be stored, and of which the ledger has nothing.
    pub dead_lettered: u64,
    /// How its ranges lie.
    pub tiling: Tiling,
    /// First and last event time in the ledger, microseconds since the epoch.
    pub times: Option<(i64, i64)>,
    /// Seconds since a batch of it was stored last; `None` if none was.
    pub silent_for: Option<u64>,
    /// What does not hold.
    pub flaws: Vec<Flaw>,
}

/// Something that does not hold for a source and pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// Bytes of a source that was signed off are in no range: the first of them.
    Gap(Gap),
    /// The end of a source is not known, and some of it could not be stored: the first such entry.
    DeadLetter(Letter),
    /// Bytes are in two ranges: the first of them.
    Overlap(Overlap),
    /// A range reaches beyond the signed-off size: the first such.
    Beyond(Piece),
    /// Every byte is covered, and the rows are not those that were signed off.
    Rows {
        /// By the ledger.
        ledger: u64,
        /// By the signed-off record.
        signed_off: u64,
    },
    /// Every byte is covered, and the quarantined rows are not those that were signed off.
    Quarantined {
        /// By the ledger.
        ledger: u64,
        /// By the signed-off record.
        signed_off: u64,
    },
    /// The quarantined rows of the ledger are not those that were kept.
    Kept {
        /// By the ledger.
        ledger: u64,
        /// Rows in the table `quarantine`.
        kept: u64,
    },
    /// The samples are not those of the ledger.
    Samples {
        /// Rows by the ledger, of this source and those with which it shares its times.
        ledger: u64,
        /// Samples that are there.
        found: u64,
        /// First and last event time, microseconds since the epoch; `None` if the ledger tells none.
        times: Option<(i64, i64)>,
        /// How many other sources and passes the numbers are about, too.
        others: u64,
    },
}

/// How a source and pass stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Read to its end, and everything holds.
    Complete,
    /// Not signed off yet; what is there holds.
    Growing,
    /// Something does not hold.
    Incomplete,
}

impl SourceProof {
    /// How it stands.
    pub fn state(&self) -> State {
        match (self.flaws.is_empty(), self.end) {
            (false, _) => State::Incomplete,
            (true, Some(_)) => State::Complete,
            (true, None) => State::Growing,
        }
    }

    /// Rows that were read, as far as it is known.
    pub fn read(&self) -> Option<u64> {
        self.end.map(|end| end.rows.saturating_add(end.quarantined))
    }

    /// Rows that were read and are nowhere; negative if there are more than were read.
    pub fn missing(&self) -> Option<i64> {
        let found = self.stored.saturating_add(self.quarantined);
        let found = found.saturating_add(self.dead_lettered);
        self.read().map(|read| signed(read) - signed(found))
    }

    /// The bytes that count as all of it: up to its size, or to where the ledger has come.
    pub fn extent(&self) -> ByteRange {
        let end = self.end.map_or(self.tiling.reach, |end| end.size);
        ByteRange { start: 0, end }
    }
}

impl Proof {
    /// Whether nothing contradicts: sources may still be growing.
    pub fn holds(&self) -> bool {
        self.strays.is_empty() && self.count(State::Incomplete) == 0
    }

    /// Whether there are sources and every one is complete.
    pub fn is_complete(&self) -> bool {
        self.holds()
            && self.count(State::Complete) == self.sources.len()
            && !self.sources.is_empty()
    }

    /// How many sources and passes stand like this.
    pub fn count(&self, state: State) -> usize {
        let like = |source: &&SourceProof| source.state() == state;
        self.sources.iter().filter(like).count()
    }
}

/// Counts of rows are far below the largest number.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
