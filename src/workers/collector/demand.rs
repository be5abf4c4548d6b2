//! How much to ask for.

use super::inbox::GROUP_BYTES;

/// How many entries to ask for, so that they fill about one transaction.
#[derive(Debug)]
pub(super) struct Demand {
    entries: usize,
    rows: usize,
}

impl Demand {
    /// Fewest and most entries of one read.
    const RANGE: (usize, usize) = (2, 256);

    /// For transactions of so many rows.
    pub(super) const fn new(rows: usize) -> Self {
        Self { entries: 8, rows }
    }

    /// How many entries.
    pub(super) const fn entries(&self) -> usize {
        self.entries
    }

    /// Takes note of how many rows, and bytes of memory, so many entries had.
    pub(super) fn learn(&mut self, entries: usize, rows: usize, bytes: usize) {
        let (fewest, most) = Self::RANGE;
        if rows > self.rows || bytes > GROUP_BYTES {
            self.entries = (self.entries / 2).max(fewest);
        } else if entries >= self.entries && rows <= self.rows / 2 && bytes <= GROUP_BYTES / 2 {
            self.entries = (self.entries * 2).min(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_entries_are_asked_for_in_larger_numbers() {
        let mut demand = Demand::new(20_000);
        for _ in 0..10 {
            demand.learn(demand.entries(), demand.entries() * 10, 0);
        }
        assert_eq!(demand.entries(), 256);
        for _ in 0..10 {
            demand.learn(demand.entries(), demand.entries() * 5000, 0);
        }
        assert!((2..=4).contains(&demand.entries()), "{demand:?}");
        let before = demand.entries();
        demand.learn(0, 0, 0);
        assert_eq!(demand.entries(), before, "nothing was received");
    }

    #[test]
    fn entries_that_are_large_in_memory_are_asked_for_in_smaller_numbers() {
        let mut demand = Demand::new(20_000);
        for _ in 0..10 {
            demand.learn(
                demand.entries(),
                demand.entries() * 10,
                demand.entries() << 19,
            );
        }
        assert_eq!(demand.entries(), 8);
        demand.learn(demand.entries(), 80, 64 << 20);
        assert_eq!(demand.entries(), 4);
    }
}
