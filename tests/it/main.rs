//! The one integration binary.

mod conformance;
mod queue;
mod servers;
mod store;
mod store_data;
mod store_fixture;
mod store_postgres;
