//! The one integration binary.

mod conformance;
mod demo;
mod gateway;
mod probe;
mod program;
mod queue;
mod registry;
mod registry_support;
mod render;
mod runtime;
mod runtime_process;
mod servers;
mod store;
mod store_data;
mod store_fixture;
mod store_postgres;
mod streamer;
