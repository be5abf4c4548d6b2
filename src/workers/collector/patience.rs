//! How long to wait after a failure, and how much to ask for.

use std::time::Duration;

/// Limit of the first pause.
const SHORTEST: Duration = Duration::from_millis(200);
/// Limit of any pause.
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses that grow, with full jitter.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failures: u32,
}

impl Patience {
    /// The next pause. `jitter` is a random number from 0 to 1.
    pub(super) fn pause(&mut self, jitter: f64) -> Duration {
        let limit = SHORTEST.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        limit.min(LONGEST).mul_f64(jitter.clamp(0.0, 1.0))
    }
}

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
    fn pauses_grow_to_a_limit_and_reach_down_to_nothing() {
        let mut patience = Patience::default();
        let limits: Vec<u128> = (0..8).map(|_| patience.pause(1.0).as_millis()).collect();
        assert_eq!(limits, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(patience.pause(0.0), Duration::ZERO);
    }

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
