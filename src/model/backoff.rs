//! How long to leave a server alone that does not answer.

use std::time::Duration;

/// Limit of the first pause; doubles with every further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Limit of any pause: after an outage of any length the flow goes on within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pauses between attempts: full jitter, so that many workers do not come back at one moment.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Begins anew: the server answered.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure. `random` is from 0 to 1.
    pub fn failed(&mut self, random: f64) -> Duration {
        let longest = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        let limits: Vec<u128> = (0..8).map(|_| backoff.failed(1.0).as_millis()).collect();
        assert_eq!(limits, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(backoff.failed(0.5), LONGEST_PAUSE / 2);
        for _ in 0..1000 {
            assert!(backoff.failed(1.0) <= LONGEST_PAUSE);
        }
        assert_eq!(backoff.failed(0.0), Duration::ZERO);
        backoff.succeeded();
        assert_eq!(backoff.failed(1.0), FIRST_PAUSE);
    }
}
