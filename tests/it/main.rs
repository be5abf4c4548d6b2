//! The one integration binary.

mod conformance;
mod probe;
mod queue;
mod registry;
mod registry_support;
mod render;
mod runtime;
mod servers;
