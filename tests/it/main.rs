//! The one integration binary.

mod conformance;
mod queue;
mod queue_connection;
mod registry;
mod registry_support;
mod runtime;
mod servers;
mod streamer;
mod streamer_harness;
mod streamer_outage;
mod streamer_sharing;
