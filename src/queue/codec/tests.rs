use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::batch::{Batch, Quarantined, Rows, SeriesLabels, SignedOff};
use crate::model::canary::{Canary, CanaryId};
use crate::model::source::{BatchId, ByteRange, IncarnationId, PassId, SourceId};
use crate::model::time::EventTime;

fn signed_off() -> SignedOff {
    SignedOff {
        id: BatchId {
            incarnation: IncarnationId("0123456789abcdef".to_owned()),
            sequence: 7,
        },
        streamer: "streamer-0".to_owned(),
        source: SourceId {
            cluster: "edge".to_owned(),
            name: "a.csv".to_owned(),
            digest: "ab".repeat(32),
        },
        pass: PassId::once(),
        size: 1_107_455,
        rows: 2470,
        quarantined: 3,
    }
}

fn series() -> impl Strategy<Value = SeriesLabels> {
    proptest::array::uniform11(".{0,12}").prop_map(|texts| {
        let [
            cluster,
            metric,
            gpu_id,
            device,
            uuid,
            model,
            host,
            container,
            pod,
            namespace,
            labels_raw,
        ] = texts;
        SeriesLabels {
            cluster,
            metric,
            gpu_id,
            device,
            uuid,
            model,
            host,
            container,
            pod,
            namespace,
            labels_raw,
        }
    })
}

prop_compose! {
    fn batch()(
        series in prop::collection::vec(series(), 1..5),
        rows in prop::collection::vec((any::<u32>(), any::<i64>(), any::<Option<i32>>(), any::<u64>()), 0..40),
        quarantined in prop::collection::vec((any::<u64>(), any::<u64>(), ".{0,9}", any::<Vec<u8>>()), 0..4),
        start in any::<u64>(),
        checksum in any::<u32>(),
    ) -> Batch {
        let SignedOff { id, streamer, source, pass, .. } = signed_off();
        let count = series.len() as u32;
        Batch {
            id, streamer, source, pass,
            range: ByteRange { start, end: u64::MAX },
            checksum,
            series: series.into_iter().map(Arc::new).collect(),
            rows: Rows {
                series: rows.iter().map(|row| row.0 % count).collect(),
                time: rows.iter().map(|row| EventTime(row.1)).collect(),
                value: rows.iter().map(|row| row.2.map(|value| f64::from(value) / 1000.0)).collect(),
                offset: rows.iter().map(|row| row.3).collect(),
            },
            quarantined: quarantined
                .into_iter()
                .map(|(line, offset, reason, record)| Quarantined { line, offset, reason, record })
                .collect(),
        }
    }
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(batch in batch()) {
        let message = Message::Batch(batch);
        let bytes = encode(&message).unwrap();
        prop_assert_eq!(decode(&bytes), Ok(message));
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn any_body_behind_a_sound_header_is_read_without_a_panic(
        plain in any::<Vec<u8>>(), kind in 0u8..4,
    ) {
        let packed = zstd::bulk::compress(&plain, 1).unwrap();
        drop(decode(&framed(kind, plain.len() as u32, &packed)));
    }

    #[test]
    fn a_damaged_byte_is_noticed(batch in batch(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = encode(&Message::Batch(batch)).unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn a_body_with_damage_under_a_right_checksum_never_panics(
        batch in batch(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let mut writer = wire::Writer::default();
        body::write_batch(&mut writer, &batch).unwrap();
        let mut plain = writer.into_bytes();
        let at = at.index(plain.len());
        plain[at] ^= flip;
        let packed = zstd::bulk::compress(&plain, 1).unwrap();
        drop(decode(&framed(BATCH, plain.len() as u32, &packed)));
    }
}

/// A message with a right checksum around any content.
fn framed(kind: u8, plain_length: u32, packed: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[VERSION, kind, 0, 0]);
    bytes.extend_from_slice(&plain_length.to_le_bytes());
    bytes.extend_from_slice(&(packed.len() as u32).to_le_bytes());
    let sum = checksum(&bytes, packed);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(packed);
    bytes
}

#[test]
fn what_is_wrong_with_a_message_is_told_apart() {
    let sound = encode(&Message::SignedOff(signed_off())).unwrap().to_vec();
    assert_eq!(decode(&sound), Ok(Message::SignedOff(signed_off())));
    assert_eq!(decode(b"TELQ"), Err(DecodeError::NoHeader));
    assert_eq!(
        decode(&sound[..sound.len() - 1]),
        Err(DecodeError::Checksum)
    );
    let mut newer = sound.clone();
    newer[4] = 2;
    assert_eq!(decode(&newer), Err(DecodeError::UnknownVersion(2)));
    assert_eq!(
        decode(&framed(BATCH, u32::MAX, b"")),
        Err(DecodeError::TooLong(u32::MAX.into()))
    );
    assert!(matches!(
        decode(&framed(BATCH, 5, b"no zstd")),
        Err(DecodeError::Malformed(_))
    ));
}

#[test]
fn a_small_message_that_unpacks_to_a_huge_one_is_refused() {
    let bomb = zstd::bulk::compress(&vec![0; 100_000_000], 1).unwrap();
    assert!(matches!(
        decode(&framed(BATCH, 1000, &bomb)),
        Err(DecodeError::Malformed(_))
    ));
}

#[test]
fn columns_that_do_not_fit_together_are_not_encoded() {
    let SignedOff {
        id,
        streamer,
        source,
        pass,
        ..
    } = signed_off();
    let batch = Batch {
        id,
        streamer,
        source,
        pass,
        range: ByteRange { start: 0, end: 9 },
        checksum: 0,
        series: Vec::new(),
        rows: Rows {
            series: vec![0],
            time: vec![EventTime(0)],
            value: vec![None],
            offset: vec![0],
        },
        quarantined: Vec::new(),
    };
    assert!(matches!(
        encode(&Message::Batch(batch)),
        Err(EncodeError::Columns)
    ));
}

fn canary(cluster: &str, sent_at: i64) -> Canary {
    Canary {
        route: Canary::route(3),
        id: CanaryId::of(0x7e1e),
        cluster: cluster.to_owned(),
        sent_at: EventTime(sent_at),
    }
}

fn canary_body(canary: &Canary) -> Vec<u8> {
    let mut writer = wire::Writer::default();
    body::write_canary(&mut writer, canary);
    writer.into_bytes()
}

#[test]
fn v10_a_canary_comes_out_as_it_went_in() {
    let message = Message::Canary(canary("edge", 1_753_000_000_123_456));
    let bytes = encode(&message).unwrap();
    assert_eq!(decode(&bytes), Ok(message.clone()));
    assert_eq!(message.id(), &Canary::route(3));
}

#[test]
fn v10_a_canary_of_a_later_version_may_have_more_fields() {
    let canary = canary("edge", 1);
    let mut plain = canary_body(&canary);
    plain.extend_from_slice(b"\x04more");
    let packed = zstd::bulk::compress(&plain, 1).unwrap();
    let bytes = framed(CANARY, plain.len() as u32, &packed);
    assert_eq!(decode(&bytes), Ok(Message::Canary(canary)));
}

#[test]
fn v10_a_canary_that_a_store_could_not_hold_is_refused() {
    for wrong in [
        canary("a\0b", 1),
        canary(&"x".repeat(2000), 1),
        canary("edge", -1),
        canary("edge", i64::MAX),
    ] {
        let plain = canary_body(&wrong);
        let packed = zstd::bulk::compress(&plain, 1).unwrap();
        let decoded = decode(&framed(CANARY, plain.len() as u32, &packed));
        assert!(
            matches!(decoded, Err(DecodeError::Malformed(_))),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_kind_of_a_later_version_is_named() {
    let packed = zstd::bulk::compress(b"", 1).unwrap();
    let newer = framed(9, 0, &packed);
    assert_eq!(decode(&newer), Err(DecodeError::UnknownKind(9)));
}
