//! How far a run got that did not get to its end: what is applied, what is not, how to go on. Pure.

use crate::deploy::DeployError;
use crate::deploy::layout::Stage;
use crate::deploy::progressed::{Progressed, Restored};
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
    let is_touched = progressed.is_touched();
    let interrupted = matches!(error, DeployError::Stopped);
    let mut error = CliError::from(error);
    if let Some(code) = code(progressed, interrupted, &error, signalled) {
        error = error.exiting(code);
    }
    if !is_touched {
        error = error.detail("nothing was written");
    }
    let broken_off = if interrupted { "broken off" } else { "failed" };
    for (context, states) in by_cluster(progressed, broken_off) {
        error = error.detail(format!("cluster {context}: {}", states.join("; ")));
    }
    let in_flight: usize = progressed
        .touched
        .values()
        .map(|touched| touched.in_flight.len())
        .sum();
    if in_flight > 0 {
        let what = view::requests(in_flight);
        error = error.detail(format!(
            "{what} may have been applied: no answer was awaited"
        ));
    }
    let is_undone = !progressed.rolled_back.is_empty() && progressed.not_rolled_back.is_empty();
    if is_undone {
        error
    } else {
        error.hint(format!("this continues from here: {again}"))
    }
}

/// The exit code, where it follows from how far the run got and not from the error alone.
fn code(
    progressed: &Progressed,
    interrupted: bool,
    error: &CliError,
    signalled: ExitCode,
) -> Option<ExitCode> {
    if !progressed.not_rolled_back.is_empty() {
        return Some(ExitCode::Partial);
    }
    if !progressed.rolled_back.is_empty() {
        return Some(ExitCode::RolledBack);
    }
    if interrupted {
        return Some(if progressed.is_touched() {
            ExitCode::Partial
        } else {
            signalled
        });
    }
    let is_partial = !progressed.done.is_empty() && error.exit_code() == ExitCode::Error;
    is_partial.then_some(ExitCode::Partial)
}

/// What became of each stage, by the context of its cluster, in the order of the run.
fn by_cluster<'a>(progressed: &'a Progressed, broken_off: &str) -> Vec<(&'a str, Vec<String>)> {
    let plain = |stages: &'a [Stage], state: &str| -> Vec<(&'a Stage, String)> {
        let state = state.to_owned();
        stages.iter().map(|stage| (stage, state.clone())).collect()
    };
    let restored = |restored: &Restored| match restored {
        Restored::Generation(number) => format!("back at generation {number}"),
        Restored::Nothing => "removed again: it had not been deployed before".to_owned(),
    };
    let mut all = plain(&progressed.done, "done");
    let is_back = |stage: &Stage| {
        let mut back = progressed.rolled_back.iter().map(|(stage, _)| stage);
        back.any(|back| back == stage)
    };
    let failed = progressed
        .failed
        .iter()
        .filter(|(stage, _)| !is_back(stage));
    all.extend(failed.map(|(stage, why)| (stage, failure(progressed, broken_off, why))));
    let under_way = progressed.under_way.iter();
    all.extend(under_way.map(|stage| (stage, broken_off.to_owned())));
    let back = progressed.rolled_back.iter();
    all.extend(back.map(|(stage, to)| (stage, restored(to))));
    let stuck = progressed.not_rolled_back.iter();
    all.extend(stuck.map(|(stage, why)| (stage, format!("could not be taken back: {why}"))));
    all.extend(plain(&progressed.not_begun, "not applied"));
    let skipped = progressed.skipped.iter();
    all.extend(skipped.map(|one| (&one.stage, "left out: it does not answer".to_owned())));
    let mut clusters: Vec<(&str, Vec<String>)> = Vec::new();
    for (stage, state) in all {
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

/// Of several failures each is told; of one, the error itself says why.
fn failure(progressed: &Progressed, word: &str, why: &str) -> String {
    match progressed.failed.len() {
        0 | 1 => word.to_owned(),
        _ => format!("{word}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::progressed::Touched;
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
            ..Touched::default()
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
            under_way: [central].into(),
            not_begun: vec![edge],
            ..Progressed::default()
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
            failed: vec![(central.clone(), "why".to_owned())],
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

    fn failed(stages: [&Stage; 2]) -> Progressed {
        let [done, failed] = stages;
        Progressed {
            touched: [touched(done, &["a"], &[]), touched(failed, &["b"], &[])].into(),
            failed: vec![(failed.clone(), "no image".to_owned())],
            ..Progressed::default()
        }
    }

    #[test]
    fn d16_what_was_taken_back_has_a_code_and_a_word_of_its_own() {
        let [shared, central, _] = all();
        let mut progressed = failed([&shared, &central]);
        progressed.rolled_back = vec![
            (central.clone(), Restored::Nothing),
            (shared.clone(), Restored::Generation(3)),
        ];
        let late = || DeployError::OutOfTime {
            after: std::time::Duration::from_secs(60),
        };
        let (code, text) = told(&progressed, late());
        assert_eq!(code, ExitCode::RolledBack);
        assert!(text.contains("shared back at generation 3"), "{text}");
        assert!(text.contains("central removed again"), "{text}");
        assert!(!text.contains("central failed"), "{text}");
        progressed.rolled_back.pop();
        progressed.not_rolled_back = vec![(shared, "it does not answer".to_owned())];
        let (code, text) = told(&progressed, late());
        assert_eq!(code, ExitCode::Partial);
        let told = "shared could not be taken back: it does not answer";
        assert!(text.contains(told), "{text}");
    }

    #[test]
    fn a_request_without_an_answer_may_have_been_applied() {
        let [shared, ..] = all();
        let (stage, mut of_shared) = touched(&shared, &[], &[]);
        let object = ObjectRef::new(ObjectKind::Service, "a", "redis");
        of_shared.in_flight.insert(object);
        let progressed = Progressed {
            touched: [(stage, of_shared)].into(),
            under_way: [shared].into(),
            ..Progressed::default()
        };
        let (code, text) = told(&progressed, DeployError::Stopped);
        assert_eq!(code, ExitCode::Partial);
        assert!(text.contains("1 request may have been applied"), "{text}");
    }
}
