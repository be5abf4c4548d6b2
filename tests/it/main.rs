//! The one integration binary.

mod config;
mod config_refused;
mod conformance;
mod golden;
mod layers;
mod gateway;
mod probe;
mod queue;
mod queue_connection;
mod registry;
mod registry_support;
mod render;
mod render_network;
mod render_security;
mod render_support;
mod render_workers;
mod runtime;
mod servers;
mod store;
mod store_data;
mod store_fixture;
mod store_postgres;
mod streamer;
mod streamer_harness;
mod streamer_outage;
mod streamer_sharing;
