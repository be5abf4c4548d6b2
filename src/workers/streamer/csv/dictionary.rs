//! The series of a batch: each label set once.
//!
//! Rows of one series repeat the same bytes except for time and value. Those bytes, as they stand
//! in the file, are the key of a memory that outlives the batch: a series is taken apart and
//! checked when it is first seen, not with every row. Files repeat their series in the same order,
//! scrape after scrape, so that the memory also expects which one comes next.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::batch::SeriesLabels;

use super::familiar::Frame;

/// Series that are remembered at most, and how much memory they may take: some 1 KiB each, but up to 150.
const MOST_REMEMBERED: usize = 16 * 1024;
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Series by the bytes that tell them, and their places in the current batch.
#[derive(Default)]
pub(super) struct Dictionary {
    frames: Vec<Remembered>,
    by_frame: HashMap<Arc<Frame>, usize>,
    series: Vec<Series>,
    by_labels: HashMap<Arc<SeriesLabels>, usize>,
    /// The frame of the row before, as an index of `frames`.
    last: Option<usize>,
    /// The series of the current batch.
    batch: Vec<Arc<SeriesLabels>>,
    /// Counts the batches.
    number: u64,
    /// Bytes of what is remembered.
    held: usize,
}

struct Remembered {
    frame: Arc<Frame>,
    /// What it tells, as an index of `series`: several frames may tell the same.
    series: usize,
    /// The frame that came after this one the last time.
    next: Option<usize>,
}

struct Series {
    labels: Arc<SeriesLabels>,
    /// The last batch that it was in, and its place there.
    batch: u64,
    place: u32,
}

impl Dictionary {
    /// What the next record looks like, if it is of the series that came next the last time.
    pub(super) fn expected(&self) -> Option<(usize, &Frame)> {
        let next = self.frames.get(self.last?)?.next?;
        Some((next, &self.frames.get(next)?.frame))
    }

    /// The place in the current batch of the series that [`Self::expected`] answered.
    pub(super) fn place_expected(&mut self, index: usize) -> u32 {
        let series = &mut self.series[self.frames[index].series];
        if series.batch != self.number {
            series.batch = self.number;
            // A batch has at most some thousand rows.
            series.place = self.batch.len() as u32;
            self.batch.push(Arc::clone(&series.labels));
        }
        self.last = Some(index);
        series.place
    }

    /// The place in the current batch of the series with this frame, whose labels are read when it
    /// is seen for the first time.
    pub(super) fn place_or_learn(
        &mut self,
        frame: &Frame,
        read: impl FnOnce() -> Result<SeriesLabels, String>,
    ) -> Result<u32, String> {
        match self.by_frame.get(frame) {
            Some(index) => Ok(self.place_after_last(*index)),
            None => Ok(self.learn(frame, read()?)),
        }
    }

    /// Remembers what a frame tells; answers its place in the current batch.
    fn learn(&mut self, frame: &Frame, labels: SeriesLabels) -> u32 {
        let weight = frame.weight() + labels.weight();
        if self.frames.len() >= MOST_REMEMBERED || self.held + weight > MOST_BYTES {
            self.forget();
        }
        self.held += weight;
        let frame = Arc::new(frame.clone());
        let labels = Arc::new(labels);
        let series = *self
            .by_labels
            .entry(Arc::clone(&labels))
            .or_insert_with(|| {
                self.series.push(Series {
                    labels,
                    batch: u64::MAX,
                    place: 0,
                });
                self.series.len() - 1
            });
        let index = self.frames.len();
        self.by_frame.insert(Arc::clone(&frame), index);
        self.frames.push(Remembered {
            frame,
            series,
            next: None,
        });
        self.place_after_last(index)
    }

    /// Forgets everything but the batch. Of what is learned again, it then holds two.
    fn forget(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        *self = Self {
            batch,
            number: self.number,
            ..Self::default()
        };
    }

    /// Takes note that this one came after the last one, too.
    fn place_after_last(&mut self, index: usize) -> u32 {
        if let Some(last) = self.last {
            self.frames[last].next = Some(index);
        }
        self.place_expected(index)
    }

    /// The series of the batch; begins the next batch.
    pub(super) fn finish_batch(&mut self) -> Vec<Arc<SeriesLabels>> {
        self.number += 1;
        std::mem::take(&mut self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learns a series of this name whose remaining labels are as long as that.
    fn learn(dictionary: &mut Dictionary, name: &str, remainder: usize) -> u32 {
        let remainder = "r".repeat(remainder);
        let mut frame = Frame::default();
        frame.become_key(0, [name.as_bytes(), remainder.as_bytes()].into_iter());
        let mut texts: [String; 11] = Default::default();
        texts[4] = name.to_owned();
        texts[10] = remainder;
        let read = || Ok(SeriesLabels::of_texts(texts));
        dictionary.place_or_learn(&frame, read).unwrap()
    }

    #[test]
    fn memory_is_bounded_by_number_and_by_bytes_and_the_batch_stays() {
        for (count, remainder) in [(MOST_REMEMBERED + 1, 0), (300, 64 * 1024)] {
            let mut dictionary = Dictionary::default();
            for number in 0..count {
                let place = learn(&mut dictionary, &number.to_string(), remainder);
                assert_eq!(place as usize, number);
                assert!(dictionary.held <= MOST_BYTES);
            }
            assert!(dictionary.frames.len() < count, "nothing was forgotten");
            assert_eq!(dictionary.finish_batch().len(), count);
        }
    }
}
