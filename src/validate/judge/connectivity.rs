//! What the probes found.

use crate::deploy::certificates::{RENEWAL_DAYS, WARNING_DAYS};
use crate::probe::{Cause, Hop, Outcome, ProbeReport, TargetKind, TargetReport};
use crate::validate::check;
use crate::validate::finding::{Finding, Remedy};
use crate::validate::observe::{Observed, ProbeEnd, ProbeFacts, SiteFacts};
use crate::validate::remedy;

use super::{check_of, targets_of, vantage};

/// Days left below which a certificate is a failure; the warning comes before it, and deploy's
/// renewal before both.
const FAILURE_DAYS: i64 = 7;
const _: () = assert!(FAILURE_DAYS < WARNING_DAYS && WARNING_DAYS < RENEWAL_DAYS);

pub(super) fn probes(observed: &Observed, site: &SiteFacts) -> Vec<Finding> {
    let each = site.probes.iter();
    each.flat_map(|probe| probe_findings(observed, site, probe))
        .collect()
}

fn probe_findings(observed: &Observed, site: &SiteFacts, probe: &ProbeFacts) -> Vec<Finding> {
    let ran = ran(observed, site, probe);
    let ProbeEnd::Reported(report) = &probe.end else {
        let because = format!("the probe did not run ({})", check::PROBE_RAN.id);
        let mut findings = vec![ran];
        findings.extend(targets_of(probe.component).iter().map(|kind| {
            Finding::new(check_of(*kind), &site.context, kind.word())
                .from(vantage(&site.context, probe.component))
                .skipped(&because)
        }));
        return findings;
    };
    let mut findings = vec![ran];
    for target in &report.targets {
        findings.push(judge_target(observed, site, probe, (report, target)));
        findings.extend(certificate(site, probe, target));
    }
    findings
}

fn ran(observed: &Observed, site: &SiteFacts, probe: &ProbeFacts) -> Finding {
    let subject = format!("{}/{}", probe.namespace, probe.workload);
    let finding = Finding::new(&check::PROBE_RAN, &site.context, subject)
        .from(vantage(&site.context, probe.component));
    let expected = "a report of the probe";
    match &probe.end {
        ProbeEnd::Reported(report) => {
            let node = report.node.as_deref().unwrap_or("some node");
            let finding = finding
                .seen(format!("{} targets probed on {node}", report.targets.len()))
                .timed(None, report.elapsed_ms);
            match &probe.left {
                None => finding,
                Some(left) => super::and_seen(finding, left)
                    .warning("nothing of it is left")
                    .remedy(remedy::clear_away(site, probe)),
            }
        }
        ProbeEnd::NotStarted { reason } => finding
            .seen(format!("its pod could not start: {reason}"))
            .failed(None, expected)
            .remedy(remedy::cannot_start(observed, site, probe, reason)),
        ProbeEnd::OutOfTime { state } => finding
            .seen(format!("no report in time: {state}"))
            .failed(Some(Cause::TimedOut), expected)
            .remedy(remedy::probe_out_of_time(site, probe)),
        ProbeEnd::Stopped => finding
            .seen("the run's time was over before it reported")
            .failed(Some(Cause::TimedOut), expected)
            .remedy(Remedy::text("repeat with a longer --timeout")),
        ProbeEnd::Failed { reason } => {
            finding
                .seen(reason)
                .failed(None, expected)
                .remedy(Remedy::text(
                    "the cluster refused the probe's Job or lost its log: see the message",
                ))
        }
    }
}

fn judge_target(
    observed: &Observed,
    site: &SiteFacts,
    probe: &ProbeFacts,
    (report, target): (&ProbeReport, &TargetReport),
) -> Finding {
    let finding = Finding::new(check_of(target.kind), &site.context, &target.endpoint)
        .from(vantage(&site.context, probe.component))
        .timed(target.address(), target.latency_ms());
    let Some(failed) = target.failed_hop() else {
        return finding.seen(passed(target));
    };
    let (cause, detail) = failed
        .outcome
        .failure()
        .unwrap_or((Cause::Unknown, String::new()));
    let mut seen = format!("{cause} at the {} hop: {detail}", failed.hop);
    if cause.is_of_dns_itself() && target.kind != TargetKind::ClusterDns && dns_fails(report) {
        return finding.seen(seen).skipped(format!(
            "name resolution itself fails there ({})",
            check::CLUSTER_DNS.id
        ));
    }
    let case = remedy::Case {
        observed,
        site,
        probe,
        target,
        cause,
    };
    if let Some((pod, complaint)) = case.complaint_of_server() {
        seen.push_str(&format!("; its server {pod} is not ready: {complaint}"));
    }
    finding
        .seen(seen)
        .failed(Some(cause), expected(target.kind))
        .remedy(case.remedy())
}

/// Whether the probe's own check of the name service failed.
fn dns_fails(report: &ProbeReport) -> bool {
    report.targets.iter().any(|target| {
        target.kind == TargetKind::ClusterDns
            && target
                .failed_hop()
                .and_then(|hop| hop.outcome.failure())
                .is_some_and(|(cause, _)| cause.is_of_dns_itself())
    })
}

fn passed(target: &TargetReport) -> String {
    let hops: Vec<&str> = target
        .hops
        .iter()
        .filter(|hop| hop.outcome == Outcome::Passed)
        .map(|hop| match (target.kind, hop.hop) {
            (TargetKind::Redis, Hop::Command) => "PING",
            (TargetKind::Postgresql, Hop::Command) => "SELECT 1",
            (TargetKind::Etcd, Hop::Command) => "list",
            (_, other) => other.word(),
        })
        .collect();
    hops.join(", ")
}

const fn expected(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::ClusterDns => "the address of kubernetes.default.svc",
        TargetKind::Redis => "DNS, TCP, TLS, login, PING and a server that takes writes",
        TargetKind::Postgresql => "DNS, TCP, TLS, login, SELECT 1 and a server that takes writes",
        TargetKind::Etcd => "DNS, TCP, TLS, login and a list of registrations",
        TargetKind::Http => "an answer that says healthy",
    }
}

/// How long the certificate that was shown is still valid; a certificate that failed the
/// handshake has its finding already.
fn certificate(site: &SiteFacts, probe: &ProbeFacts, target: &TargetReport) -> Option<Finding> {
    let certificate = target.certificate.as_ref()?;
    if target
        .failed_hop()
        .is_some_and(|failed| failed.hop == Hop::Tls)
    {
        return None;
    }
    let days = certificate.days_left;
    let finding = Finding::new(&check::CERTIFICATE, &site.context, &target.endpoint)
        .from(vantage(&site.context, probe.component))
        .seen(format!("{days} days left, until {}", certificate.not_after))
        .timed(target.address(), 0.0);
    let expected = format!("at least {WARNING_DAYS} days left");
    Some(if days < FAILURE_DAYS {
        finding
            .failed(None, expected)
            .remedy(remedy::renew(target.kind))
    } else if days < WARNING_DAYS {
        finding.warning(expected).remedy(remedy::renew(target.kind))
    } else {
        finding
    })
}
