//! How the status looks: clusters, workloads, addresses, registrations, data, then what is not
//! well and the verdict, so that the end of the screen answers the question.

use std::fmt::Write as _;

use crate::report::{Cell, Coloring, Emphasis, Table, visible_in_line};
use crate::status::Verdict;
use crate::status::report::{
    AutoscalerStatus, ClusterStatus, Concern, QueueStatus, RegistrationStatus, Severity,
    StatusReport, WorkloadStatus,
};

use super::details;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What matters most.
    Short,
    /// Images, versions, deployments, certificates and the stalest GPUs, too.
    Wide,
}

/// The paper that is drawn on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// How much is shown.
    pub(super) extent: Extent,
    /// Columns of the terminal, if it is one: what matters least is left out where they are few.
    pub(super) columns: Option<usize>,
    /// Whether it is coloured.
    pub(super) coloring: Coloring,
}

/// Everything once, the answer last: there the eye is when a command has ended.
pub(super) fn page(report: &StatusReport, frame: Frame) -> String {
    let mut parts = tables(report, frame);
    let answer = format!(
        "{}{}{}\n",
        facts(report, frame),
        concerns(report),
        verdict(report, frame.coloring)
    );
    parts.push(answer);
    parts.join("\n")
}

/// Everything for a screen that is drawn again and again, the answer first: what there is no room
/// for is cut off at the end.
pub(super) fn watched(report: &StatusReport, frame: Frame) -> String {
    let answer = format!("{}\n{}", verdict(report, frame.coloring), concerns(report));
    let mut parts = vec![answer];
    let (mut tables, facts) = (tables(report, frame), facts(report, frame));
    let rest = tables.split_off(tables.len().min(2));
    parts.extend(tables);
    parts.push(facts);
    parts.extend(rest);
    parts.join("\n")
}

fn tables(report: &StatusReport, frame: Frame) -> Vec<String> {
    let mut parts = Vec::new();
    let mut add = |mut table: Table, dispensable: &[&str]| {
        if !table.is_empty() {
            table.fit(frame.columns, dispensable);
            parts.push(table.render(frame.coloring));
        }
    };
    add(clusters(report), &["TELECTL", "BY", "KUBERNETES", "ROLES"]);
    add(
        workloads(report, frame.extent),
        &["NAMESPACE", "IMAGE", "RESTARTS", "AUTOSCALER"],
    );
    add(details::data(report), &["HOSTS", "BEHIND", "SOURCES"]);
    add(addresses(report), &[]);
    add(
        registrations(report, frame.columns),
        &["LEASE", "AGE", "CLUSTER"],
    );
    if frame.extent == Extent::Wide {
        add(details::stalest(report), &["UUID"]);
        add(details::versions(report), &[]);
        add(details::deployments(report), &["BY"]);
        add(details::certificates(report), &["ENDPOINT"]);
    }
    parts
}

fn emphasis(verdict: Verdict) -> Emphasis {
    match verdict {
        Verdict::Ready => Emphasis::Good,
        Verdict::Unknown | Verdict::Degraded => Emphasis::Warning,
        Verdict::Down | Verdict::Missing | Verdict::Unreachable => Emphasis::Bad,
    }
}

fn clusters(report: &StatusReport) -> Table {
    let mut table = Table::new(&[
        "CLUSTER",
        "ROLES",
        "STATE",
        "KUBERNETES",
        "DEPLOYED",
        "BY",
        "TELECTL",
    ]);
    for cluster in &report.clusters {
        let last = cluster
            .deployed
            .iter()
            .filter(|one| one.age_seconds.is_some())
            .min_by_key(|one| one.age_seconds);
        let deployed = last.map(|last| {
            let ago = last.age_seconds.map(age).unwrap_or_default();
            match last.generation {
                Some(generation) => format!("{ago} ago (generation {generation})"),
                None => format!("{ago} ago"),
            }
        });
        table.row(vec![
            cluster.context.clone().into(),
            cluster.roles.join(", ").into(),
            Cell::new(state(cluster, report), emphasis(cluster.verdict)),
            cluster.version.clone().unwrap_or_default().into(),
            deployed.unwrap_or_default().into(),
            last.map(|last| last.by.clone()).unwrap_or_default().into(),
            last.map(|last| last.version.clone())
                .unwrap_or_default()
                .into(),
        ]);
    }
    table
}

/// `ready`, or `unreachable, seen 2m3s ago`.
fn state(cluster: &ClusterStatus, report: &StatusReport) -> String {
    let word = cluster.verdict.word();
    match (&cluster.unreachable, &cluster.answered_at) {
        (Some(_), Some(seen)) => match details::seconds_between(seen, &report.at) {
            Some(seconds) => format!("{word}, seen {} ago", age(seconds)),
            None => word.to_owned(),
        },
        _ => word.to_owned(),
    }
}

fn workloads(report: &StatusReport, extent: Extent) -> Table {
    let mut headings = vec![
        "CLUSTER",
        "COMPONENT",
        "READY",
        "STATE",
        "RESTARTS",
        "VERSION",
        "AUTOSCALER",
    ];
    if extent == Extent::Wide {
        headings.extend(["NAMESPACE", "IMAGE"]);
    }
    let mut table = Table::new(&headings);
    for cluster in &report.clusters {
        for workload in &cluster.workloads {
            table.row(workload_row(report, cluster, workload, extent));
        }
    }
    table
}

fn workload_row(
    report: &StatusReport,
    cluster: &ClusterStatus,
    workload: &WorkloadStatus,
    extent: Extent,
) -> Vec<Cell> {
    let mut row: Vec<Cell> = vec![
        cluster.context.clone().into(),
        workload.name.clone().into(),
        format!("{}/{}", workload.ready, workload.desired).into(),
        Cell::new(workload.verdict.word(), emphasis(workload.verdict)),
        workload.restarts.to_string().into(),
        details::version_cell(report, workload),
        autoscaler(workload.autoscaler.as_ref()),
    ];
    if extent == Extent::Wide {
        row.push(workload.namespace.clone().into());
        row.push(details::images(workload).into());
    }
    row
}

/// `2 of 2–8, cpu 35%/70%`
fn autoscaler(autoscaler: Option<&AutoscalerStatus>) -> Cell {
    let Some(autoscaler) = autoscaler else {
        return Cell::from("");
    };
    let (current, min, max) = (autoscaler.current, autoscaler.min, autoscaler.max);
    let mut text = format!("{current} of {min}–{max}");
    for metric in &autoscaler.metrics {
        text.push_str(", ");
        text.push_str(metric);
    }
    if autoscaler.unable.is_some() {
        text.push_str(" cannot scale");
        return Cell::new(text, Emphasis::Bad);
    }
    Cell::from(text)
}

fn addresses(report: &StatusReport) -> Table {
    let mut table = Table::new(&["CLUSTER", "SERVICE", "ADDRESS", "ENDPOINTS"]);
    for cluster in &report.clusters {
        for address in &cluster.addresses {
            let shown = match address.address.as_str() {
                "" => Cell::new("pending", Emphasis::Warning),
                given => given.into(),
            };
            table.row(vec![
                cluster.context.clone().into(),
                address.service.clone().into(),
                shown,
                match address.endpoints {
                    Some(endpoints) => endpoints.to_string().into(),
                    None => Cell::new("unknown", Emphasis::Warning),
                },
            ]);
        }
    }
    table
}

/// By key; where that has no room, by the last part of the name, which is the pod's.
fn registrations(report: &StatusReport, columns: Option<usize>) -> Table {
    let headings = [
        "REGISTRATION",
        "CLUSTER",
        "ADDRESS",
        "HEALTH",
        "AGE",
        "LEASE",
    ];
    let made = |name: fn(&str) -> &str| {
        let mut table = Table::new(&headings);
        for one in &report.registrations {
            table.row(registration_row(one, name(&one.key)));
        }
        table
    };
    let whole = made(|key| key.trim_start_matches("/services/"));
    if whole.width() <= columns.unwrap_or(usize::MAX) {
        return whole;
    }
    made(|key| key.rsplit(['.', '/']).next().unwrap_or(key))
}

fn registration_row(one: &RegistrationStatus, name: &str) -> Vec<Cell> {
    let health = if one.health == "healthy" {
        Emphasis::Good
    } else {
        Emphasis::Bad
    };
    let lease = match one.lease_remaining_seconds {
        Some(seconds) => Cell::from(format!("{seconds} s left")),
        None => Cell::new("none", Emphasis::Warning),
    };
    vec![
        name.into(),
        one.cluster.clone().into(),
        one.endpoint.clone().into(),
        Cell::new(one.health.clone(), health),
        one.age_seconds.map(age).unwrap_or_default().into(),
        lease,
    ]
}

/// The two largest units of a time.
pub(in crate::cli) fn age(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

/// What is one line each.
fn facts(report: &StatusReport, frame: Frame) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |said: String| writeln!(text, "{}", visible_in_line(&said)).unwrap_or_default();
    line(match &report.queue {
        Some(queue) => queue_line(queue),
        None => "queue: unknown, no collector says".to_owned(),
    });
    for spool in report.clusters.iter().flat_map(|cluster| &cluster.spools) {
        match spool.undrained {
            Some(0) => {}
            Some(batches) => line(format!("spool of {}: {batches} batches to go", spool.pod)),
            None => line(format!("spool of {}: unknown", spool.pod)),
        }
    }
    if frame.extent == Extent::Short && !report.certificates.is_empty() {
        line(details::certificate_line(report));
    }
    for (what, unknown) in [
        ("data", &report.data_unknown),
        ("registrations", &report.registrations_unknown),
        ("certificates", &report.certificates_unknown),
    ] {
        if let Some(why) = unknown {
            line(format!("{what}: unknown, {why}"));
        }
    }
    text
}

/// What is not well, and what is worth a look.
fn concerns(report: &StatusReport) -> String {
    let mut text = String::new();
    let mut line = |said: String| writeln!(text, "{}", visible_in_line(&said)).unwrap_or_default();
    for (severity, heading) in [
        (Severity::Problem, "not well:"),
        (Severity::Notice, "worth a look:"),
    ] {
        let of = |concern: &&Concern| concern.severity == severity;
        let listed: Vec<&Concern> = report.concerns.iter().filter(of).collect();
        if !listed.is_empty() {
            line(heading.to_owned());
        }
        for concern in listed {
            line(format!("  {}", concern_line(concern)));
        }
    }
    text
}

fn queue_line(queue: &QueueStatus) -> String {
    format!(
        "queue: {} messages, {} not delivered yet, {} pending, oldest {:.1} s, {} set aside",
        queue.entries, queue.lag, queue.pending, queue.oldest_seconds, queue.dead
    )
}

pub(super) fn concern_line(concern: &Concern) -> String {
    match &concern.cluster {
        Some(cluster) => format!("{cluster}: {}: {}", concern.subject, concern.says),
        None => format!("{}: {}", concern.subject, concern.says),
    }
}

/// `verdict: ready` or `verdict: degraded (2 problems)`.
pub(super) fn verdict(report: &StatusReport, coloring: Coloring) -> String {
    let word = report.verdict.word();
    let shown = match (emphasis(report.verdict), coloring) {
        (_, Coloring::Plain) => word.to_owned(),
        (Emphasis::Good, _) => format!("\u{1b}[32m{word}\u{1b}[0m"),
        (Emphasis::Warning, _) => format!("\u{1b}[33m{word}\u{1b}[0m"),
        _ => format!("\u{1b}[31m{word}\u{1b}[0m"),
    };
    let of = |severity| {
        let concerns = report.concerns.iter();
        concerns
            .filter(|concern| concern.severity == severity)
            .count()
    };
    let counted: Vec<String> = [
        (of(Severity::Problem), "problem"),
        (of(Severity::Notice), "notice"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
    .collect();
    match counted.as_slice() {
        [] => format!("verdict: {shown}"),
        counted => format!("verdict: {shown} ({})", counted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn an_age_has_two_units() {
        assert_eq!(age(12), "12s");
        assert_eq!(age(75), "1m15s");
        assert_eq!(age(3720), "1h2m");
        assert_eq!(age(90_000), "1d1h");
    }
}
