//! telectl deploys, proves and runs a GPU-telemetry pipeline that spans Kubernetes clusters.
//!
//! The modules stand in layer order: each imports only from those before it. `tests/it/layers.rs`
//! keeps that true.

pub mod model;

pub mod report;

pub mod config;

pub mod render;

pub mod lint;

pub mod cluster;

pub mod registry;

pub mod queue;

pub mod store;

pub mod backup;

pub mod probe;

pub mod deploy;

pub mod validate;

pub mod status;

pub mod workers;

pub mod cli;
