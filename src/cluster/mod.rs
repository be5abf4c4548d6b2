//! The mechanics of one cluster: connecting, reading, applying, comparing, waiting.

pub mod access;
pub mod applied;
pub mod apply;
pub mod client;
pub mod contents;
pub mod diff;
pub mod error;
pub mod exec;
pub mod fields;
pub mod gone;
pub mod helm;
pub mod inventory;
pub mod job;
pub mod kubeconfig;
pub mod lock;
pub mod managers;
pub mod pod;
mod pulls;
pub mod readiness;
pub mod rights;
mod scene;
pub mod snapshot;
mod transport;
pub mod wait;

pub use client::Cluster;
pub use error::ClusterError;
