//! The values that telectl brings with it.

use crate::model::profile::Profile;

/// The built-in values: every key, and so the schema of all values files.
pub(super) const BASE: &str = include_str!("../../profiles/base.yaml");

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
