//! From flags to the stages that go. Pure.

use crate::deploy::layout::Stage;
use crate::model::profile::Profile;

use super::super::error::CliError;
use super::super::targets::Targets;

/// The stages in the order in which they go: the reverse of a deployment's.
pub(super) fn of(
    profiles: &[Profile],
    context: Option<&str>,
    targets: &Targets,
) -> Result<Vec<Stage>, CliError> {
    if let Some(context) = context {
        return match profiles {
            [profile] => Ok(vec![stage(*profile, context, targets)]),
            _ => Err(CliError::usage(
                "--context is the cluster of one profile, which has to be named",
            )
            .hint("telectl uninstall central --context CONTEXT")),
        };
    }
    let mut stages = Vec::new();
    let mut missing = Vec::new();
    for profile in Profile::ALL.into_iter().rev() {
        let is_named = profiles.contains(&profile);
        let is_alone = matches!(profile, Profile::Dev | Profile::SameCluster);
        if !is_named && (is_alone || !profiles.is_empty()) {
            continue;
        }
        let contexts = contexts(profile, targets);
        if is_named && contexts.is_empty() {
            missing.push(profile);
        }
        stages.extend(
            contexts
                .iter()
                .map(|context| stage(profile, context, targets)),
        );
    }
    if let Some(profile) = missing.first() {
        return Err(
            CliError::usage(format!("no context is given for profile {profile}")).hint(format!(
                "telectl uninstall {profile} --context CONTEXT names it"
            )),
        );
    }
    if stages.is_empty() {
        return Err(CliError::usage("no cluster is given").hint(
            "--edge-context, --central-context and --shared-context name contexts; one is enough",
        ));
    }
    Ok(stages)
}

fn contexts(profile: Profile, targets: &Targets) -> Vec<String> {
    let one = match profile {
        Profile::Edge => return targets.edges.clone(),
        Profile::Shared => targets.shared.as_ref().or(targets.central.as_ref()),
        Profile::Dev | Profile::SameCluster | Profile::Central => targets.central.as_ref(),
    };
    one.into_iter().cloned().collect()
}

fn stage(profile: Profile, context: &str, targets: &Targets) -> Stage {
    let namespace = match (profile, &targets.namespace) {
        (Profile::Shared, _) | (_, None) => profile.default_namespace(),
        (_, Some(namespace)) => namespace,
    };
    Stage {
        profile,
        context: context.to_owned(),
        namespace: namespace.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Targets {
        Targets {
            edges: vec!["edge".to_owned(), "edge-2".to_owned()],
            central: Some("central".to_owned()),
            ..Targets::default()
        }
    }

    fn shown(profiles: &[Profile], context: Option<&str>, targets: &Targets) -> Vec<String> {
        let stages = of(profiles, context, targets).unwrap();
        let shown = |stage: &Stage| format!("{stage}/{}", stage.namespace);
        stages.iter().map(shown).collect()
    }

    #[test]
    fn d18_edges_go_first_then_central_then_shared() {
        assert_eq!(
            shown(&[], None, &targets()),
            [
                "edge on edge/telemetry-system",
                "edge on edge-2/telemetry-system",
                "central on central/telemetry-system",
                "shared on central/shared-infrastructure",
            ]
        );
        let edges = Targets {
            central: None,
            namespace: Some("other".to_owned()),
            ..targets()
        };
        assert_eq!(
            shown(&[], None, &edges),
            ["edge on edge/other", "edge on edge-2/other"]
        );
    }

    #[test]
    fn d18_only_the_named_profiles_go() {
        assert_eq!(
            shown(&[Profile::Shared], None, &targets()),
            ["shared on central/shared-infrastructure"]
        );
        assert_eq!(
            shown(&[Profile::Dev], Some("one"), &Targets::default()),
            ["dev on one/telemetry-system"]
        );
        let refused = |profiles: &[Profile], context| {
            of(profiles, context, &Targets::default())
                .unwrap_err()
                .text()
        };
        assert!(refused(&[], None).contains("no cluster is given"));
        assert!(refused(&[Profile::Edge], None).contains("for profile edge"));
        assert!(refused(&[], Some("one")).contains("has to be named"));
    }
}
