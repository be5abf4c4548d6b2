//! Deploys profiles to clusters: observe (I/O) → plan (pure) → execute (I/O, by events).

pub mod belongings;
pub mod certificates;
pub mod claim;
pub mod error;
pub mod event;
pub mod execute;
mod ground;
pub mod handover;
mod keys;
pub mod layout;
mod object;
pub mod observe;
pub mod plan;
pub mod policy;
mod possession;
mod preflight;
mod prune;
mod record;
pub mod recreate;
pub mod refusal;
mod releases;
pub mod role;
pub mod run;
pub mod scaling;
pub mod secrets;
mod settle;
pub mod takeover;

pub use error::DeployError;
pub use run::{Options, Run};
