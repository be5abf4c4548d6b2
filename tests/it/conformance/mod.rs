//! One suite per trait, run against each of its implementations.

mod queue;
mod registry;
