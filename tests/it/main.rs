//! The one integration binary.

mod conformance;
mod queue;
mod registry;
mod registry_support;
mod runtime;
mod servers;
mod streamer;
