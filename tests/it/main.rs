//! The one integration binary.

mod probe;
mod queue;
mod servers;
