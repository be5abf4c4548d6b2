//! The labels that say what belongs to telectl and what serves.

/// Which component an object or a pod belongs to.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// What an object is a part of.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// The value of [`PART_OF`] on everything that telectl makes.
pub const PIPELINE: &str = "telemetry-pipeline";
/// Which tool made an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on everything that telectl makes.
pub const TELECTL: &str = "telectl";
/// On the pods that serve; a probe pod lacks it, so that it is in no endpoint, budget or average.
pub const SERVING: &str = "telectl.io/serving";
