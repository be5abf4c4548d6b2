//! Tests on real Kubernetes clusters with real pods.
//!
//! `make test` starts the clusters and says where they are; a test that finds none is a visible
//! skip on a person's machine and a failure where `CI=true`.

mod account;
mod applyset;
mod backup;
mod canary;
mod causes;
mod chaos;
mod connections;
mod connectivity;
mod deploy;
mod drift;
mod effort;
mod faults;
mod final_state;
mod helm;
mod history;
mod identity;
mod lab;
mod lane;
mod objects;
mod one_cluster;
mod ownership;
mod proxy;
mod prune;
mod refusals;
mod rights;
mod rollout;
mod rotation;
mod stand_in;
mod status;
mod sweep;
mod traffic;
mod trouble;
mod turn;
mod uninstall;
