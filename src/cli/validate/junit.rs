//! Findings in the form that CI servers read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::validate::{Finding, Verdict};

/// One suite per category, one case per finding.
pub(super) fn report(findings: &[Finding]) -> String {
    let mut suites: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let suite = suites.entry(finding.check.category.word()).or_default();
        suite.push(finding);
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (name, cases) in suites {
        let failures = cases
            .iter()
            .filter(|case| case.verdict.is_failure())
            .count();
        let skipped = cases
            .iter()
            .filter(|case| matches!(case.verdict, Verdict::Skipped { .. }))
            .count();
        writeln!(
            text,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">",
            cases.len()
        )
        .unwrap_or_default();
        for finding in cases {
            text.push_str(&case(finding));
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(finding: &Finding) -> String {
    let name = format!(
        "{} {} {}",
        finding.check.id, finding.vantage, finding.subject
    );
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
        escaped(&finding.cluster),
        escaped(&name),
        finding.latency_ms.unwrap_or_default() / 1000.0
    );
    match &finding.verdict {
        Verdict::Passed | Verdict::Warning => format!("{head}/>\n"),
        Verdict::Skipped { because } => format!(
            "{head}>\n      <skipped message=\"{}\"/>\n    </testcase>\n",
            escaped(because)
        ),
        Verdict::Failed | Verdict::TimedOut => {
            let remedy = finding.remedy.as_ref();
            let advice = remedy.map_or_else(String::new, |remedy| {
                format!("{}\n{}", remedy.text, remedy.commands.join("\n"))
            });
            format!(
                "{head}>\n      <failure type=\"{}\" message=\"{}\">{}</failure>\n    </testcase>\n",
                escaped(finding.cause.map_or("failed", crate::probe::Cause::word)),
                escaped(&finding.observed),
                escaped(&advice)
            )
        }
    }
}

/// Text as it may stand in an attribute or an element; control characters have no place in XML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(symbol),
            symbol if symbol.is_control() => escaped.push('\u{fffd}'),
            symbol => escaped.push(symbol),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::check;

    #[test]
    fn v19_a_failure_is_a_failed_case_with_its_text_escaped() {
        let failed = Finding::new(&check::REDIS, "edge", "a & b")
            .seen("said \"<no>\"")
            .failed(None, "yes");
        let text = report(&[failed]);
        assert!(text.contains("tests=\"1\" failures=\"1\""), "{text}");
        assert!(text.contains("a &amp; b"), "{text}");
        assert!(text.contains("said &quot;&lt;no&gt;&quot;"), "{text}");
    }
}
