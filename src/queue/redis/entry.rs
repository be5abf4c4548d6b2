//! Entries of a stream: which fields they have, and how replies are taken apart.

use ::redis::{Pipeline, Value};
use bytes::Bytes;
use jiff::Timestamp;

use crate::model::source::{BatchId, IncarnationId};
use crate::queue::{Delivery, Entry};

/// Version of the fields.
const VERSION: &str = "1";

/// Adds the fields of an entry to the XADD that the pipeline ends with. Consumers of all versions
/// pass over fields that they do not know.
pub(super) fn add_fields(pipeline: &mut Pipeline, entry: &Entry, now: Timestamp) {
    pipeline
        .arg("v")
        .arg(VERSION)
        .arg("i")
        .arg(&entry.id.incarnation.0)
        .arg("q")
        .arg(entry.id.sequence)
        .arg("t")
        .arg(now.as_millisecond())
        .arg("d")
        .arg(&entry.payload[..]);
}

/// What is kept of a dead entry: a line of JSON that tells what it is, then the payload.
pub(super) fn dead(delivery: &Delivery, reason: &str) -> Vec<u8> {
    let line = serde_json::json!({
        "id": delivery.entry.id,
        "position": delivery.position,
        "published_ms": delivery.published_ms,
        "reason": reason,
    });
    let mut element = line.to_string().into_bytes();
    element.push(b'\n');
    element.extend_from_slice(&delivery.entry.payload);
    element
}

/// Name and value of a field.
pub(super) type Field = (Vec<u8>, Vec<u8>);

/// What is kept of an entry that nobody has published like this: a line of JSON, then its fields.
pub(super) fn foreign(position: &str, fields: &[Field]) -> Vec<u8> {
    let line = serde_json::json!({
        "position": position,
        "reason": "not an entry of ours: fields are missing or of another version",
    });
    let mut element = line.to_string().into_bytes();
    for (name, value) in fields {
        element.push(b'\n');
        element.extend_from_slice(name);
        element.push(b'=');
        element.extend_from_slice(value);
    }
    element
}

/// One entry of a reply.
#[derive(Debug)]
pub(super) enum Received {
    /// A sound one.
    Delivery(Delivery),
    /// One that nobody has published like this: fields are missing.
    Foreign {
        position: String,
        fields: Vec<Field>,
    },
    /// One that was deleted while it was pending.
    Gone { position: String },
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// The entries in the answer to XREADGROUP for one stream; none if the time passed.
pub(super) fn of_read(reply: Value, shard: u32) -> Vec<Received> {
    let of_stream = || {
        let stream = array(array(reply)?.into_iter().next()?)?;
        array(stream.into_iter().nth(1)?)
    };
    of_entries(of_stream().unwrap_or_default(), shard)
}

/// The cursor to go on from and the entries in the answer to XAUTOCLAIM.
pub(super) fn of_takeover(reply: Value, shard: u32) -> (String, Vec<Received>) {
    let mut parts = array(reply).unwrap_or_default().into_iter();
    let cursor = parts.next().and_then(text);
    let entries = parts.next().and_then(array).unwrap_or_default();
    (
        cursor.unwrap_or_else(|| "0-0".to_owned()),
        of_entries(entries, shard),
    )
}

fn of_entries(entries: Vec<Value>, shard: u32) -> Vec<Received> {
    entries
        .into_iter()
        .filter_map(|entry| {
            let mut parts = array(entry)?.into_iter();
            let position = text(parts.next()?)?;
            Some(match parts.next().and_then(array) {
                None => Received::Gone { position },
                Some(fields) => received(position, fields, shard),
            })
        })
        .collect()
}

fn received(position: String, fields: Vec<Value>, shard: u32) -> Received {
    let mut pairs = Vec::new();
    let mut values = fields.into_iter();
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        pairs.push((
            bytes(name).unwrap_or_default(),
            bytes(value).unwrap_or_default(),
        ));
    }
    let field = |name: &str| {
        pairs
            .iter()
            .find(|(field, _)| field == name.as_bytes())
            .map(|(_, value)| value)
    };
    let written = |name: &str| std::str::from_utf8(field(name)?).ok();
    let parts = || {
        Some((
            IncarnationId(written("i")?.to_owned()),
            written("q")?.parse().ok()?,
            position.split('-').next()?.parse().ok()?,
            field("d").is_some() && written("v")? == VERSION,
        ))
    };
    let Some((incarnation, sequence, published_ms, true)) = parts() else {
        return Received::Foreign {
            position,
            fields: pairs,
        };
    };
    let sent_ms = written("t").and_then(|time| time.parse().ok());
    let payload = pairs
        .into_iter()
        .find(|(field, _)| field == b"d")
        .map_or_else(Bytes::new, |(_, value)| value.into());
    Received::Delivery(Delivery {
        shard,
        position,
        entry: Entry {
            id: BatchId {
                incarnation,
                sequence,
            },
            payload,
        },
        published_ms,
        sent_ms,
    })
}
