//! The labels of series that were decoded before.
//!
//! Batches of one source name the same series again and again. Whoever decodes many batches gets
//! the same `Arc` for the same labels, so that they are allocated once and can be told apart by
//! their address.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::model::batch::SeriesLabels;

/// Series that are remembered at most, and how much memory they may take: some 500 bytes each, but up to
/// 75 KiB.
const MOST_REMEMBERED: usize = 50_000;
const MOST_BYTES: usize = 24 * 1024 * 1024;

/// Labels by their texts.
#[derive(Default)]
pub(super) struct KnownLabels {
    table: HashTable<Arc<SeriesLabels>>,
    hasher: DefaultHashBuilder,
    /// Bytes of what the table holds.
    held: usize,
    /// Bytes of all that were ever learnt.
    learnt: usize,
}

impl KnownLabels {
    /// The labels with these texts, in the order of [`SeriesLabels::NAMES`].
    pub(super) fn labels(&mut self, texts: &[&str; 11]) -> Arc<SeriesLabels> {
        let hash = self.hasher.hash_one(texts);
        let same = |known: &Arc<SeriesLabels>| known.texts() == *texts;
        if let Some(known) = self.table.find(hash, same) {
            return Arc::clone(known);
        }
        let labels = Arc::new(SeriesLabels::of_texts(texts.map(str::to_owned)));
        let weight = labels.weight();
        if self.table.len() >= MOST_REMEMBERED || self.held + weight > MOST_BYTES {
            self.table.clear();
            self.held = 0;
        }
        self.held += weight;
        self.learnt += weight;
        let hasher = &self.hasher;
        self.table
            .insert_unique(hash, Arc::clone(&labels), |known| {
                hasher.hash_one(known.texts())
            });
        labels
    }

    /// Bytes of labels that were not known when they came, from the first message on.
    pub(super) const fn learnt(&self) -> usize {
        self.learnt
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
        assert_eq!(known.table.len(), 1);
        let long = "l".repeat(64 * 1024);
        for number in 0..1000 {
            let number = number.to_string();
            let mut texts = [""; 11];
            (texts[4], texts[10]) = (&number, &long);
            known.labels(&texts);
            assert!(known.held <= MOST_BYTES);
        }
        assert!(known.table.len() > 100);
        assert!(known.learnt() > 1000 * long.len());
    }
}
