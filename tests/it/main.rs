//! The one integration binary.

mod queue;
mod servers;
