//! Where the time of a stage went. Pure.

use std::fmt;
use std::time::Duration;

/// What is too short to be told.
const SHORT: Duration = Duration::from_millis(50);

/// How long a stage took, and what it waited for meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// All of it.
    pub total: Duration,
    /// Waiting for the addresses of load balancers.
    pub addresses: Duration,
    /// Waiting until what was applied is ready, pulls of images among it.
    pub readiness: Duration,
    /// Of that, the time in which a node pulled an image.
    pub pulls: Duration,
}

impl Times {
    /// What is left: reading and writing through the API server.
    pub fn api(&self) -> Duration {
        let waited = self.addresses + self.readiness;
        self.total.saturating_sub(waited)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.1} s", self.total.as_secs_f64())?;
        if self.addresses + self.readiness < SHORT {
            return Ok(());
        }
        let parts = [
            ("API", self.api()),
            ("load balancer", self.addresses),
            ("image pulls", self.pulls),
            ("readiness", self.readiness.saturating_sub(self.pulls)),
        ];
        let told: Vec<String> = parts
            .iter()
            .filter(|(_, took)| *took >= SHORT)
            .map(|(what, took)| format!("{what} {:.1}", took.as_secs_f64()))
            .collect();
        write!(formatter, " ({})", told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_is_told_and_the_rest_is_the_api() {
        let second = Duration::from_secs;
        let mut times = Times {
            total: second(34),
            addresses: second(2),
            readiness: second(31),
            pulls: second(6),
        };
        let all = "34.0 s (API 1.0, load balancer 2.0, image pulls 6.0, readiness 25.0)";
        assert_eq!(times.to_string(), all);
        times.addresses = Duration::from_millis(1);
        times.pulls = Duration::ZERO;
        assert_eq!(times.to_string(), "34.0 s (API 3.0, readiness 31.0)");
        times.readiness = Duration::ZERO;
        assert_eq!(times.to_string(), "34.0 s");
    }
}
