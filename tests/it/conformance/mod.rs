//! One suite per trait, run against each implementation.

pub(crate) mod store;
