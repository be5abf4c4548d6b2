//! One suite per trait, run against each of its implementations.

pub(crate) mod queue;
mod registry;
pub(crate) mod store;
