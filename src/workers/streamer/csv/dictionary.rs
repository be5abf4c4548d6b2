//! The series of a batch: each label set once.
//!
//! Rows of one series repeat the same bytes except for time and value. Those bytes, as they stand
//! in the file, are the key of a memory that outlives the batch: a series is taken apart and
//! checked when it is first seen, not with every row.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::batch::SeriesLabels;

/// Series that are remembered; some 1 KiB each.
const MOST_REMEMBERED: usize = 16 * 1024;

/// Series by the bytes that tell them, and their places in the current batch.
#[derive(Default)]
pub(super) struct Dictionary {
    remembered: HashMap<Box<[u8]>, Remembered>,
    /// Counts the batches.
    batch: u64,
    places: HashMap<Arc<SeriesLabels>, u32>,
    series: Vec<Arc<SeriesLabels>>,
}

struct Remembered {
    labels: Arc<SeriesLabels>,
    batch: u64,
    place: u32,
}

impl Dictionary {
    /// The place in the current batch of the series that these bytes tell; `None` if they were not
    /// seen before.
    pub(super) fn place(&mut self, key: &[u8]) -> Option<u32> {
        let remembered = self.remembered.get_mut(key)?;
        if remembered.batch != self.batch {
            remembered.batch = self.batch;
            remembered.place = place(&mut self.places, &mut self.series, &remembered.labels);
        }
        Some(remembered.place)
    }

    /// Remembers what these bytes tell; answers its place in the current batch.
    pub(super) fn learn(&mut self, key: &[u8], labels: SeriesLabels) -> u32 {
        if self.remembered.len() >= MOST_REMEMBERED {
            self.remembered.clear();
        }
        let labels = Arc::new(labels);
        let place = place(&mut self.places, &mut self.series, &labels);
        let remembered = Remembered {
            labels,
            batch: self.batch,
            place,
        };
        self.remembered.insert(key.into(), remembered);
        place
    }

    /// The series of the batch; begins the next batch.
    pub(super) fn finish_batch(&mut self) -> Vec<SeriesLabels> {
        self.batch += 1;
        self.places.clear();
        let series = std::mem::take(&mut self.series);
        series.iter().map(|labels| (**labels).clone()).collect()
    }
}

fn place(
    places: &mut HashMap<Arc<SeriesLabels>, u32>,
    series: &mut Vec<Arc<SeriesLabels>>,
    labels: &Arc<SeriesLabels>,
) -> u32 {
    *places.entry(Arc::clone(labels)).or_insert_with(|| {
        series.push(Arc::clone(labels));
        // A batch has at most some thousand rows.
        (series.len() - 1) as u32
    })
}
