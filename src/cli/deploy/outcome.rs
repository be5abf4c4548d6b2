//! How far a run got that did not get to its end: what is applied, what is not, how to go on. Pure.

use crate::deploy::DeployError;
use crate::deploy::execute::Progressed;
use crate::model::exit::ExitCode;

use super::super::error::CliError;
use super::view;

/// The error of a run, its exit code, what is applied and what is not in each cluster, and the
/// command that goes on. `signalled` is the exit code of the signal, if there was one.
pub(super) fn how_far(
    progressed: &Progressed,
    error: DeployError,
    signalled: ExitCode,
    again: &str,
) -> CliError {
    let is_touched = progressed.written() + progressed.deleted() > 0;
    let interrupted = matches!(error, DeployError::Stopped);
    let mut error = CliError::from(error);
    if interrupted {
        error = error.exiting(if is_touched {
            ExitCode::Partial
        } else {
            signalled
        });
    } else if !progressed.done.is_empty() && error.exit_code() == ExitCode::Error {
        error = error.exiting(ExitCode::Partial);
    }
    if !is_touched {
        error = error.detail("nothing was written");
    }
    let broken_off = if interrupted { "broken off" } else { "failed" };
    for (context, states) in by_cluster(progressed, broken_off) {
        error = error.detail(format!("cluster {context}: {}", states.join("; ")));
    }
    error.hint(format!("this continues from here: {again}"))
}

/// What became of each stage, by the context of its cluster, in the order of the run.
fn by_cluster<'a>(progressed: &'a Progressed, broken_off: &str) -> Vec<(&'a str, Vec<String>)> {
    let done = progressed.done.iter().map(|stage| (stage, "done"));
    let failed = progressed.failed.iter().map(|stage| (stage, broken_off));
    let waiting = progressed
        .not_begun
        .iter()
        .map(|stage| (stage, "not applied"));
    let mut clusters: Vec<(&str, Vec<String>)> = Vec::new();
    for (stage, state) in done.chain(failed).chain(waiting) {
        let mut text = format!("{} {state}", stage.profile);
        let touched = progressed.of(stage);
        let (written, deleted) = (touched.written.len(), touched.deleted.len());
        if written + deleted > 0 {
            text.push_str(&format!(", {}", view::touched(written, deleted)));
        }
        let known = clusters
            .iter()
            .position(|(context, _)| *context == stage.context);
        match known {
            Some(index) => clusters[index].1.push(text),
            None => clusters.push((&stage.context, vec![text])),
        }
    }
    clusters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::execute::Touched;
    use crate::deploy::layout::Stage;
    use crate::model::object::{ObjectKind, ObjectRef};
    use crate::model::profile::Profile;

    fn stage(profile: Profile, context: &str) -> Stage {
        Stage {
            profile,
            context: context.to_owned(),
            namespace: profile.default_namespace().to_owned(),
        }
    }

    fn all() -> [Stage; 3] {
        [
            stage(Profile::Shared, "west"),
            stage(Profile::Central, "west"),
            stage(Profile::Edge, "north"),
        ]
    }

    fn told(progressed: &Progressed, error: DeployError) -> (ExitCode, String) {
        let again = "telectl deploy-all -e north -c west";
        let error = how_far(progressed, error, ExitCode::Interrupted, again);
        (error.exit_code(), error.text())
    }

    /// That objects of these names were written and deleted.
    fn touched(stage: &Stage, written: &[&str], deleted: &[&str]) -> (Stage, Touched) {
        let objects = |names: &[&str]| {
            let named = names.iter().copied();
            let object = |name: &str| ObjectRef::new(ObjectKind::Service, "a", name);
            named.map(object).collect()
        };
        let touched = Touched {
            written: objects(written),
            deleted: objects(deleted),
        };
        (stage.clone(), touched)
    }

    #[test]
    fn an_interrupt_after_a_write_is_partial_and_tells_each_cluster_what_it_has() {
        let [shared, central, edge] = all();
        let progressed = Progressed {
            touched: [
                touched(&shared, &["a", "b"], &["c"]),
                touched(&central, &["a"], &[]),
            ]
            .into(),
            done: vec![shared],
            failed: Some(central),
            not_begun: vec![edge],
        };
        let (code, text) = told(&progressed, DeployError::Stopped);
        assert_eq!(code, ExitCode::Partial);
        insta::assert_snapshot!(text, @r"
        stopped before everything was applied
          cluster west: shared done, 2 objects written, 1 deleted; central broken off, 1 object written
          cluster north: edge not applied
        this continues from here: telectl deploy-all -e north -c west
        ");
    }

    #[test]
    fn an_interrupt_before_any_write_has_the_code_of_its_signal() {
        let progressed = Progressed {
            not_begun: all().to_vec(),
            ..Progressed::default()
        };
        let (code, text) = told(&progressed, DeployError::Stopped);
        assert_eq!(code, ExitCode::Interrupted);
        assert!(text.contains("nothing was written"), "{text}");
        assert!(text.contains("shared not applied"), "{text}");
    }

    #[test]
    fn a_failure_is_partial_once_a_stage_is_done_and_keeps_codes_of_its_own() {
        let [shared, central, edge] = all();
        let lost = || DeployError::LockLost {
            stage: central.to_string(),
        };
        let mut progressed = Progressed {
            touched: [touched(&central, &["a"], &[])].into(),
            failed: Some(central.clone()),
            not_begun: vec![edge],
            ..Progressed::default()
        };
        assert_eq!(told(&progressed, lost()).0, ExitCode::Error);
        progressed.done.push(shared);
        let (code, text) = told(&progressed, lost());
        assert_eq!(code, ExitCode::Partial);
        assert!(text.contains("central failed"), "{text}");
        let late = DeployError::Cluster(crate::cluster::ClusterError::Deadline {
            cluster: "west".to_owned(),
            waited_for: "it".to_owned(),
            state: "not ready".to_owned(),
            after: std::time::Duration::from_secs(1),
        });
        assert_eq!(told(&progressed, late).0, ExitCode::Timeout);
    }
}
