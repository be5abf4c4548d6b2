//! How the pipeline stands: one picture over all clusters.
//!
//! [`collect`] asks (I/O), [`summarise`] decides (pure). A cluster that does not answer is a row
//! and not an end.

pub mod collect;
pub mod report;
pub mod summary;

#[cfg(test)]
mod tests;

pub use collect::{Collected, Limits, collect};
pub use report::{StatusReport, Verdict};
pub use summary::summarise;
