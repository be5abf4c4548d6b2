//! What to say, and to refuse, when a cluster is about to become what it is not. Pure.

use crate::deploy::layout::Stage;
use crate::deploy::plan::StagePlan;
use crate::deploy::role::Held;
use crate::model::exit::ExitCode;
use crate::model::shell::quoted;

use super::super::error::CliError;

/// A line for every cluster that would change its role.
pub(super) fn changed(plans: &[StagePlan]) -> Vec<String> {
    let stages: Vec<&Stage> = plans.iter().map(|plan| &plan.stage).collect();
    held(plans, |held| held.is_current)
        .map(|(stage, held)| change(stage, held, &stages))
        .collect()
}

/// A line for every earlier role whose record is still there.
pub(super) fn earlier(plan: &StagePlan) -> Vec<String> {
    let plans = std::slice::from_ref(plan);
    held(plans, |held| !held.is_current)
        .map(|(stage, held)| {
            format!(
                "the namespace also holds profile {}, {}; once nothing of it is left, `kubectl \
                 --context {} -n {} delete configmap/telectl-{}` ends this warning",
                held.profile,
                deployed(held),
                quoted(&stage.context),
                quoted(&stage.namespace),
                held.profile
            )
        })
        .collect()
}

fn held(
    plans: &[StagePlan],
    which: impl Fn(&Held) -> bool,
) -> impl Iterator<Item = (&Stage, &Held)> {
    plans
        .iter()
        .flat_map(|plan| plan.held.iter().map(move |held| (&plan.stage, held)))
        .filter(move |(_, held)| which(held))
}

fn deployed(held: &Held) -> String {
    match &held.deployed_at {
        Some(at) => format!("deployed {at}"),
        None => "whose deployment was not finished".to_owned(),
    }
}

fn change(stage: &Stage, held: &Held, stages: &[&Stage]) -> String {
    let is_elsewhere = stages
        .iter()
        .any(|other| other.profile == held.profile && other.context != stage.context);
    let question = if is_elsewhere {
        "are the contexts swapped?"
    } else {
        "is it the right cluster?"
    };
    format!(
        "cluster {} holds profile {} in namespace {}, {}; this command makes it {}: {question}",
        stage.context,
        held.profile,
        stage.namespace,
        deployed(held),
        stage.profile
    )
}

/// Refuses to change the role of a cluster without anybody looking at the plan.
pub(super) fn refuse(plans: &[StagePlan]) -> Result<(), CliError> {
    let lines = changed(plans);
    if lines.is_empty() {
        return Ok(());
    }
    let error = CliError::with_code(ExitCode::Usage, "--yes gives no cluster a new role");
    let error = lines.into_iter().fold(error, CliError::detail);
    Err(error
        .detail("nothing was written")
        .hint("check which context is which, or add --new-role if this is meant"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::profile::Profile;

    fn plan(profile: Profile, context: &str, held: Option<(Profile, bool)>) -> StagePlan {
        StagePlan {
            stage: Stage {
                profile,
                context: context.to_owned(),
                namespace: "telemetry-system".to_owned(),
            },
            server: String::new(),
            namespace_missing: false,
            objects: Vec::new(),
            secrets: Vec::new(),
            unwanted: Vec::new(),
            kept: Vec::new(),
            awaits_addresses: false,
            held: held
                .into_iter()
                .map(|(profile, is_current)| Held {
                    profile,
                    deployed_at: Some("2026-06-01T10:00:00Z".to_owned()),
                    is_current,
                })
                .collect(),
            warnings: Vec::new(),
            preflight: Vec::new(),
        }
    }

    #[test]
    fn swapped_contexts_are_named_at_the_top_of_the_plan_and_refused() {
        let plans = [
            plan(Profile::Central, "east", Some((Profile::Edge, true))),
            plan(Profile::Edge, "west", Some((Profile::Central, true))),
        ];
        let shown = super::super::view::text(&plans);
        let first = shown.lines().next().unwrap_or_default();
        assert_eq!(
            first,
            "warning: cluster east holds profile edge in namespace telemetry-system, deployed \
             2026-06-01T10:00:00Z; this command makes it central: are the contexts swapped?"
        );
        let error = refuse(&plans).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Usage);
        let text = error.text();
        assert!(
            text.contains("cluster west holds profile central"),
            "{text}"
        );
        assert!(text.contains("--new-role"), "{text}");
    }

    #[test]
    fn another_profile_of_the_same_cluster_asks_for_the_right_cluster() {
        let plans = [plan(
            Profile::Dev,
            "east",
            Some((Profile::SameCluster, true)),
        )];
        assert!(changed(&plans)[0].ends_with("makes it dev: is it the right cluster?"));
    }

    #[test]
    fn a_role_of_long_ago_is_a_warning_of_its_stage_and_no_reason_to_refuse() {
        let plans = [plan(Profile::Central, "east", Some((Profile::Edge, false)))];
        assert!(refuse(&plans).is_ok());
        let shown = super::super::view::text(&plans);
        assert!(!shown.starts_with("warning"), "{shown}");
        assert!(
            shown.contains("  warning: the namespace also holds profile edge, deployed 2026"),
            "{shown}"
        );
        assert!(
            shown.contains("-n telemetry-system delete configmap/telectl-edge"),
            "{shown}"
        );
    }
}
