//! Deploys profiles to clusters: observe (I/O) → plan (pure) → execute (I/O, by events).

pub mod advertised;
pub mod belongings;
mod canary;
pub mod certificates;
pub mod error;
pub mod event;
pub mod execute;
mod ground;
pub mod handover;
pub mod history;
pub mod intent;
mod keys;
pub mod knowledge;
pub mod layout;
pub mod observe;
pub mod plan;
mod planning;
mod preflight;
pub mod progressed;
mod prune;
mod record;
pub mod refusal;
pub mod role;
mod rollback;
pub mod run;
pub mod scaling;
pub mod secrets;
mod settle;
mod stage_run;

pub use error::DeployError;
pub use run::{Options, Run};
