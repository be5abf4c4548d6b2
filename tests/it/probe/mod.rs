//! The hops of a probe against real servers: every fault gives a word of its own.

mod canary;
mod dns;
mod etcd;
mod http;
mod postgresql;
mod redis;
mod tls;

use std::net::SocketAddr;

use telectl::probe::dns::Resolver;
use telectl::probe::{Cause, Hop, Target, TargetReport, probe};

/// A resolver that asks one server and has no search suffixes.
fn resolver(server: SocketAddr) -> Resolver {
    Resolver {
        nameservers: vec![server],
        search: Vec::new(),
        ndots: 1,
        hosts: Vec::new(),
    }
}

/// A resolver for targets that are given as addresses.
fn no_resolver() -> Resolver {
    Resolver::from_files("", "127.0.0.1 localhost\n")
}

async fn probed(target: Target) -> TargetReport {
    probe(&target, &no_resolver()).await.0
}

/// Which hop failed and why; panics if none did.
fn failure(report: &TargetReport) -> (Hop, Cause, String) {
    let hop = report
        .failed_hop()
        .unwrap_or_else(|| panic!("everything passed: {report:#?}"));
    let (cause, detail) = hop.outcome.failure().expect("it failed");
    (hop.hop, cause, detail)
}

fn assert_passed(report: &TargetReport) {
    assert!(report.failed_hop().is_none(), "{report:#?}");
}
