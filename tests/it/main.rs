//! The one integration binary.

mod collector;
mod conformance;
mod gateway;
mod probe;
mod queue;
mod registry;
mod registry_support;
mod runtime;
mod servers;
mod store;
mod store_data;
mod store_fixture;
mod store_postgres;
