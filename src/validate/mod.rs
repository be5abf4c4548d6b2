//! Proves that the pipeline works, check by check.
//!
//! [`observe`] collects (I/O), [`judge`] decides (pure). Every check says from where it looked, at
//! what, how long it took and what to do. A prerequisite that failed makes what depends on it
//! skipped; no failure ends the run.

pub mod check;
pub mod facts;
pub mod finding;
pub mod flights;
pub mod judge;
pub mod observe;
pub mod registrations;
mod remedy;

pub use check::{CATALOGUE, Category, CheckInfo};
pub use finding::{Finding, Remedy, Summary, Verdict};
pub use judge::{FAILURE_DAYS, judge};
pub use observe::{Canaries, Circumstances, Listener, Observed, Probing, Site, observe};
