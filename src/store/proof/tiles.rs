//! Whether ranges tile a source: one pass over them in order, with the last one in mind.

use crate::model::source::{BatchId, ByteRange};

/// A range of the ledger, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which bytes.
    pub range: ByteRange,
    /// The streamer that read it.
    pub streamer: String,
    /// The batch that brought it.
    pub batch: BatchId,
}

/// An entry that could not be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Which bytes it would have covered.
    pub range: ByteRange,
    /// Rows in it, those included that it would have quarantined.
    pub rows: u64,
    /// Its name.
    pub batch: BatchId,
    /// Why it could not be stored.
    pub reason: String,
}

/// Bytes that no range covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which bytes.
    pub range: ByteRange,
    /// What ends where it begins; `None` at the start of the source.
    pub before: Option<Piece>,
    /// What begins where it ends; `None` at the end of the source.
    pub after: Option<Piece>,
    /// The first entry within it that could not be stored.
    pub letter: Option<Letter>,
}

/// Bytes that two ranges cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Which bytes.
    pub range: ByteRange,
    /// The range that starts first.
    pub first: Piece,
    /// The other one.
    pub second: Piece,
}

/// How the ranges of a source and pass lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tiling {
    /// Bytes that are covered, those in several ranges counted once.
    pub covered: u64,
    /// One past the last byte that is covered.
    pub reach: u64,
    /// Stretches that nothing covers; only those between ranges as long as the size is unknown.
    pub gaps: u64,
    /// Bytes in them.
    pub missing: u64,
    /// The first of them.
    pub gap: Option<Gap>,
    /// Ranges that overlap one before.
    pub overlaps: u64,
    /// The first overlap.
    pub overlap: Option<Overlap>,
    /// The first range that reaches beyond the size.
    pub beyond: Option<Piece>,
    /// Rows of entries that could not be stored and lie where nothing covers.
    pub dead_lettered: u64,
    /// The first of them.
    pub letter: Option<Letter>,
}

impl Tiling {
    /// Whether every byte up to the size is covered once, and none beyond.
    pub fn is_whole(&self) -> bool {
        self.gaps == 0 && self.overlaps == 0 && self.beyond.is_none()
    }
}

/// Takes ranges by their first byte, then their last.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    size: Option<u64>,
    /// By first byte, none within another.
    letters: Vec<Letter>,
    /// The range that reaches furthest.
    furthest: Option<Piece>,
    found: Tiling,
}

impl Tiles {
    /// Of a source of this size, if it is known, of which these entries could not be stored.
    pub(super) fn new(size: Option<u64>, letters: Vec<Letter>) -> Self {
        Self {
            size,
            letters: without_repetitions(letters),
            ..Self::default()
        }
    }

    /// The next range.
    pub(super) fn push(&mut self, piece: Piece) {
        let ByteRange { start, end } = piece.range;
        let reach = self.found.reach;
        if start > reach {
            self.miss(start, Some(&piece));
        } else if start < reach {
            self.found.overlaps += 1;
            if let (None, Some(first)) = (&self.found.overlap, &self.furthest) {
                self.found.overlap = Some(Overlap {
                    range: ByteRange {
                        start,
                        end: end.min(reach),
                    },
                    first: first.clone(),
                    second: piece.clone(),
                });
            }
        }
        self.found.covered += end.saturating_sub(start.max(reach));
        if self.size.is_some_and(|size| end > size) && self.found.beyond.is_none() {
            self.found.beyond = Some(piece.clone());
        }
        if end > reach {
            self.found.reach = end;
            self.furthest = Some(piece);
        }
    }

    /// There are no more.
    pub(super) fn finish(mut self) -> Tiling {
        match self.size {
            Some(size) => self.miss(size, None),
            // Where the source ends is not known: what lies ahead is no gap yet.
            None => {
                let ahead = ByteRange {
                    start: self.found.reach,
                    end: u64::MAX,
                };
                self.count_letters(ahead);
            }
        }
        self.found
    }

    /// Nothing covers the bytes up to `end`, as far as the source goes.
    fn miss(&mut self, end: u64, after: Option<&Piece>) {
        let range = ByteRange {
            start: self.found.reach,
            end: self.size.map_or(end, |size| end.min(size)),
        };
        if range.start >= range.end {
            return;
        }
        self.found.gaps += 1;
        self.found.missing += range.end - range.start;
        let letter = self.count_letters(range);
        if self.found.gap.is_none() {
            self.found.gap = Some(Gap {
                range,
                before: self.furthest.clone(),
                after: after.cloned(),
                letter,
            });
        }
    }

    /// Counts the letters of a range that nothing covers; answers the first.
    fn count_letters(&mut self, range: ByteRange) -> Option<Letter> {
        let letters = within(&self.letters, range);
        let first = letters.first().cloned();
        self.found.dead_lettered += rows(letters);
        if self.found.letter.is_none() {
            self.found.letter.clone_from(&first);
        }
        first
    }
}

/// The letters that lie in a range as a whole.
fn within(letters: &[Letter], range: ByteRange) -> &[Letter] {
    let first = letters.partition_point(|letter| letter.range.start < range.start);
    let end = letters.partition_point(|letter| letter.range.end <= range.end);
    letters.get(first..end).unwrap_or_default()
}

fn rows(letters: &[Letter]) -> u64 {
    letters.iter().map(|letter| letter.rows).sum()
}

/// An entry may have been set aside twice, cut differently: its rows count once.
fn without_repetitions(mut letters: Vec<Letter>) -> Vec<Letter> {
    letters.sort_by_key(|letter| letter.range);
    let mut reach = 0;
    letters.retain(|letter| {
        let is_new = letter.range.start >= reach;
        if is_new {
            reach = letter.range.end;
        }
        is_new
    });
    letters
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::source::IncarnationId;

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange { start, end }
    }

    fn batch(sequence: u64) -> BatchId {
        BatchId {
            incarnation: IncarnationId("spool".to_owned()),
            sequence,
        }
    }

    fn piece(start: u64, end: u64) -> Piece {
        Piece {
            range: range(start, end),
            streamer: "streamer-0".to_owned(),
            batch: batch(start),
        }
    }

    fn letter(start: u64, end: u64, rows: u64) -> Letter {
        Letter {
            range: range(start, end),
            rows,
            batch: batch(start),
            reason: "checksum".to_owned(),
        }
    }

    fn tiling(size: Option<u64>, ranges: &[(u64, u64)], letters: &[Letter]) -> Tiling {
        let mut tiles = Tiles::new(size, letters.to_vec());
        for (start, end) in ranges {
            tiles.push(piece(*start, *end));
        }
        tiles.finish()
    }

    #[test]
    fn v17_the_first_gap_is_told_with_its_neighbours() {
        let found = tiling(Some(100), &[(0, 10), (20, 30), (50, 90)], &[]);
        assert_eq!((found.gaps, found.missing, found.covered), (3, 40, 60));
        let gap = found.gap.unwrap();
        assert_eq!(gap.range, range(10, 20));
        assert_eq!(gap.before, Some(piece(0, 10)));
        assert_eq!(gap.after, Some(piece(20, 30)));
        let at_the_ends = tiling(Some(100), &[(5, 100)], &[]).gap.unwrap();
        assert_eq!((at_the_ends.range, at_the_ends.before), (range(0, 5), None));
        let at_the_ends = tiling(Some(100), &[(0, 99)], &[]).gap.unwrap();
        assert_eq!(
            (at_the_ends.range, at_the_ends.after),
            (range(99, 100), None)
        );
        assert_eq!(tiling(Some(7), &[], &[]).gap.unwrap().range, range(0, 7));
    }

    #[test]
    fn v17_what_lies_ahead_of_a_growing_source_is_no_gap() {
        let found = tiling(None, &[(0, 10)], &[letter(10, 20, 4)]);
        assert!(found.is_whole(), "{found:?}");
        assert_eq!(found.dead_lettered, 4);
        assert_eq!(tiling(None, &[(0, 10), (20, 30)], &[]).missing, 10);
    }

    #[test]
    fn v17_dead_letters_count_once_and_only_where_nothing_covers() {
        let letters = [
            letter(0, 10, 1),
            letter(10, 15, 20),
            letter(10, 20, 300),
            letter(15, 20, 4000),
        ];
        let found = tiling(Some(30), &[(0, 10), (20, 30)], &letters);
        assert_eq!(found.dead_lettered, 4020);
        assert_eq!(found.gap.unwrap().letter, Some(letter(10, 15, 20)));
        // Where no end is known, what could not be stored may be all there is.
        let found = tiling(None, &[(0, 10)], &letters[1..]);
        assert_eq!((found.dead_lettered, found.gaps), (4020, 0));
        assert_eq!(found.letter, Some(letter(10, 15, 20)));
    }

    fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let one = (0_u64..60, 1_u64..20).prop_map(|(start, length)| (start, start + length));
        proptest::collection::vec(one, 0..8).prop_map(|mut ranges| {
            ranges.sort_unstable();
            ranges
        })
    }

    /// Cuts of a source of 60 bytes, without gap or overlap.
    fn tiles() -> impl Strategy<Value = Vec<(u64, u64)>> {
        proptest::collection::btree_set(1_u64..60, 0..12).prop_map(|cuts| {
            let mut ranges = Vec::new();
            let mut start = 0;
            for end in cuts.into_iter().chain([60]) {
                ranges.push((start, end));
                start = end;
            }
            ranges
        })
    }

    proptest! {
        /// Held against counting every byte by itself.
        #[test]
        fn v17_bytes_are_counted_as_if_one_by_one(ranges in ranges(), size in proptest::option::of(0_u64..80)) {
            let found = tiling(size, &ranges, &[]);
            let end = ranges.iter().map(|range| range.1).max().unwrap_or(0);
            let times = |byte: u64| ranges.iter().filter(|range| range.0 <= byte && byte < range.1).count();
            let missing: Vec<u64> = (0..size.unwrap_or(end)).filter(|byte| times(*byte) == 0).collect();
            prop_assert_eq!(found.reach, end);
            prop_assert_eq!(found.covered, (0..end).filter(|byte| times(*byte) > 0).count() as u64);
            prop_assert_eq!(found.missing, missing.len() as u64);
            let stretches = missing.iter().filter(|byte| !missing.contains(&byte.wrapping_sub(1)));
            prop_assert_eq!(found.gaps, stretches.count() as u64);
            prop_assert_eq!(found.gap.as_ref().map(|gap| gap.range.start), missing.first().copied());
            let twice = (0..end).find(|byte| times(*byte) > 1);
            prop_assert_eq!(found.overlap.as_ref().map(|overlap| overlap.range.start), twice);
            let beyond = size.is_some_and(|size| end > size);
            prop_assert_eq!(found.beyond.is_some(), beyond);
            let whole = missing.is_empty() && twice.is_none() && !beyond;
            prop_assert_eq!(found.is_whole(), whole);
        }

        /// A tiling is whole; without one of its ranges, that range is the gap; with one of them
        /// twice, it is the overlap.
        #[test]
        fn v17_what_is_taken_away_is_the_gap_and_what_is_added_the_overlap(ranges in tiles(), at in any::<prop::sample::Index>()) {
            prop_assert!(tiling(Some(60), &ranges, &[]).is_whole());
            let at = at.index(ranges.len());
            let (start, end) = ranges[at];
            let mut fewer = ranges.clone();
            fewer.remove(at);
            let found = tiling(Some(60), &fewer, &[letter(start, end, 5)]);
            let gap = found.gap.unwrap();
            prop_assert_eq!(gap.range, range(start, end));
            prop_assert_eq!(gap.before.map(|piece| piece.range.end), (start > 0).then_some(start));
            prop_assert_eq!(gap.after.map(|piece| piece.range.start), (end < 60).then_some(end));
            prop_assert_eq!((found.gaps, found.dead_lettered), (1, 5));
            let mut more = ranges.clone();
            more.insert(at, (start, end));
            let found = tiling(Some(60), &more, &[]);
            prop_assert_eq!(found.overlap.map(|overlap| overlap.range), Some(range(start, end)));
            prop_assert_eq!((found.overlaps, found.gaps), (1, 0));
        }
    }
}
