//! The rule of the ledger, as a pure decision: what a batch adds to what is covered already.

use crate::model::source::ByteRange;

/// A range that the ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Covered {
    /// Which bytes.
    pub(super) range: ByteRange,
    /// Checksum over them; `None` if they are only a part of what a batch brought.
    pub(super) checksum: Option<u32>,
}

/// What is to be done with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: this very range is covered.
    AlreadyStored,
    /// Store the rows of these ranges, and of these only. None means all were covered.
    Missing(Vec<ByteRange>),
    /// The same bytes of the same source had another checksum before.
    Contradiction,
}

/// Judges a batch by the entries of the ledger that overlap it, in any order.
pub(super) fn judge(range: ByteRange, checksum: u32, overlapping: &[Covered]) -> Verdict {
    if let [only] = overlapping
        && only.range == range
    {
        return match only.checksum {
            Some(stored) if stored != checksum => Verdict::Contradiction,
            _ => Verdict::AlreadyStored,
        };
    }
    let mut covered: Vec<ByteRange> = overlapping.iter().map(|entry| entry.range).collect();
    covered.sort_unstable();
    let mut missing = Vec::new();
    let mut position = range.start;
    for entry in covered {
        if entry.start > position {
            missing.push(ByteRange {
                start: position,
                end: entry.start.min(range.end),
            });
        }
        position = position.max(entry.end);
    }
    if position < range.end {
        missing.push(ByteRange {
            start: position,
            end: range.end,
        });
    }
    Verdict::Missing(missing)
}

/// Whether one of the ranges holds this offset.
pub(super) fn holds(ranges: &[ByteRange], offset: u64) -> bool {
    ranges
        .iter()
        .any(|range| range.start <= offset && offset < range.end)
}

/// How many of the offsets lie in a range.
pub(super) fn count(offsets: impl Iterator<Item = u64>, range: ByteRange) -> u64 {
    offsets.filter(|offset| holds(&[range], *offset)).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange { start, end }
    }

    fn covered(start: u64, end: u64) -> Covered {
        Covered {
            range: range(start, end),
            checksum: Some(7),
        }
    }

    #[track_caller]
    fn check(overlapping: &[Covered], expected: &Verdict) {
        assert_eq!(judge(range(10, 20), 7, overlapping), *expected);
    }

    #[test]
    fn only_the_same_range_with_the_same_checksum_is_already_stored() {
        check(&[covered(10, 20)], &Verdict::AlreadyStored);
        check(
            &[Covered {
                range: range(10, 20),
                checksum: Some(8),
            }],
            &Verdict::Contradiction,
        );
        check(
            &[Covered {
                range: range(10, 20),
                checksum: None,
            }],
            &Verdict::AlreadyStored,
        );
    }

    #[test]
    fn the_gaps_between_what_is_covered_are_missing() {
        check(&[], &Verdict::Missing(vec![range(10, 20)]));
        check(&[covered(0, 12)], &Verdict::Missing(vec![range(12, 20)]));
        check(&[covered(18, 30)], &Verdict::Missing(vec![range(10, 18)]));
        check(&[covered(0, 30)], &Verdict::Missing(Vec::new()));
        check(
            &[covered(16, 30), covered(0, 11), covered(13, 14)],
            &Verdict::Missing(vec![range(11, 13), range(14, 16)]),
        );
    }

    proptest! {
        /// Whatever the ledger holds: afterwards every byte of the batch is covered exactly once.
        #[test]
        fn every_byte_is_covered_once(cuts in proptest::collection::btree_set(0_u64..60, 0..12), mask in any::<u16>(), start in 0_u64..59, length in 1_u64..40) {
            let batch = range(start, start + length);
            let cuts: Vec<u64> = cuts.into_iter().collect();
            let ledger: Vec<Covered> = cuts
                .windows(2)
                .enumerate()
                .filter(|(index, _)| mask & (1 << index) != 0)
                .map(|(_, pair)| Covered { range: range(pair[0], pair[1]), checksum: Some(1) })
                .filter(|entry| entry.range.start < batch.end && entry.range.end > batch.start)
                .collect();
            let added = match judge(batch, 1, &ledger) {
                Verdict::Missing(ranges) => ranges,
                Verdict::AlreadyStored => Vec::new(),
                Verdict::Contradiction => unreachable!("all checksums are equal"),
            };
            for byte in batch.start..batch.end {
                let times = ledger
                    .iter()
                    .map(|entry| entry.range)
                    .chain(added.iter().copied())
                    .filter(|range| range.start <= byte && byte < range.end)
                    .count();
                prop_assert_eq!(times, 1, "byte {}", byte);
            }
        }
    }
}
