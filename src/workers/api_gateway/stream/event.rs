//! Server-sent events as text, and what their ids say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::model::source::StoreToken;
use crate::store::{Position, Progress, TelemetryPoint};

/// First byte of every id.
const VERSION: u8 = 1;
/// Bytes that tell one life of the data from another.
const LIFE: usize = 8;
const LENGTH: usize = 1 + LIFE + 1 + 4 * 8;

/// Where a reader of events stands: after the event that has this as its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventId {
    /// Which life of the data.
    life: [u8; LIFE],
    /// How far in it.
    pub(super) progress: Progress,
}

impl EventId {
    /// The id of a place in a life of the data.
    pub(super) fn new(token: &StoreToken, progress: Progress) -> Self {
        let mut life = [0; LIFE];
        life.copy_from_slice(&Sha256::digest(token.0.as_bytes())[..LIFE]);
        Self { life, progress }
    }

    /// Whether it is of this life of the data.
    pub(super) fn is_of(&self, token: &StoreToken) -> bool {
        *self == Self::new(token, self.progress)
    }

    /// As a word.
    pub(super) fn encode(self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.life);
        bytes.push(self.progress.after.is_some().into());
        let Position { time, series, row } = self.progress.after.unwrap_or_default();
        for number in [self.progress.transaction, time, series, row] {
            bytes.extend(number.to_be_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// From a word, if it is one.
    pub(super) fn decode(word: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(word).ok()?;
        let (head, numbers) = bytes.split_at_checked(LENGTH - 4 * 8)?;
        if bytes.len() != LENGTH || head[0] != VERSION {
            return None;
        }
        let mut numbers = numbers
            .chunks_exact(8)
            .filter_map(|raw| Some(i64::from_be_bytes(raw.try_into().ok()?)));
        let transaction = numbers.next()?;
        let (time, series, row) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let after = match head[LIFE + 1] {
            0 => None,
            1 => Some(Position { time, series, row }),
            _ => return None,
        };
        Some(Self {
            life: head[1..=LIFE].try_into().ok()?,
            progress: Progress { transaction, after },
        })
    }
}

/// The first lines: how soon to come again, and where the events begin.
pub(super) fn greeting(id: EventId) -> String {
    format!("retry: 2000\nid: {}\n\n", id.encode())
}

/// A sample.
pub(super) fn sample(id: EventId, sample: &TelemetryPoint) -> String {
    // Nothing in a sample can fail to be JSON, and JSON has no line ends of its own.
    let data = serde_json::to_string(sample).unwrap_or_default();
    format!("id: {}\ndata: {data}\n\n", id.encode())
}

/// Says that nothing is lost although nothing comes. The id moves on without an event, so that whoever
/// resumes does not look through what did not concern him.
pub(super) fn heartbeat(id: EventId) -> String {
    format!(": heartbeat\nid: {}\n\n", id.encode())
}

/// Says that the events before and after it are not of one row.
pub(super) fn reset(id: EventId) -> String {
    const DATA: &str = r#"{"detail":"the store holds other data than before: ask for what is in it, then go on with the events from here"}"#;
    format!("event: reset\nid: {}\ndata: {DATA}\n\n", id.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> EventId {
        let after = Position {
            time: -1,
            series: i64::MIN,
            row: 65_537,
        };
        let progress = Progress {
            transaction: 7_000_000_000,
            after: Some(after),
        };
        EventId::new(&StoreToken("life".to_owned()), progress)
    }

    #[test]
    fn an_id_says_what_it_was_made_from() {
        let ended = EventId {
            progress: Progress {
                transaction: 8,
                after: None,
            },
            ..id()
        };
        for id in [id(), ended] {
            assert_eq!(EventId::decode(&id.encode()), Some(id));
        }
        assert!(id().is_of(&StoreToken("life".to_owned())));
        assert!(!id().is_of(&StoreToken("another".to_owned())));
    }

    #[test]
    fn what_is_no_id_is_none() {
        let word = id().encode();
        for wrong in [
            "",
            "%",
            &word[1..],
            &word[..word.len() - 4],
            &format!("{word}AAAA"),
        ] {
            assert_eq!(EventId::decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_event_ends_with_an_empty_line_and_has_one_line_of_data() {
        let point = TelemetryPoint {
            timestamp: "2025-07-18T20:42:34Z".parse().unwrap(),
            metric: "UTIL".to_owned(),
            value: Some(0.5),
            uuid: "a\nb".to_owned(),
            hostname: "h".to_owned(),
            gpu_id: "0".to_owned(),
            cluster: "edge".to_owned(),
            position: Position::default(),
        };
        let text = sample(id(), &point);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[1].starts_with("data: {\"timestamp\":\"2025-07-18T20:42:34Z\""),
            "{text}"
        );
        assert!(text.ends_with("}\n\n"));
    }
}
