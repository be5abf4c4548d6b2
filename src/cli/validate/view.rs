//! How findings look.

use std::fmt::Write as _;

use serde::Serialize;

use crate::report::{Cell, Coloring, Emphasis, Table, visible, visible_in_line};
use crate::validate::{Finding, Summary, Verdict};

/// Version of the JSON form; fields are only ever added.
const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct ReportView<'a> {
    schema_version: u32,
    ok: bool,
    summary: SummaryView,
    findings: Vec<FindingView<'a>>,
}

#[derive(Debug, Serialize)]
struct SummaryView {
    passed: usize,
    warnings: usize,
    failed: usize,
    timed_out: usize,
    skipped: usize,
}

#[derive(Debug, Serialize)]
struct FindingView<'a> {
    id: &'a str,
    category: &'a str,
    title: &'a str,
    cluster: &'a str,
    vantage: &'a str,
    subject: &'a str,
    result: &'a str,
    severity: &'a str,
    cause: Option<&'a str>,
    observed: &'a str,
    expected: &'a str,
    because: Option<&'a str>,
    remedy: Option<RemedyView<'a>>,
    address: Option<&'a str>,
    latency_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct RemedyView<'a> {
    text: &'a str,
    commands: &'a [String],
}

/// The findings as JSON.
pub(super) fn json(findings: &[Finding]) -> String {
    let summary = Summary::of(findings);
    let view = ReportView {
        schema_version: SCHEMA_VERSION,
        ok: !summary.has_failures(),
        summary: SummaryView {
            passed: summary.passed,
            warnings: summary.warnings,
            failed: summary.failed,
            timed_out: summary.timed_out,
            skipped: summary.skipped,
        },
        findings: findings.iter().map(finding_view).collect(),
    };
    serde_json::to_string_pretty(&view).unwrap_or_default()
}

fn finding_view(finding: &Finding) -> FindingView<'_> {
    FindingView {
        id: finding.check.id,
        category: finding.check.category.word(),
        title: finding.check.title,
        cluster: &finding.cluster,
        vantage: &finding.vantage,
        subject: &finding.subject,
        result: finding.verdict.word(),
        severity: match finding.verdict {
            Verdict::Failed | Verdict::TimedOut => "error",
            Verdict::Warning => "warning",
            Verdict::Passed | Verdict::Skipped { .. } => "info",
        },
        cause: finding.cause.map(crate::probe::Cause::word),
        observed: &finding.observed,
        expected: &finding.expected,
        because: because(finding),
        remedy: finding.remedy.as_ref().map(|remedy| RemedyView {
            text: &remedy.text,
            commands: &remedy.commands,
        }),
        address: finding.address.as_deref(),
        latency_ms: finding.latency_ms,
    }
}

fn because(finding: &Finding) -> Option<&str> {
    match &finding.verdict {
        Verdict::Skipped { because } => Some(because),
        _ => None,
    }
}

/// A table of all findings, what to do about those that are not as they should be, and a count.
pub(super) fn table(findings: &[Finding], coloring: Coloring) -> String {
    let mut table = Table::new(&["RESULT", "CHECK", "FROM", "WHAT", "SEEN", "ADDRESS", "TIME"]);
    for finding in findings {
        table.row(row(finding));
    }
    let mut text = table.render(coloring);
    for finding in notable(findings) {
        text.push('\n');
        text.push_str(&details(finding));
    }
    text.push('\n');
    text.push_str(&count(findings));
    text
}

fn row(finding: &Finding) -> Vec<Cell> {
    let emphasis = match finding.verdict {
        Verdict::Passed => Emphasis::Good,
        Verdict::Warning => Emphasis::Warning,
        Verdict::Failed | Verdict::TimedOut => Emphasis::Bad,
        Verdict::Skipped { .. } => Emphasis::None,
    };
    let seen = match (&finding.cause, because(finding)) {
        (_, Some(because)) => because.to_owned(),
        (Some(cause), None) => cause.word().to_owned(),
        (None, None) => finding.observed.clone(),
    };
    let from = match finding.vantage.as_str() {
        "telectl" => format!("telectl to {}", finding.cluster),
        position => position.to_owned(),
    };
    let time = finding.latency_ms.filter(|time| *time > 0.0);
    vec![
        Cell::new(finding.verdict.word(), emphasis),
        finding.check.id.into(),
        from.into(),
        finding.subject.clone().into(),
        shortened(&seen).into(),
        finding.address.clone().unwrap_or_default().into(),
        time.map(|time| format!("{time:.0} ms"))
            .unwrap_or_default()
            .into(),
    ]
}

/// The details come below: a cell has one line of moderate length.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(LONGEST).collect();
    short.push('…');
    short
}

fn notable(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings
        .iter()
        .filter(|finding| finding.verdict.is_failure() || finding.verdict == Verdict::Warning)
}

fn details(finding: &Finding) -> String {
    let mut text = format!(
        "{} {}: {}\n",
        finding.verdict.word(),
        finding.check.id,
        finding.check.title
    );
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let value = visible(value.trim_end()).replace('\n', "\n            ");
            writeln!(text, "  {name:<9} {value}").unwrap_or_default();
        }
    };
    line("cluster", &finding.cluster);
    line("from", &finding.vantage);
    line("what", &finding.subject);
    line("address", finding.address.as_deref().unwrap_or_default());
    if let Some(time) = finding.latency_ms {
        line("time", &format!("{time:.0} ms"));
    }
    line("seen", &finding.observed);
    line("expected", &finding.expected);
    if let Some(remedy) = &finding.remedy {
        line("do", &remedy.text);
        for command in &remedy.commands {
            line("", &format!("$ {command}"));
        }
    }
    text
}

/// Only what is not as it should be, one line each, and a count.
pub(super) fn short(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in notable(findings) {
        let remedy = finding.remedy.as_ref();
        let action = remedy
            .map(|remedy| remedy.commands.first().unwrap_or(&remedy.text).as_str())
            .unwrap_or_default();
        writeln!(
            text,
            "{} {} from {} to {}: {} → {}",
            finding.verdict.word(),
            finding.check.id,
            visible_in_line(&finding.vantage),
            visible_in_line(&finding.subject),
            visible_in_line(finding.observed.lines().next().unwrap_or_default()),
            visible_in_line(action),
        )
        .unwrap_or_default();
    }
    text.push_str(&count(findings));
    text
}

fn count(findings: &[Finding]) -> String {
    let summary = Summary::of(findings);
    let warnings = match summary.warnings {
        1 => "1 warning".to_owned(),
        count => format!("{count} warnings"),
    };
    format!(
        "{} passed, {} failed, {} timed out, {warnings}, {} skipped\n",
        summary.passed, summary.failed, summary.timed_out, summary.skipped
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Cause;
    use crate::validate::{Remedy, check};

    fn findings() -> Vec<Finding> {
        vec![
            Finding::new(&check::CLUSTER_DNS, "edge", "kubernetes.default.svc")
                .from("edge/streamer")
                .seen("DNS")
                .timed(Some("10.96.0.10:53"), 1.2),
            Finding::new(&check::REDIS, "edge", "192.0.2.10:6379")
                .from("edge/streamer")
                .seen("connection refused at the TCP hop: connection refused")
                .failed(Some(Cause::Refused), "PING")
                .timed(Some("192.0.2.10:6379"), 3.0)
                .remedy(Remedy::run(
                    "scale it up again",
                    vec!["kubectl --context central scale statefulset/redis --replicas=1".into()],
                )),
            Finding::new(&check::ETCD, "central", "etcd")
                .from("central/collector")
                .skipped("no --central-context was given"),
        ]
    }

    #[test]
    fn v19_every_finding_is_in_the_json_with_where_when_and_what_to_do() {
        let report: serde_json::Value = serde_json::from_str(&json(&findings())).unwrap();
        assert_eq!(report["schema_version"], 1);
        assert_eq!(report["ok"], false);
        assert_eq!(report["summary"]["failed"], 1);
        let redis = &report["findings"][1];
        assert_eq!(redis["vantage"], "edge/streamer");
        assert_eq!(redis["cause"], "connection refused");
        assert_eq!(redis["address"], "192.0.2.10:6379");
        assert_eq!(redis["remedy"]["text"], "scale it up again");
        assert_eq!(report["findings"][2]["result"], "skipped");
    }

    #[test]
    fn the_table_says_what_to_do_below() {
        insta::assert_snapshot!(table(&findings(), Coloring::Plain), @r"
        RESULT   CHECK        FROM               WHAT                    SEEN                            ADDRESS          TIME
        passed   TEL-DNS-001  edge/streamer      kubernetes.default.svc  DNS                             10.96.0.10:53    1 ms
        failed   TEL-RED-001  edge/streamer      192.0.2.10:6379         connection refused              192.0.2.10:6379  3 ms
        skipped  TEL-ETC-001  central/collector  etcd                    no --central-context was given

        failed TEL-RED-001: Redis answers and takes entries
          cluster   edge
          from      edge/streamer
          what      192.0.2.10:6379
          address   192.0.2.10:6379
          time      3 ms
          seen      connection refused at the TCP hop: connection refused
          expected  PING
          do        scale it up again
                    $ kubectl --context central scale statefulset/redis --replicas=1

        1 passed, 1 failed, 0 timed out, 0 warnings, 1 skipped
        ");
    }

    #[test]
    fn what_pods_and_etcd_say_does_nothing_to_a_terminal() {
        let finding = Finding::new(&check::STALE, "edge", "key\u{1b}[2J")
            .from("edge\u{9b}")
            .seen("log\u{7}\nline")
            .failed(None, "none")
            .remedy(Remedy::text("see \u{1b}]0;x"));
        for text in [
            table(std::slice::from_ref(&finding), Coloring::Plain),
            short(std::slice::from_ref(&finding)),
        ] {
            let acts = |symbol: char| symbol.is_control() && symbol != '\n';
            assert!(!text.contains(acts), "{text:?}");
            assert!(text.contains(r"\u{1b}[2J"), "{text}");
        }
    }

    #[test]
    fn one_warning_is_counted_in_the_singular() {
        let warned = || Finding::new(&check::ETCD, "central", "etcd").warning("three members");
        assert!(count(&[warned()]).contains(" 1 warning, "));
        assert!(count(&[warned(), warned()]).contains(" 2 warnings, "));
    }

    #[test]
    fn the_short_form_has_one_line_per_fault() {
        let text = short(&findings());
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("failed TEL-RED-001 from edge/streamer"));
    }
}
