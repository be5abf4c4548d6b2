//! Settings: layered values for the operator side, typed settings for the workers.
//!
//! The only reader of the environment ([`environment`]) and of settings files.

pub mod environment;
pub mod worker;
