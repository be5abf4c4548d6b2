//! From what an exporter answers to pieces that become batches.

use std::collections::HashMap;
use std::sync::Arc;

use memchr::memchr;

use crate::model::batch::{Quarantined, SeriesLabels};
use crate::model::limits;
use crate::model::source::ByteRange;
use crate::model::time::EventTime;

use super::super::csv::{Chunk, Gathered, Limits, Place, Row, checked, value};
use super::text::{Sample, sample, written};

/// What the metrics of GPUs begin with; others are the exporter's own.
const METRICS: &str = "DCGM_FI_";
/// Longest line in bytes; a longer one is quarantined.
const LONGEST_LINE: usize = 64 * 1024;
/// How much of a quarantined line is kept, in bytes.
const KEPT_OF_LINE: usize = 4 * 1024;

/// A value of a series.
type Said = (SeriesLabels, EventTime, Option<f64>);

/// Reads the answers of one target.
pub(super) struct Pages {
    cluster: String,
    /// The host where the labels name none.
    host: String,
    limits: Limits,
    /// The series of the last answer, so that the next one shares them.
    known: HashMap<SeriesLabels, Arc<SeriesLabels>>,
}

/// The series of one piece.
#[derive(Default)]
struct Dictionary {
    places: HashMap<Arc<SeriesLabels>, u32>,
    series: Vec<Arc<SeriesLabels>>,
}

impl Pages {
    pub(super) fn of(cluster: &str, host: &str, limits: Limits) -> Self {
        Self {
            cluster: cluster.to_owned(),
            host: host.to_owned(),
            limits,
            known: HashMap::new(),
        }
    }

    /// The pieces of an answer that begins at an offset of the pass. `time` is that of values that
    /// carry none. The pieces tile the answer.
    pub(super) fn pieces(&mut self, page: &[u8], offset: u64, time: EventTime) -> Vec<Chunk> {
        let known = std::mem::take(&mut self.known);
        let mut pieces = Vec::new();
        let (mut at, mut line) = (0, 1);
        while at < page.len() {
            let place = Place {
                index: pieces.len() as u64,
                start: offset + at as u64,
                line,
            };
            let start = at;
            let (mut gathered, mut dictionary) = (Gathered::default(), Dictionary::default());
            while at < page.len() {
                let length = (at - start) as u64;
                let enough = gathered.count() >= self.limits.records || gathered.has_enough_days();
                if enough || length >= self.limits.bytes {
                    break;
                }
                let rest = &page[at..];
                let end = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                let text = rest[..end].trim_ascii_end();
                match self.row(text, time) {
                    Ok(None) => {}
                    Ok(Some((labels, time, value))) => {
                        let shared = known.get(&labels).or_else(|| self.known.get(&labels));
                        let labels = shared.cloned().unwrap_or_else(|| Arc::new(labels));
                        let series = dictionary.place(&labels);
                        self.known.insert(labels.as_ref().clone(), labels);
                        gathered.add(Row {
                            series,
                            time,
                            value,
                            offset: offset + at as u64,
                        });
                    }
                    Err(reason) => gathered.quarantined.push(Quarantined {
                        line,
                        offset: offset + at as u64,
                        reason,
                        record: text[..text.len().min(KEPT_OF_LINE)].to_vec(),
                    }),
                }
                at += end;
                line += 1;
            }
            pieces.push(Chunk {
                place,
                range: ByteRange {
                    start: place.start,
                    end: offset + at as u64,
                },
                checksum: crc32fast::hash(&page[start..at]),
                series: dictionary.series,
                rows: gathered.rows,
                quarantined: gathered.quarantined,
            });
        }
        pieces
    }

    /// What a line says about a GPU, if it does.
    fn row(&self, line: &[u8], time: EventTime) -> Result<Option<Said>, String> {
        if line.len() > LONGEST_LINE {
            return Err(format!("line longer than {LONGEST_LINE} bytes"));
        }
        let text = std::str::from_utf8(line).map_err(|_| "invalid UTF-8".to_owned())?;
        let Some(sample) = sample(text)? else {
            return Ok(None);
        };
        if !sample.name.starts_with(METRICS) {
            return Ok(None);
        }
        let value = value(sample.value.as_bytes())?;
        let time = sample.time.unwrap_or(time);
        if !limits::holds_time(time) {
            return Err("bad timestamp: not in the years 1 to 9999".to_owned());
        }
        let labels = self.labels(sample);
        if labels.uuid.is_empty() {
            // Of a switch or a processor, not of a GPU.
            return Ok(None);
        }
        Ok(Some((checked(line, labels)?, time, value)))
    }

    fn labels(&self, sample: Sample<'_>) -> SeriesLabels {
        let mut labels = SeriesLabels::of_texts(Default::default());
        labels.cluster.clone_from(&self.cluster);
        sample.name.clone_into(&mut labels.metric);
        let mut others = Vec::new();
        for (name, text) in sample.labels {
            let place = match name {
                "gpu" => &mut labels.gpu_id,
                "UUID" => &mut labels.uuid,
                "device" => &mut labels.device,
                "modelName" => &mut labels.model,
                "Hostname" => &mut labels.host,
                "container" => &mut labels.container,
                "pod" => &mut labels.pod,
                "namespace" => &mut labels.namespace,
                _ => {
                    others.push(written(name, &text));
                    continue;
                }
            };
            *place = text.into_owned();
        }
        if labels.host.is_empty() {
            labels.host.clone_from(&self.host);
        }
        labels.labels_raw = others.join(",");
        labels
    }
}

impl Dictionary {
    fn place(&mut self, labels: &Arc<SeriesLabels>) -> u32 {
        if let Some(place) = self.places.get(labels) {
            return *place;
        }
        // There are fewer series than rows, and those are bounded.
        let place = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        self.series.push(Arc::clone(labels));
        self.places.insert(Arc::clone(labels), place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(records: usize) -> Pages {
        let limits = Limits {
            records,
            bytes: 1 << 20,
        };
        Pages::of("edge", "10.0.0.1", limits)
    }

    const PAGE: &str = "# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).\n\
        DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",UUID=\"GPU-a\",device=\"nvidia0\",modelName=\"H100\",\
        Hostname=\"node-7\",DCGM_FI_DRIVER_VERSION=\"550\",pod=\"p\",namespace=\"n\",container=\"c\"} 17\n\
        DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",UUID=\"GPU-b\"} NaN 1752871354000\n\
        DCGM_FI_DEV_FB_USED{gpu=\"1\",UUID=\"GPU-b\"} 9223372036854775794\n\
        go_goroutines 12\n\
        DCGM_FI_DEV_NVSWITCH_TEMP{nvswitch=\"0\"} 40\n\
        DCGM_FI_DEV_GPU_TEMP{gpu=\"1\",UUID=\"GPU-b\" 40\n\
        DCGM_FI_DEV_GPU_TEMP{gpu=\"1\",UUID=\"GPU-b\"} hot\n";

    #[test]
    fn a_page_becomes_rows_blanks_and_quarantined_lines() {
        let found = pages(100).pieces(PAGE.as_bytes(), 1000, EventTime(5));
        let [piece] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(piece.rows.value, [Some(17.0), None, None]);
        let given = EventTime(1_752_871_354_000_000);
        assert_eq!(piece.rows.time, [EventTime(5), given, EventTime(5)]);
        let first = &piece.series[0];
        assert_eq!((first.host.as_str(), first.pod.as_str()), ("node-7", "p"));
        assert_eq!(first.labels_raw, "DCGM_FI_DRIVER_VERSION=\"550\"");
        assert_eq!(piece.series[1].host, "10.0.0.1");
        let bad = piece.quarantined.iter();
        let bad: Vec<_> = bad.map(|bad| (bad.line, bad.reason.as_str())).collect();
        assert_eq!(
            bad,
            [
                (7, "no comma or brace after label `UUID`"),
                (8, "bad value `hot`")
            ]
        );
        let at = PAGE.find("DCGM_FI_DEV_GPU_TEMP").unwrap() as u64;
        assert_eq!(piece.quarantined[0].offset, 1000 + at);
    }

    #[test]
    fn pieces_tile_the_page_and_share_the_series_of_the_page_before() {
        let mut pages = pages(1);
        let before = pages.pieces(PAGE.as_bytes(), 0, EventTime(5));
        let found = pages.pieces(PAGE.as_bytes(), 1000, EventTime(6));
        let mut reach = 1000;
        for piece in &found {
            assert_eq!(piece.range.start, reach);
            let text = &PAGE.as_bytes()[(reach - 1000) as usize..(piece.range.end - 1000) as usize];
            assert_eq!(piece.checksum, crc32fast::hash(text));
            reach = piece.range.end;
        }
        assert_eq!(reach, 1000 + PAGE.len() as u64);
        let rows = |pieces: &[Chunk]| pieces.iter().map(|piece| piece.rows.len()).sum::<usize>();
        assert_eq!((rows(&before), rows(&found)), (3, 3));
        assert!(Arc::ptr_eq(&before[0].series[0], &found[0].series[0]));
    }
}
