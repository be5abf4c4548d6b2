//! How the status looks.

use std::fmt::Write as _;

use crate::report::{Cell, Coloring, Emphasis, Table, visible_in_line};
use crate::status::Verdict;
use crate::status::report::{ClusterStatus, RegistrationStatus, StatusReport, WorkloadStatus};

/// How much fits beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// What matters most.
    Narrow,
    /// Images, autoscalers and deployments, too.
    Wide,
}

/// One table of workloads over all clusters, then addresses, registrations, queue and spools.
pub(super) fn table(report: &StatusReport, width: Width, coloring: Coloring) -> String {
    let mut text = workloads(report, width).render(coloring);
    let mut section = |table: &Table| {
        if !table.is_empty() {
            text.push('\n');
            text.push_str(&table.render(coloring));
        }
    };
    section(&addresses(report));
    section(&registrations(report));
    if width == Width::Wide {
        section(&deployments(report));
    }
    text.push('\n');
    text.push_str(&tail(report));
    text
}

fn emphasis(verdict: Verdict) -> Emphasis {
    match verdict {
        Verdict::Ready => Emphasis::Good,
        Verdict::Unknown | Verdict::Degraded => Emphasis::Warning,
        Verdict::Down | Verdict::Missing | Verdict::Unreachable => Emphasis::Bad,
    }
}

fn workloads(report: &StatusReport, width: Width) -> Table {
    let mut headings = vec![
        "CLUSTER",
        "COMPONENT",
        "READY",
        "STATE",
        "RESTARTS",
        "IMAGE",
    ];
    if width == Width::Wide {
        headings.extend(["AUTOSCALER", "NAMESPACE"]);
    }
    headings.push("NOTE");
    let mut table = Table::new(&headings);
    for cluster in &report.clusters {
        if let Some(why) = &cluster.unreachable {
            let mut row: Vec<Cell> = vec![
                cluster.context.clone().into(),
                "-".into(),
                "-".into(),
                Cell::new(cluster.verdict.word(), emphasis(cluster.verdict)),
            ];
            row.resize(headings.len() - 1, Cell::from(""));
            row.push(why.clone().into());
            table.row(row);
        }
        for workload in &cluster.workloads {
            table.row(workload_row(cluster, workload, width));
        }
    }
    table
}

fn workload_row(cluster: &ClusterStatus, workload: &WorkloadStatus, width: Width) -> Vec<Cell> {
    let images: Vec<String> = workload
        .images
        .iter()
        .map(|(image, pods)| match workload.images.len() {
            1 => image.clone(),
            _ => format!("{image} ×{pods}"),
        })
        .collect();
    let mut row: Vec<Cell> = vec![
        cluster.context.clone().into(),
        workload.name.clone().into(),
        format!("{}/{}", workload.ready, workload.desired).into(),
        Cell::new(workload.verdict.word(), emphasis(workload.verdict)),
        workload.restarts.to_string().into(),
        images.join(", ").into(),
    ];
    if width == Width::Wide {
        let autoscaler = workload.autoscaler.map(|autoscaler| {
            let (current, min, max) = (autoscaler.current, autoscaler.min, autoscaler.max);
            format!("{current} of {min}–{max}")
        });
        row.push(autoscaler.unwrap_or_default().into());
        row.push(workload.namespace.clone().into());
    }
    let trouble = workload.trouble.as_deref().unwrap_or_default();
    row.push(trouble.lines().next().unwrap_or_default().into());
    row
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

fn registrations(report: &StatusReport) -> Table {
    let mut table = Table::new(&[
        "REGISTRATION",
        "CLUSTER",
        "ADDRESS",
        "HEALTH",
        "AGE",
        "LEASE",
    ]);
    for one in &report.registrations {
        table.row(registration_row(one));
    }
    table
}

fn registration_row(one: &RegistrationStatus) -> Vec<Cell> {
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
        one.key.trim_start_matches("/services/").into(),
        one.cluster.clone().into(),
        one.endpoint.clone().into(),
        Cell::new(one.health.clone(), health),
        one.age_seconds.map(age).unwrap_or_default().into(),
        lease,
    ]
}

/// The two largest units of a time.
fn age(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

fn deployments(report: &StatusReport) -> Table {
    let mut table = Table::new(&["CLUSTER", "PROFILE", "DEPLOYED", "BY", "TELECTL"]);
    for cluster in &report.clusters {
        for deployed in &cluster.deployed {
            table.row(vec![
                cluster.context.clone().into(),
                deployed.profile.into(),
                to_seconds(&deployed.at).into(),
                deployed.by.clone().into(),
                deployed.version.clone().into(),
            ]);
        }
    }
    table
}

/// A time without its fraction; earlier versions recorded one.
fn to_seconds(time: &str) -> String {
    time.parse::<jiff::Timestamp>()
        .map_or_else(|_| time.to_owned(), |time| format!("{time:.0}"))
}

fn tail(report: &StatusReport) -> String {
    let mut text = String::new();
    let mut line =
        |words: String| writeln!(text, "{}", visible_in_line(&words)).unwrap_or_default();
    match &report.queue {
        Some(queue) => line(format!(
            "queue: {} entries, {} pending, oldest {:.1} s, {} set aside",
            queue.entries, queue.pending, queue.oldest_seconds, queue.dead
        )),
        None => line("queue: unknown, no collector says".to_owned()),
    }
    for spool in report.clusters.iter().flat_map(|cluster| &cluster.spools) {
        match spool.undrained {
            Some(0) => {}
            Some(batches) => line(format!("spool of {}: {batches} batches to go", spool.pod)),
            None => line(format!("spool of {}: unknown", spool.pod)),
        }
    }
    if let Some(why) = &report.registrations_unknown {
        line(format!("registrations: unknown, {why}"));
    }
    for gap in report.clusters.iter().flat_map(|cluster| &cluster.gaps) {
        line(format!("not read: {gap}"));
    }
    line(format!("verdict: {}", report.verdict.word()));
    text
}

#[cfg(test)]
mod tests {
    use super::{age, to_seconds};

    #[test]
    fn an_age_has_two_units() {
        assert_eq!(age(12), "12s");
        assert_eq!(age(75), "1m15s");
        assert_eq!(age(3720), "1h2m");
        assert_eq!(age(90_000), "1d1h");
    }

    #[test]
    fn a_time_is_shown_to_the_second() {
        assert_eq!(
            to_seconds("2025-07-18T20:42:34.987654321Z"),
            "2025-07-18T20:42:34Z"
        );
        assert_eq!(to_seconds(""), "");
    }
}
