//! Rows as the bytes of PostgreSQL's `COPY … BINARY`: pure, so that its cost can be counted.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::read::EPOCH;

/// Bytes sent at once.
const CHUNK: usize = 64 * 1024;
/// Room for the row that reaches [`CHUNK`].
const ROW: usize = 64;
/// Signature, flags, and the length of a header extension, as the protocol has them.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// A row of `sample`: series, microseconds since 1970, value.
pub type Sample = (i64, i64, Option<f64>);

/// The bytes that copy these rows, some 64 KiB at a time, in the order of the index, which makes entering
/// them cheap.
pub fn frames(mut samples: Vec<Sample>) -> impl Iterator<Item = Bytes> {
    samples.sort_unstable_by_key(|(series, time, _)| (*series, *time));
    let mut buffer = BytesMut::with_capacity(CHUNK + ROW);
    buffer.put_slice(HEADER);
    let mut samples = samples.into_iter();
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        for sample in samples.by_ref() {
            put(&mut buffer, sample);
            if buffer.len() >= CHUNK {
                let full = buffer.split().freeze();
                buffer.reserve(CHUNK + ROW);
                return Some(full);
            }
        }
        is_over = true;
        buffer.put_i16(-1);
        Some(buffer.split().freeze())
    })
}

fn put(buffer: &mut BytesMut, (series, time, value): Sample) {
    buffer.put_i16(3);
    buffer.put_i32(8);
    buffer.put_i64(series);
    buffer.put_i32(8);
    buffer.put_i64(time - EPOCH);
    match value {
        Some(value) => {
            buffer.put_i32(8);
            buffer.put_f64(value);
        }
        None => buffer.put_i32(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_the_order_of_the_index_and_the_copy_has_an_end() {
        let none: Vec<Bytes> = frames(Vec::new()).collect();
        assert_eq!(none.concat(), [HEADER, &[0xff, 0xff]].concat());
        let copied = frames(vec![(2, EPOCH, None), (1, EPOCH + 1, Some(0.5))]);
        let rows: Vec<u8> = copied.flatten().skip(HEADER.len()).collect();
        let first = [&[0, 3, 0, 0, 0, 8][..], &1_i64.to_be_bytes(), &[0, 0, 0, 8]].concat();
        assert_eq!(rows[..first.len()], first);
        let blank = [&0_i64.to_be_bytes()[..], &[0xff; 4], &[0xff; 2]].concat();
        assert!(rows.ends_with(&blank), "{rows:?}");
    }

    #[test]
    fn no_frame_outgrows_its_room_and_none_is_lost() {
        let samples = (0..20_000).map(|at| (at, EPOCH, Some(1.0))).collect();
        let frames: Vec<Bytes> = frames(samples).collect();
        assert!(frames.iter().all(|frame| frame.len() < CHUNK + ROW));
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        assert_eq!(bytes, HEADER.len() + 20_000 * 38 + 2);
    }
}
