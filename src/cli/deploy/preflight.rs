//! What the look at the clusters beforehand found, as a person reads it, and what is let through.

use std::collections::BTreeSet;

use crate::deploy::DeployError;
use crate::deploy::preflight::{Finding, Severity, catalogue};
use crate::model::exit::ExitCode;

use super::super::error::CliError;

/// The ids of `--skip-preflight`.
pub(super) fn skipped(ids: &[String]) -> Result<BTreeSet<&'static str>, CliError> {
    let known = |id: &String| {
        let found = catalogue::find(id).map(|check| check.id);
        found.ok_or_else(|| {
            let list: Vec<String> = catalogue::CATALOGUE
                .iter()
                .map(|check| format!("{check} {}", check.title))
                .collect();
            CliError::usage(format!("--skip-preflight `{id}` is the id of no check"))
                .hint(format!("give one of: {}", list.join("; ")))
        })
    };
    ids.iter().map(known).collect()
}

/// All findings together, each with what to do.
pub(in crate::cli) fn explained(error: &DeployError, findings: &[Finding]) -> CliError {
    let told = findings
        .iter()
        .filter(|finding| finding.severity != Severity::Note);
    let made = told.fold(
        CliError::from_error(ExitCode::Error, error),
        |made, finding| {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning | Severity::Note => "warning",
            };
            let place = match (finding.cluster.as_str(), finding.profile) {
                ("", _) => "all clusters".to_owned(),
                (cluster, None) => format!("cluster {cluster}"),
                (cluster, Some(profile)) => format!("cluster {cluster}, {profile}"),
            };
            let made = made.detail(format!(
                "{} {severity}: {place}: {}",
                finding.check, finding.observed
            ));
            match finding.remedy.as_str() {
                "" => made,
                remedy => made.detail(format!("    {remedy}")),
            }
        },
    );
    made.detail("nothing was written")
}

/// What lets a run go on in spite of what was found.
pub(super) fn way_on(findings: &[Finding]) -> &'static str {
    let mut errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    // Nothing can be skipped about a cluster that does not answer.
    if errors.all(|finding| finding.check.id == catalogue::REACHABLE.id) {
        "--skip-unreachable goes on without edges that do not answer; shared and central have to"
    } else {
        "--skip-preflight ID goes on in spite of the errors of one check"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &'static catalogue::Check, severity: Severity, cluster: &str) -> Finding {
        Finding {
            check,
            severity,
            cluster: cluster.to_owned(),
            profile: None,
            observed: "it is so".to_owned(),
            expected: "it is not so".to_owned(),
            remedy: "change it".to_owned(),
        }
    }

    #[test]
    fn d13_all_findings_of_all_clusters_stand_together() {
        let findings = vec![
            finding(&catalogue::REACHABLE, Severity::Error, "edge"),
            finding(&catalogue::PERMISSION, Severity::Error, "central"),
            finding(&catalogue::CLOCK, Severity::Warning, "central"),
            finding(&catalogue::IMAGES, Severity::Note, "central"),
        ];
        let error = DeployError::Preflight {
            findings: findings.clone(),
        };
        let shown = explained(&error, &findings);
        assert_eq!(shown.exit_code(), ExitCode::Error);
        insta::assert_snapshot!(shown.text(), @r"
        the clusters are not ready for this: 2 errors
          TEL-PRE-001 error: cluster edge: it is so
              change it
          TEL-PRE-004 error: cluster central: it is so
              change it
          TEL-PRE-003 warning: cluster central: it is so
              change it
          nothing was written
        ");
    }

    #[test]
    fn d13_only_known_checks_are_let_through() {
        let ids = skipped(&["tel-pre-012".to_owned()]).unwrap();
        assert_eq!(ids, BTreeSet::from(["TEL-PRE-012"]));
        let error = skipped(&["TEL-PRE-099".to_owned()]).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Usage);
        assert!(error.text().contains("TEL-PRE-004 user may do"));
    }
}
