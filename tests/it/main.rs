//! The one integration binary.

mod config;
mod conformance;
mod golden;
mod layers;
mod probe;
mod queue;
mod registry;
mod registry_support;
mod render;
mod render_network;
mod render_security;
mod runtime;
mod servers;
mod store;
mod store_data;
mod store_fixture;
mod store_postgres;
