//! The body of each kind of message.

use std::sync::Arc;

use crate::model::batch::{Batch, Quarantined, Rows, SeriesLabels, SignedOff};
use crate::model::canary::{Canary, CanaryId};
use crate::model::source::{BatchId, ByteRange, IncarnationId, PassId, SourceId};
use crate::model::time::EventTime;

use super::labels::KnownLabels;
use super::wire::{Reader, Writer};
use super::{DecodeError, EncodeError};

/// Bytes of a cluster's id in a canary.
const CLUSTER_LIMIT: usize = 1024;
/// The end of the year 9999 in microseconds.
const LATEST: i64 = 253_402_300_800_000_000;

/// What batches and ends of sources begin with.
struct Origin {
    id: BatchId,
    streamer: String,
    source: SourceId,
    pass: PassId,
}

fn write_origin(
    writer: &mut Writer,
    id: &BatchId,
    streamer: &str,
    source: &SourceId,
    pass: &PassId,
) {
    writer.text(&id.incarnation.0);
    writer.number(id.sequence);
    writer.text(streamer);
    writer.text(&source.cluster);
    writer.text(&source.name);
    writer.text(&source.digest);
    writer.text(&pass.0);
}

fn read_origin(reader: &mut Reader<'_>) -> Result<Origin, DecodeError> {
    Ok(Origin {
        id: BatchId {
            incarnation: IncarnationId(reader.text()?.to_owned()),
            sequence: reader.number()?,
        },
        streamer: reader.text()?.to_owned(),
        source: SourceId {
            cluster: reader.text()?.to_owned(),
            name: reader.text()?.to_owned(),
            digest: reader.text()?.to_owned(),
        },
        pass: PassId(reader.text()?.to_owned()),
    })
}

pub(super) fn write_signed_off(writer: &mut Writer, signed_off: &SignedOff) {
    let SignedOff {
        id,
        streamer,
        source,
        pass,
        size,
        rows,
        quarantined,
    } = signed_off;
    write_origin(writer, id, streamer, source, pass);
    writer.number(*size);
    writer.number(*rows);
    writer.number(*quarantined);
}

pub(super) fn read_signed_off(reader: &mut Reader<'_>) -> Result<SignedOff, DecodeError> {
    let Origin {
        id,
        streamer,
        source,
        pass,
    } = read_origin(reader)?;
    Ok(SignedOff {
        id,
        streamer,
        source,
        pass,
        size: reader.number()?,
        rows: reader.number()?,
        quarantined: reader.number()?,
    })
}

/// Fields are only ever added at the end.
pub(super) fn write_canary(writer: &mut Writer, canary: &Canary) {
    let Canary {
        route,
        id,
        cluster,
        sent_at,
    } = canary;
    writer.text(&route.incarnation.0);
    writer.number(route.sequence);
    writer.text(id.as_str());
    writer.text(cluster);
    writer.signed(sent_at.0);
}

/// Whatever it accepts, every store can hold: a canary must never stand in the way of data.
pub(super) fn read_canary(reader: &mut Reader<'_>) -> Result<Canary, DecodeError> {
    let route = BatchId {
        incarnation: IncarnationId(reader.text()?.to_owned()),
        sequence: reader.number()?,
    };
    let id =
        CanaryId::parse(reader.text()?).ok_or(DecodeError::Malformed("a canary without a name"))?;
    let cluster = reader.text()?.to_owned();
    if cluster.len() > CLUSTER_LIMIT || cluster.contains('\0') {
        return Err(DecodeError::Malformed("a canary of an impossible cluster"));
    }
    let sent_at = EventTime(reader.signed()?);
    if !(0..LATEST).contains(&sent_at.0) {
        return Err(DecodeError::Malformed("a canary of an impossible time"));
    }
    Ok(Canary {
        route,
        id,
        cluster,
        sent_at,
    })
}

pub(super) fn write_batch(writer: &mut Writer, batch: &Batch) -> Result<(), EncodeError> {
    let Batch {
        id,
        streamer,
        source,
        pass,
        range,
        checksum,
        series,
        rows,
        quarantined,
    } = batch;
    write_origin(writer, id, streamer, source, pass);
    writer.number(range.start);
    writer.number(range.end);
    writer.number((*checksum).into());
    write_series(writer, series);
    write_rows(writer, rows, series.len())?;
    writer.number(quarantined.len() as u64);
    for row in quarantined {
        writer.number(row.line);
        writer.number(row.offset);
        writer.text(&row.reason);
        writer.bytes(&row.record);
    }
    Ok(())
}

pub(super) fn read_batch(
    reader: &mut Reader<'_>,
    known: &mut KnownLabels,
) -> Result<Batch, DecodeError> {
    let Origin {
        id,
        streamer,
        source,
        pass,
    } = read_origin(reader)?;
    let range = ByteRange {
        start: reader.number()?,
        end: reader.number()?,
    };
    if range.start > range.end {
        return Err(DecodeError::Malformed("the range ends before it starts"));
    }
    let checksum = reader.number32()?;
    let series = read_series(reader, known)?;
    let rows = read_rows(reader, series.len())?;
    let mut quarantined = Vec::new();
    for _ in 0..reader.count()? {
        quarantined.push(Quarantined {
            line: reader.number()?,
            offset: reader.number()?,
            reason: reader.text()?.to_owned(),
            record: reader.bytes()?.to_vec(),
        });
    }
    Ok(Batch {
        id,
        streamer,
        source,
        pass,
        range,
        checksum,
        series,
        rows,
        quarantined,
    })
}

/// Label by label rather than series by series: like beside like packs better.
fn write_series(writer: &mut Writer, series: &[Arc<SeriesLabels>]) {
    writer.number(series.len() as u64);
    for label in 0..11 {
        for one in series {
            writer.text(one.texts()[label]);
        }
    }
}

fn read_series(
    reader: &mut Reader<'_>,
    known: &mut KnownLabels,
) -> Result<Vec<Arc<SeriesLabels>>, DecodeError> {
    let count = reader.count()?;
    let mut texts = vec![[""; 11]; count];
    for label in 0..11 {
        for one in &mut texts {
            one[label] = reader.text()?;
        }
    }
    Ok(texts.iter().map(|texts| known.labels(texts)).collect())
}

fn write_rows(writer: &mut Writer, rows: &Rows, series: usize) -> Result<(), EncodeError> {
    let count = rows.len();
    let fits = [rows.time.len(), rows.value.len(), rows.offset.len()] == [count; 3]
        && rows.series.iter().all(|index| (*index as usize) < series);
    if !fits {
        return Err(EncodeError::Columns);
    }
    writer.number(count as u64);
    for index in &rows.series {
        writer.number((*index).into());
    }
    let mut last = 0;
    for EventTime(time) in &rows.time {
        writer.signed(time.wrapping_sub(last));
        last = *time;
    }
    let mut last = 0u64;
    for offset in &rows.offset {
        writer.number(offset.wrapping_sub(last));
        last = *offset;
    }
    for group in rows.value.chunks(8) {
        let present = group.iter().enumerate().fold(0, |bits, (index, value)| {
            bits | (u8::from(value.is_some()) << index)
        });
        writer.raw(&[present]);
    }
    for value in rows.value.iter().flatten() {
        writer.raw(&value.to_le_bytes());
    }
    Ok(())
}

fn read_rows(reader: &mut Reader<'_>, series: usize) -> Result<Rows, DecodeError> {
    let count = reader.count()?;
    let mut rows = Rows::default();
    for _ in 0..count {
        let index = reader.number32()?;
        if index as usize >= series {
            return Err(DecodeError::Malformed(
                "a row names a series that is not there",
            ));
        }
        rows.series.push(index);
    }
    let mut last = 0i64;
    for _ in 0..count {
        last = last.wrapping_add(reader.signed()?);
        rows.time.push(EventTime(last));
    }
    let mut last = 0u64;
    for _ in 0..count {
        last = last.wrapping_add(reader.number()?);
        rows.offset.push(last);
    }
    let present = reader.raw(count.div_ceil(8))?;
    for row in 0..count {
        let value = if present[row / 8] >> (row % 8) & 1 == 1 {
            let bytes = reader.raw(8)?.try_into();
            Some(f64::from_le_bytes(
                bytes.map_err(|_| DecodeError::Malformed("it ends too early"))?,
            ))
        } else {
            None
        };
        rows.value.push(value);
    }
    Ok(rows)
}
