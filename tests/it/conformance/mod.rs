//! What every implementation of a trait has to do, told once.

pub(crate) mod queue;
