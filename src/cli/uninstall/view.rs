//! How an uninstall looks: its plan, its progress, and how far it got. Pure, apart from saying it.

use std::collections::BTreeSet;

use crate::deploy::DeployError;
use crate::deploy::layout::Stage;
use crate::deploy::uninstall::plan::{NamespaceFate, RecordFate, Removal};
use crate::deploy::uninstall::{Event, Planned, Progressed};
use crate::model::exit::ExitCode;
use crate::report::Progress;

use super::super::error::CliError;

/// The plan as text, stage by stage.
pub(super) fn text(planned: &Planned) -> String {
    let mut lines = Vec::new();
    for removal in &planned.removals {
        stage(removal, &mut lines);
    }
    for (stage, error) in &planned.unreachable {
        lines.push(format!("{stage}: not known: {error}"));
    }
    let count: usize = planned.removals.iter().map(Removal::count).sum();
    let kept: usize = planned
        .removals
        .iter()
        .map(|removal| removal.kept.len())
        .sum();
    lines.push(format!("Plan: {count} to delete, {kept} kept."));
    lines.join("\n")
}

fn stage(removal: &Removal, lines: &mut Vec<String>) {
    let stage = &removal.stage;
    let named = format!(
        "{} → cluster {} ({}), namespace {}",
        stage.profile, stage.context, removal.server, stage.namespace
    );
    if !removal.has_changes() {
        lines.push(format!("{named}: nothing to delete"));
    } else {
        lines.push(named);
    }
    let warnings = removal.warnings.iter();
    lines.extend(warnings.map(|warning| format!("  warning: {warning}")));
    let objects = removal.objects.iter().map(|one| &one.object);
    lines.extend(objects.map(|object| format!("  - {}/{}", object.kind, object.name)));
    let claims = removal.claims.iter();
    lines.extend(claims.map(|claim| {
        format!(
            "  - PersistentVolumeClaim/{} and what is stored in it",
            claim.name
        )
    }));
    let kept = removal.kept.iter();
    lines.extend(kept.map(|kept| format!("    {} is kept: {}", kept.object, kept.because)));
    let record = format!("ConfigMap/telectl-{}", stage.profile);
    match removal.record {
        RecordFate::Deleted => lines.push(format!("  - {record}")),
        RecordFate::Shortened => {
            lines.push(format!("  ~ {record} lists what is kept"));
        }
        RecordFate::Absent | RecordFate::Unchanged => {}
    }
    match &removal.namespace {
        NamespaceFate::Absent => {}
        NamespaceFate::Deleted => {
            lines.push(format!(
                "  - Namespace/{}, if it is empty then",
                stage.namespace
            ));
        }
        NamespaceFate::Kept { because } => {
            lines.push(format!(
                "    Namespace/{} is kept: {because}",
                stage.namespace
            ));
        }
    }
    lines.push(String::new());
}

/// What is asked before anything is deleted.
pub(super) fn question(removals: &[Removal]) -> String {
    let count: usize = removals.iter().map(Removal::count).sum();
    let clusters: BTreeSet<String> = removals
        .iter()
        .filter(|removal| removal.has_changes())
        .map(|removal| format!("{} ({})", removal.stage.context, removal.server))
        .collect();
    let clusters: Vec<String> = clusters.into_iter().collect();
    format!("Delete {} from {}?", objects(count), clusters.join(", "))
}

/// `1 object`, `3 objects`.
pub(super) fn objects(count: usize) -> String {
    match count {
        1 => "1 object".to_owned(),
        count => format!("{count} objects"),
    }
}

/// Shows one event.
pub(super) fn show(progress: &mut Progress, event: Event) {
    match event {
        Event::StageStarted(stage) => progress.say(&subject(&stage), "deleting"),
        Event::Deleted { stage, object } => {
            progress.say(&subject(&stage), &format!("{object} deleted"));
        }
        Event::Waiting { stage, what } => progress.waiting(&subject(&stage), &what),
        Event::NamespaceKept { stage, because } => {
            let text = format!("Namespace/{} is kept: {because}", stage.namespace);
            progress.say(&subject(&stage), &text);
        }
        Event::StageDone { stage, deleted } => {
            progress.done(&subject(&stage));
            progress.say(&subject(&stage), &format!("{} deleted", objects(deleted)));
        }
    }
}

fn subject(stage: &Stage) -> String {
    format!("{} > {}", stage.context, stage.profile)
}

/// The error of a run that did not get to its end: its exit code, what is gone in each cluster and
/// what is not, and the command that goes on.
pub(super) fn how_far(
    progressed: &Progressed,
    error: DeployError,
    signalled: ExitCode,
    again: &str,
) -> CliError {
    let deleted: usize = progressed.deleted.values().sum();
    let is_interrupted = matches!(error, DeployError::Stopped);
    let mut made = if is_interrupted {
        CliError::with_code(signalled, "stopped before everything was deleted")
    } else {
        CliError::from(error)
    };
    let is_plain = is_interrupted || made.exit_code() == ExitCode::Error;
    if deleted > 0 && is_plain {
        made = made.exiting(ExitCode::Partial);
    }
    if deleted == 0 {
        made = made.detail("nothing was deleted");
    }
    let broken_off = if is_interrupted {
        "broken off"
    } else {
        "failed"
    };
    let done = progressed.done.iter().map(|stage| (stage, "gone"));
    let failed = progressed.failed.iter().map(|stage| (stage, broken_off));
    let waiting = progressed
        .not_begun
        .iter()
        .map(|stage| (stage, "still there"));
    for (stage, state) in done.chain(failed).chain(waiting) {
        let count = progressed.deleted.get(stage).copied().unwrap_or_default();
        let counted = match count {
            0 => String::new(),
            count => format!(", {} deleted", objects(count)),
        };
        made = made.detail(format!(
            "cluster {}: {} {state}{counted}",
            stage.context, stage.profile
        ));
    }
    made.hint(format!("this continues from here: {again}"))
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
