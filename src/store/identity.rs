//! The id of a series: the same for the same labels, everywhere and for ever.

use sha2::{Digest as _, Sha256};

use crate::model::batch::SeriesLabels;

/// The first 64 bits of the SHA-256 over all labels, each with its length before it.
///
/// Two different label sets may share an id (about 3 in a million at ten million series), so a
/// store compares the labels before it uses an id.
pub fn series_id(labels: &SeriesLabels) -> i64 {
    let mut hash = Sha256::new();
    for label in labels.texts() {
        hash.update((label.len() as u64).to_be_bytes());
        hash.update(label.as_bytes());
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

/// Labels as an error shows them: those that are set.
pub(super) fn shown(labels: &[impl AsRef<str>]) -> String {
    SeriesLabels::NAMES
        .iter()
        .zip(labels)
        .filter(|(_, value)| !value.as_ref().is_empty())
        .map(|(name, value)| format!("{name}={}", value.as_ref()))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(metric: &str, gpu_id: &str) -> SeriesLabels {
        SeriesLabels {
            cluster: "edge".to_owned(),
            metric: metric.to_owned(),
            gpu_id: gpu_id.to_owned(),
            device: "nvidia0".to_owned(),
            uuid: "GPU-1".to_owned(),
            model: "H100".to_owned(),
            host: "host-1".to_owned(),
            container: String::new(),
            pod: String::new(),
            namespace: String::new(),
            labels_raw: "a=\"b\"".to_owned(),
        }
    }

    #[test]
    fn the_id_is_the_one_that_stores_already_hold() {
        // Changing this number orphans every sample that was ever stored.
        assert_eq!(series_id(&labels("UTIL", "0")), -4_745_003_561_970_679_679);
    }

    #[test]
    fn a_character_that_moves_to_the_next_label_makes_another_series() {
        assert_ne!(
            series_id(&labels("UTIL", "0")),
            series_id(&labels("UTIL0", ""))
        );
    }
}
