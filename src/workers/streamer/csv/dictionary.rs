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

/// Series that are remembered; some 1 KiB each.
const MOST_REMEMBERED: usize = 16 * 1024;

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
        if self.frames.len() >= MOST_REMEMBERED {
            self.forget();
        }
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
