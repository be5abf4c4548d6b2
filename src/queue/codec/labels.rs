//! The labels of series that were decoded before.
//!
//! Batches of one source name the same series again and again. Whoever decodes many batches gets
//! the same `Arc` for the same labels, so that they are allocated once and can be told apart by
//! their address.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::model::batch::SeriesLabels;

/// Series that are remembered; some 1 KiB each.
const MOST_REMEMBERED: usize = 50_000;

/// Labels by their texts.
#[derive(Default)]
pub(super) struct KnownLabels {
    table: HashTable<Arc<SeriesLabels>>,
    hasher: DefaultHashBuilder,
}

impl KnownLabels {
    /// The labels with these texts, in the order of [`SeriesLabels::NAMES`].
    pub(super) fn labels(&mut self, texts: &[&str; 11]) -> Arc<SeriesLabels> {
        let hash = self.hasher.hash_one(texts);
        let same = |known: &Arc<SeriesLabels>| known.texts() == *texts;
        if let Some(known) = self.table.find(hash, same) {
            return Arc::clone(known);
        }
        if self.table.len() >= MOST_REMEMBERED {
            self.table.clear();
        }
        let labels = Arc::new(SeriesLabels::of_texts(texts.map(str::to_owned)));
        let hasher = &self.hasher;
        self.table
            .insert_unique(hash, Arc::clone(&labels), |known| {
                hasher.hash_one(known.texts())
            });
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_texts_are_the_same_labels_and_others_are_others() {
        let mut known = KnownLabels::default();
        let texts = ["a", "b", "", "", "", "", "", "", "", "", "c"];
        let first = known.labels(&texts);
        assert_eq!(first.texts(), texts);
        assert!(Arc::ptr_eq(&first, &known.labels(&texts)));
        // A character that moves to the next label.
        let moved = ["ab", "", "", "", "", "", "", "", "", "", "c"];
        let other = known.labels(&moved);
        assert_eq!(other.texts(), moved);
    }

    #[test]
    fn memory_is_bounded() {
        let mut known = KnownLabels::default();
        for number in 0..=MOST_REMEMBERED {
            let number = number.to_string();
            let mut texts = [""; 11];
            texts[4] = &number;
            known.labels(&texts);
        }
        assert!(known.table.len() <= MOST_REMEMBERED);
    }
}
