//! The canary record: sent from the place of an edge's streamer, through the queue, a collector and
//! the store, to what the gateway answers. Nobody but the API servers is talked to from here.

mod central;
mod flight;
mod report;
mod send;
mod verdict;

pub use flight::{Flight, arrive};
pub use report::{CanaryReport, SCHEMA_VERSION, Sending, SentCanary};
pub use send::send;
pub use verdict::{Arrived, CanaryError, Clock, Flown, Skew, StoreFault};

#[cfg(test)]
mod verdict_tests;
