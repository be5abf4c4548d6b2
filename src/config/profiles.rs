//! The values that telectl brings with it.

use crate::model::profile::Profile;

/// The built-in values: every key, and so the schema of all values files.
pub(super) const BASE: &str = include_str!("../../profiles/base.yaml");

/// Overlays that `-f NAME` finds when there is no file of that name.
pub(super) const OVERLAYS: &[(&str, &str)] = &[("lab", include_str!("../../profiles/lab.yaml"))];

/// The names of the overlays.
pub fn overlays() -> impl Iterator<Item = &'static str> {
    OVERLAYS.iter().map(|(name, _)| *name)
}

/// How alike a name and an overlay's have to be (0 to 1) for one to be meant by the other: of three
/// letters, two swapped ones are two thirds.
const ALIKE: f64 = 0.6;

/// The overlay that was probably meant by a name that is none.
pub(super) fn nearest_overlay(name: &str) -> Option<&'static str> {
    let names = OVERLAYS.iter().map(|(known, _)| *known);
    let alike = names.map(|known| (strsim::normalized_damerau_levenshtein(known, name), known));
    alike
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, known)| known)
}

/// The values of a profile.
pub(super) const fn of(profile: Profile) -> &'static str {
    match profile {
        Profile::Dev => include_str!("../../profiles/dev.yaml"),
        Profile::SameCluster => include_str!("../../profiles/same-cluster.yaml"),
        Profile::Edge => include_str!("../../profiles/edge.yaml"),
        Profile::Central => include_str!("../../profiles/central.yaml"),
        Profile::Shared => include_str!("../../profiles/shared.yaml"),
    }
}

/// The overlay of that name.
pub(super) fn overlay(name: &str) -> Option<&'static str> {
    OVERLAYS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}
