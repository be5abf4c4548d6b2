//! How the pipeline stands: one picture over all clusters.
//!
//! [`collect`] asks (I/O), [`summarise`] decides (pure). A cluster that does not answer is a row
//! and not an end.

pub mod changes;
pub mod collect;
mod concerns;
mod data;
pub mod probed;
pub mod report;
pub mod summary;
pub mod versions;

#[cfg(test)]
mod tests;

pub use collect::{Collected, Limits, ask_cluster, collect};
pub use probed::{Probed, probed};
pub use report::{StatusReport, Verdict};
pub use summary::summarise;
