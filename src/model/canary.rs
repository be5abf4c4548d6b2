//! A record that proves nothing but that the way from an edge to the API is open. It is no sample:
//! it has a table of its own and is in no list, count or statistic.

use std::fmt;

use super::source::{BatchId, IncarnationId};
use super::time::EventTime;

/// Digits of a name.
const DIGITS: usize = 32;

/// The name of a canary: random, 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanaryId(String);

impl CanaryId {
    /// The name that random bytes make.
    pub fn of(random: u128) -> Self {
        Self(format!("{random:032x}"))
    }

    /// The name that a text is, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |symbol: u8| matches!(symbol, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == DIGITS && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CanaryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A canary as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Where it flies along: [`Canary::route`].
    pub route: BatchId,
    /// Its name.
    pub id: CanaryId,
    /// The cluster that it was sent from (`CLUSTER_ID`).
    pub cluster: String,
    /// When it was sent, by the clock there.
    pub sent_at: EventTime,
}

impl Canary {
    /// The name under which the queue carries the canary of this number; the number selects the
    /// shard. No spool has it, so that nobody waits for its acknowledgement; always the same ones,
    /// so that acknowledgements do not pile up in the queue.
    pub fn route(number: u64) -> BatchId {
        BatchId {
            incarnation: IncarnationId("canary".to_owned()),
            sequence: number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CanaryId;

    #[test]
    fn a_name_is_what_a_random_number_makes() {
        let id = CanaryId::of(0xabc);
        assert_eq!(id.as_str(), "00000000000000000000000000000abc");
        assert_eq!(CanaryId::parse(id.as_str()), Some(id));
        for wrong in ["", "abc", &"A".repeat(32), &"é".repeat(16), &"0".repeat(33)] {
            assert_eq!(CanaryId::parse(wrong), None, "{wrong}");
        }
    }
}
