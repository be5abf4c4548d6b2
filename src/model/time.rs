//! Event time as the data path carries it.

use jiff::Timestamp;

/// Microseconds since 1970-01-01T00:00:00Z; what the wire format and the store hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

impl EventTime {
    /// The same instant as a timestamp; `None` outside the years that can be written.
    pub fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.0).ok()
    }
}

impl From<Timestamp> for EventTime {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_microsecond())
    }
}
