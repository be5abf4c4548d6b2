//! How much to ask for.

/// How many entries to ask for, so that their rows fill about one transaction.
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

    /// Takes note of how many rows so many entries had.
    pub(super) fn learn(&mut self, entries: usize, rows: usize) {
        let (fewest, most) = Self::RANGE;
        if rows > self.rows {
            self.entries = (self.entries / 2).max(fewest);
        } else if entries >= self.entries && rows <= self.rows / 2 {
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
            demand.learn(demand.entries(), demand.entries() * 10);
        }
        assert_eq!(demand.entries(), 256);
        for _ in 0..10 {
            demand.learn(demand.entries(), demand.entries() * 5000);
        }
        assert!((2..=4).contains(&demand.entries()), "{demand:?}");
        let before = demand.entries();
        demand.learn(0, 0);
        assert_eq!(demand.entries(), before, "nothing was received");
    }
}
