//! The small files of values that `-f NAME` finds when there is no file of that name.

use crate::model::likeness::nearest;

use super::error::ConfigError;

/// Name and text of every overlay, by name.
const OVERLAYS: &[(&str, &str)] = &[
    ("gpu-cpu", include_str!("../../profiles/gpu-cpu.yaml")),
    (
        "high-throughput",
        include_str!("../../profiles/high-throughput.yaml"),
    ),
    ("lab", include_str!("../../profiles/lab.yaml")),
    (
        "node-selection",
        include_str!("../../profiles/node-selection.yaml"),
    ),
    ("zones", include_str!("../../profiles/zones.yaml")),
];

/// How alike a name and an overlay's have to be (0 to 1) for one to be meant by the other: of three
/// letters, two swapped ones are two thirds.
const ALIKE: f64 = 0.6;

/// Every overlay, and in a sentence what it is for: the first one of its leading comment.
pub fn list() -> impl Iterator<Item = (&'static str, String)> {
    OVERLAYS.iter().map(|(name, text)| (*name, purpose(text)))
}

/// The text of an overlay.
///
/// # Errors
/// When there is none of that name; the error lists those that there are.
pub fn text(name: &str) -> Result<&'static str, ConfigError> {
    let found = OVERLAYS.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, text)| *text)
        .ok_or_else(|| ConfigError::NoValuesFile {
            name: name.to_owned(),
            overlays: names().collect(),
            nearest: nearest(name, names(), ALIKE).map(str::to_owned),
        })
}

fn names() -> impl Iterator<Item = &'static str> {
    OVERLAYS.iter().map(|(name, _)| *name)
}

fn purpose(text: &str) -> String {
    let comment: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("# "))
        .collect();
    let comment = comment.join(" ");
    let sentence = comment
        .split_once(". ")
        .map_or(&*comment, |(first, _)| first);
    sentence.trim_end_matches('.').to_owned()
}
