//! Deploys profiles to clusters: observe (I/O) → plan (pure) → execute (I/O, by events).

pub mod belongings;
pub mod certificates;
pub mod error;
pub mod event;
pub mod execute;
pub mod handover;
mod keys;
pub mod layout;
pub mod observe;
pub mod plan;
pub mod preflight;
mod prune;
mod record;
pub mod refusal;
pub mod role;
pub mod run;
pub mod scaling;
pub mod secrets;
mod settle;
pub mod uninstall;

pub use error::DeployError;
pub use run::{Options, Run};
