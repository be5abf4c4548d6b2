use std::collections::BTreeSet;
use std::io::Cursor;

use proptest::prelude::*;

use crate::model::limits;

use super::*;

const HEADER: &str = "timestamp,metric_name,gpu_id,device,uuid,modelName,Hostname,container,pod,namespace,value,labels_raw\n";
const LIMITS: Limits = Limits {
    records: 5000,
    bytes: 4 * 1024 * 1024,
};
const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);

fn open(bytes: &[u8], limits: Limits) -> Result<Reader<Cursor<&[u8]>>, ReadError> {
    Reader::open(Cursor::new(bytes), Path::new("dir/a.csv"), "edge", limits)
}

fn chunks(bytes: &[u8], limits: Limits) -> Vec<Chunk> {
    let mut reader = open(bytes, limits).unwrap();
    std::iter::from_fn(|| reader.next_chunk().unwrap()).collect()
}

type Good = Vec<(String, Option<f64>)>;
type Bad = Vec<(u64, String)>;

/// One chunk, its rows as (uuid, value) and its quarantined records as (line, reason).
fn read(rows: &[u8]) -> (Good, Bad) {
    let bytes = [HEADER.as_bytes(), rows].concat();
    let chunks = chunks(&bytes, LIMITS);
    assert_tiled(&chunks, &bytes);
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for chunk in chunks {
        for (series, value) in chunk.rows.series.iter().zip(&chunk.rows.value) {
            good.push((chunk.series[*series as usize].uuid.clone(), *value));
        }
        for one in chunk.quarantined {
            let record = &bytes[one.offset as usize..][..one.record.len()];
            assert_eq!(record, one.record);
            bad.push((one.line, one.reason));
        }
    }
    (good, bad)
}

fn assert_tiled(chunks: &[Chunk], bytes: &[u8]) {
    let mut end = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        assert_eq!((chunk.place.index, chunk.range.start), (index as u64, end));
        assert_eq!(chunk.place.start, chunk.range.start);
        end = chunk.range.end;
        let covered = &bytes[chunk.range.start as usize..end as usize];
        assert_eq!(chunk.checksum, crc32fast::hash(covered));
        let lines = bytes[..chunk.range.start as usize]
            .iter()
            .filter(|byte| **byte == b'\n');
        assert_eq!(chunk.place.line, 1 + lines.count() as u64);
    }
    assert_eq!(end, bytes.len() as u64);
}

fn row(uuid: &str, value: &str) -> String {
    format!("2025-07-18T20:42:34Z,M,0,nvidia0,{uuid},H100,host,,,,{value},\"a=\"\"b\"\"\"\n")
}

#[test]
fn w02_the_sample_file_is_read_completely() {
    let bytes = std::fs::read(SAMPLE).unwrap();
    let limits = Limits {
        records: 100,
        ..LIMITS
    };
    let chunks = chunks(&bytes, limits);
    assert_tiled(&chunks, &bytes);
    assert_eq!(chunks.len(), 25);
    let mut oracle = ::csv::Reader::from_reader(&bytes[..]);
    let mut records = oracle.records();
    let (mut gpus, mut metrics, mut hosts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for chunk in &chunks {
        assert!(chunk.quarantined.is_empty());
        for index in 0..chunk.rows.len() {
            let record = records.next().unwrap().unwrap();
            let series = &chunk.series[chunk.rows.series[index] as usize];
            let SeriesLabels {
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
            } = &**series;
            let labels = [
                metric, gpu_id, device, uuid, model, host, container, pod, namespace,
            ];
            let expected: Vec<&str> = record.iter().skip(1).take(9).collect();
            assert_eq!(labels.map(String::as_str).to_vec(), expected);
            assert_eq!(
                (cluster.as_str(), labels_raw.as_str()),
                ("edge", &record[11])
            );
            let time: jiff::Timestamp = record[0].parse().unwrap();
            assert_eq!(chunk.rows.time[index], EventTime::from(time));
            assert_eq!(chunk.rows.value[index], Some(record[10].parse().unwrap()));
            let offset = chunk.rows.offset[index];
            assert_eq!(offset, record.position().unwrap().byte());
            gpus.insert(uuid.clone());
            metrics.insert(metric.clone());
            hosts.insert(host.clone());
        }
    }
    assert!(records.next().is_none());
    let rows: usize = chunks.iter().map(|chunk| chunk.rows.len()).sum();
    assert_eq!(
        (rows, gpus.len(), metrics.len(), hosts.len()),
        (2470, 247, 10, 31)
    );
}

#[test]
fn malformed_rows_are_quarantined_and_the_others_are_kept() {
    let rows = [
        row("a", "1"),
        row("b", "x"),
        "too,few\n".to_owned(),
        row("c", "").replace("2025-07-18T20:42:34Z", "yesterday"),
        row("", "1"),
        row("d", "9223372036854775794"),
        row("e\0", "1"),
        row("f", "inf"),
        "\n\r\n".to_owned(),
        row("g", "2").replace('\n', "\r\n"),
    ];
    let (good, bad) = read(rows.concat().as_bytes());
    let expected = [("a", Some(1.0)), ("d", None), ("g", Some(2.0))];
    assert_eq!(good, expected.map(|(uuid, value)| (uuid.to_owned(), value)));
    let reasons = [
        (3, "bad value `x`"),
        (4, "2 fields, the header has 12"),
        (5, "bad timestamp `yesterday`"),
        (6, "uuid is empty"),
        (8, "`uuid` holds a NUL character"),
        (9, "bad value `inf`"),
    ];
    assert_eq!(bad, reasons.map(|(line, reason)| (line, reason.to_owned())));
}

#[test]
fn w02_what_no_store_can_hold_costs_its_row_only() {
    let long = "x".repeat(1025);
    let rows = [
        row("a", "1"),
        row(&long, "1"),
        row("b", "1").replace("H100", &long),
        row("c", "1").replace("2025", "0000"),
        row("d", "1").replace("a=", &"x".repeat(64 * 1024)),
        row(&long[1..], "2"),
    ];
    let (good, bad) = read(rows.concat().as_bytes());
    assert_eq!(good.len(), 2, "{bad:?}");
    let reasons = [
        (3, "`uuid` is longer than 1024 bytes"),
        (4, "`model` is longer than 1024 bytes"),
        (5, "bad timestamp `0000-07-18T20:42:34Z`"),
        (6, "`labels_raw` is longer than 65536 bytes"),
    ];
    assert_eq!(bad, reasons.map(|(line, reason)| (line, reason.to_owned())));
}

#[test]
fn w02_a_chunk_has_no_more_days_than_a_store_takes_at_once() {
    let mut text = HEADER.to_owned();
    for number in 0..1000_i64 {
        let day = jiff::civil::date(2020, 1, 1) + jiff::SignedDuration::from_hours(24 * number);
        // Out of order, and each day twice.
        for time in [format!("{day}T20:42:34Z"), format!("{day}T00:00:00Z")] {
            text.push_str(&row("a", "1").replace("2025-07-18T20:42:34Z", &time));
        }
        text.push_str(&row("a", "1"));
    }
    let chunks = chunks(text.as_bytes(), LIMITS);
    assert_tiled(&chunks, text.as_bytes());
    let days = |chunk: &Chunk| {
        let days = chunk.rows.time.iter().map(|time| limits::day(*time));
        days.collect::<BTreeSet<i64>>().len()
    };
    let days: Vec<usize> = chunks.iter().map(days).collect();
    assert_eq!(days[..2], [400, 400]);
    assert!(days.len() == 3 && days[2] < 400, "{days:?}");
}

#[test]
fn an_unbalanced_quote_costs_one_line() {
    for damaged in ["\"a,b\n", "a\"b,c\n", "\"a\"b,c\n"] {
        let rows = [&row("a", "1"), damaged, &row("b", "2"), &row("c", "3")].concat();
        let (good, bad) = read(rows.as_bytes());
        let uuids: Vec<&str> = good.iter().map(|row| row.0.as_str()).collect();
        assert_eq!(uuids, ["a", "b", "c"], "{damaged:?}");
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].0, 3);
        assert!(bad[0].1.starts_with("unbalanced quote"), "{bad:?}");
    }
    let (good, bad) = read(
        [row("a", "1"), row("b", "2"), "\"never closed".to_owned()]
            .concat()
            .as_bytes(),
    );
    assert_eq!((good.len(), bad.len()), (2, 1));
}

#[test]
fn invalid_utf8_is_quarantined_with_its_line() {
    let mut rows = row("a", "1").into_bytes();
    rows.extend_from_slice(&row("b?", "2").replace('?', "\u{1}").into_bytes());
    let at = rows.iter().position(|byte| *byte == 1).unwrap();
    rows[at] = 0xff;
    rows.extend_from_slice(row("c", "3").as_bytes());
    let (good, bad) = read(&rows);
    assert_eq!(good.len(), 2);
    assert_eq!(bad, [(3, "invalid UTF-8".to_owned())]);
}

#[test]
fn a_line_of_ten_megabytes_is_quarantined_and_the_rest_is_read() {
    for fill in ["x", "\"\"", ","] {
        let long = format!("\"{}\"", fill.repeat(10_000_000 / fill.len()));
        let rows = [row("a", "1"), row(&long, "2"), row("b", "3")].concat();
        let (good, bad) = read(rows.as_bytes());
        assert_eq!(good.len(), 2);
        assert_eq!(bad, [(3, "record longer than 1048576 bytes".to_owned())]);
    }
}

#[test]
fn header_problems_name_the_file_the_line_and_the_column() {
    let error = |bytes: &[u8]| open(bytes, LIMITS).err().unwrap().to_string();
    assert_eq!(
        error(b""),
        "`dir/a.csv:1`: the file is empty, a header with column names is expected"
    );
    assert_eq!(error(b"\xef\xbb\xbf\n\n"), error(b""));
    assert_eq!(
        error(b"\ntimestamp,metric_name,gpu_id,value,host\n"),
        "`dir/a.csv:2`: column `uuid` is missing"
    );
    assert!(error(b"a,\"b\n").contains("unbalanced quote"));
    assert!(error(b"a,\xff\n").contains("invalid UTF-8"));
    assert!(error(&[b'a'; 2_000_000]).contains("1 MiB"));
}

#[test]
fn a_byte_order_mark_and_a_missing_last_line_break_are_fine() {
    let mut bytes = BYTE_ORDER_MARK.to_vec();
    bytes.extend_from_slice(HEADER.as_bytes());
    bytes.extend_from_slice(row("a", "1").trim_end().as_bytes());
    let chunks = chunks(&bytes, LIMITS);
    assert_tiled(&chunks, &bytes);
    assert_eq!(chunks[0].rows.len(), 1);
    assert_eq!(chunks[0].series[0].labels_raw, "a=\"b\"");
}

#[test]
fn a_file_without_rows_is_one_chunk() {
    let chunks = chunks(HEADER.as_bytes(), LIMITS);
    assert_tiled(&chunks, HEADER.as_bytes());
    assert_eq!((chunks.len(), chunks[0].rows.len()), (1, 0));
}

/// Longer than the window, so that records cross its border.
#[test]
fn a_chunk_read_again_is_the_same_wherever_the_window_stands() {
    let mut text = HEADER.to_owned();
    for number in 0..90_000 {
        match number % 97 {
            0 => text.push_str("broken \" line\n"),
            1 => text.push_str("\r\n"),
            _ => text.push_str(&row(
                &format!("\"GPU\n{}\"", number % 300),
                &number.to_string(),
            )),
        }
    }
    assert!(text.len() > 4_500_000);
    let limits = Limits {
        records: 5000,
        bytes: 300_000,
    };
    let chunks = chunks(text.as_bytes(), limits);
    assert_tiled(&chunks, text.as_bytes());
    assert!(chunks.len() > 12);
    let mut reader = open(text.as_bytes(), limits).unwrap();
    for chunk in chunks.iter().rev().step_by(7) {
        reader = reader.go_to(chunk.place).unwrap();
        let again = reader.next_chunk().unwrap().unwrap();
        assert_eq!(&again, chunk);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The `csv` crate as oracle: what it writes, we read as it reads it.
    #[test]
    fn rows_are_read_as_the_csv_crate_reads_them(
        rows in prop::collection::vec(("[a-c,\"\n]{1,4}", -1000i32..1000, "[x=\",\r\n]{0,8}"), 0..60),
        always in any::<bool>(),
        crlf in any::<bool>(),
        records in 1usize..20,
    ) {
        let style = if always { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary };
        let end = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer = ::csv::WriterBuilder::new().quote_style(style).terminator(end).from_writer(Vec::new());
        writer.write_record(["labels_raw", "value", "hostname", "gpu", "uuid", "time", "metric"]).unwrap();
        for (uuid, value, labels) in &rows {
            let value = value.to_string();
            writer.write_record([labels, &value, "h", "0", uuid, "2025-07-18 20:42:34", "M"]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let limits = Limits { records, bytes: 1 << 20 };
        let chunks = chunks(&bytes, limits);
        assert_tiled(&chunks, &bytes);
        let read: Vec<(String, i32, String)> = chunks.iter().flat_map(|chunk| {
            (0..chunk.rows.len()).map(|index| {
                let series = &chunk.series[chunk.rows.series[index] as usize];
                (series.uuid.clone(), chunk.rows.value[index].unwrap() as i32, series.labels_raw.clone())
            })
        }).collect();
        prop_assert_eq!(read, rows);
    }

    /// Any bytes: no panic, no byte lost, every line either a row or quarantined.
    #[test]
    fn any_bytes_behind_a_header_are_tiled(bytes in prop::collection::vec(prop::sample::select(b"a,\"\r\n\xff1".to_vec()), 0..200), records in 1usize..5) {
        let bytes = [HEADER.as_bytes(), &bytes].concat();
        let limits = Limits { records, bytes: 1 << 20 };
        assert_tiled(&chunks(&bytes, limits), &bytes);
    }
}
