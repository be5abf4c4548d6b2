//! What a probe does: from a name to an answer, hop by hop, and what each hop found.
//!
//! A probe runs where the workload runs (`workers::probe`), so its answers are those of that
//! position. It changes nothing and never prints a secret. Every hop has its own deadline; a hop
//! that fails makes the later ones [`Outcome::Skipped`], so that one fault has one finding.

pub mod canary;
mod course;
pub mod dns;
mod etcd;
mod frame;
mod http;
pub mod job;
mod postgresql;
mod redis;
mod result;
mod target;
mod tcp;
mod tls;

pub use course::cause_in_chain;
pub use frame::{FrameError, decode, encode};
pub use result::{
    Cause, CertificateFacts, Hop, HopResult, Outcome, ProbeReport, Registration, SCHEMA_VERSION,
    TargetKind, TargetReport,
};
pub use target::{HttpTarget, Target, probe};
pub use tls::{Authority, http_client_config, public_authorities};
