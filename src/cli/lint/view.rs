//! How the findings of lint look.

use serde::Serialize;

use crate::lint::{Finding, Severity};
use crate::report::{Cell, Coloring, Emphasis, Table};

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
    errors: usize,
    warnings: usize,
    allowed: usize,
}

#[derive(Debug, Serialize)]
struct FindingView<'a> {
    id: &'a str,
    title: &'a str,
    severity: &'a str,
    allowed: bool,
    profiles: Vec<&'a str>,
    /// A key of the values, or `Kind/name`.
    subject: &'a str,
    /// Who set the key: a file, a flag, a variable or a profile.
    source: Option<String>,
    line: Option<usize>,
    message: &'a str,
    why: &'a str,
    remedy: &'a str,
}

impl SummaryView {
    fn of(found: &[Finding]) -> Self {
        let count = |severity| found.iter().filter(|one| one.counts_as(severity)).count();
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            allowed: found.iter().filter(|finding| finding.allowed).count(),
        }
    }
}

/// The findings as JSON.
pub(super) fn json(found: &[Finding]) -> String {
    let summary = SummaryView::of(found);
    let view = ReportView {
        schema_version: SCHEMA_VERSION,
        ok: summary.errors == 0,
        summary,
        findings: found.iter().map(finding_view).collect(),
    };
    serde_json::to_string_pretty(&view).unwrap_or_default()
}

fn finding_view(finding: &Finding) -> FindingView<'_> {
    let rule = finding.rule;
    let place = finding.place.as_ref();
    FindingView {
        id: rule.id,
        title: rule.title,
        severity: rule.severity.word(),
        allowed: finding.allowed,
        profiles: profiles(finding),
        subject: &finding.subject,
        source: place.map(|place| place.source.to_string()),
        line: place.and_then(|place| place.line),
        message: &finding.says,
        why: rule.why,
        remedy: rule.remedy,
    }
}

fn profiles(finding: &Finding) -> Vec<&'static str> {
    let profiles = finding.profiles.iter();
    profiles.map(|profile| profile.name()).collect()
}

/// A table of the findings, what to do about each rule that is broken, and a count.
pub(super) fn text(found: &[Finding], coloring: Coloring) -> String {
    let mut text = String::new();
    if !found.is_empty() {
        text.push_str(&table(found).render(coloring));
        text.push('\n');
    }
    let mut told = Vec::new();
    for finding in found.iter().filter(|finding| !finding.allowed) {
        let rule = finding.rule;
        if !told.contains(&rule.id) {
            told.push(rule.id);
            text.push_str(&format!("{}: {}\n  {}\n", rule.id, rule.title, rule.remedy));
        }
    }
    if !told.is_empty() {
        text.push('\n');
    }
    text.push_str(&count(found));
    text
}

fn table(found: &[Finding]) -> Table {
    let mut table = Table::new(&["SEVERITY", "RULE", "PROFILE", "WHAT", "FOUND", "FROM"]);
    for finding in found {
        let place = finding.place.as_ref();
        table.row(vec![
            severity(finding),
            finding.rule.id.into(),
            profiles(finding).join(",").into(),
            finding.subject.as_str().into(),
            finding.says.as_str().into(),
            place.map_or_else(String::new, ToString::to_string).into(),
        ]);
    }
    table
}

fn severity(finding: &Finding) -> Cell {
    let word = finding.rule.severity.word();
    match finding.rule.severity {
        _ if finding.allowed => Cell::new("allowed", Emphasis::None),
        Severity::Error => Cell::new(word, Emphasis::Bad),
        Severity::Warning => Cell::new(word, Emphasis::Warning),
    }
}

fn count(found: &[Finding]) -> String {
    let summary = SummaryView::of(found);
    let number = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        other => format!("{other} {word}s"),
    };
    let allowed = match summary.allowed {
        0 => String::new(),
        count => format!(", {count} allowed"),
    };
    format!(
        "{}, {}{allowed}\n",
        number(summary.errors, "error"),
        number(summary.warnings, "warning")
    )
}
