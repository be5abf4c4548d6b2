//! The one integration binary.

mod conformance;
mod queue;
mod servers;
