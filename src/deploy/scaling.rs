//! Who decides how many pods a workload has. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::belongings::Belongings;
use super::plan::{Action, FieldConflict, ObjectPlan};
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::object::{ObjectKind, ObjectRef};

/// The field that an autoscaler writes.
const REPLICAS: &str = ".spec.replicas";
/// Under which name autoscalers write it.
const AUTOSCALER: &str = "kube-controller-manager";

/// Kind and name of a workload.
type Target = (String, String);

/// The workloads that autoscalers scale, by whose the autoscaler is.
#[derive(Debug, Clone, Default)]
pub struct Scaling {
    /// Of the rendered set: the live number stays.
    wanted: BTreeSet<Target>,
    /// Ours, about to be deleted.
    leaving: BTreeSet<Target>,
    /// Of others.
    foreign: BTreeSet<Target>,
}

fn target(autoscaler: &Value) -> Option<Target> {
    let target = &autoscaler["spec"]["scaleTargetRef"];
    let text = |field: &str| target[field].as_str().map(str::to_owned);
    Some((text("kind")?, text("name")?))
}

fn target_of(object: &ObjectRef) -> Target {
    (object.kind.name().to_owned(), object.name.clone())
}

impl Scaling {
    /// From the set and what the stage has besides it.
    pub fn of(set: &RenderedSet, belongings: &Belongings) -> Self {
        let is_autoscaler = |kind| kind == ObjectKind::HorizontalPodAutoscaler;
        let rendered = set
            .manifests
            .iter()
            .filter(|manifest| is_autoscaler(manifest.object.kind));
        let ours: BTreeSet<&str> = rendered
            .clone()
            .map(|manifest| manifest.object.name.as_str())
            .collect();
        let unwanted: BTreeSet<&str> = belongings
            .unwanted
            .iter()
            .filter(|unwanted| is_autoscaler(unwanted.object.kind))
            .map(|unwanted| unwanted.object.name.as_str())
            .collect();
        let mut scaling = Self {
            wanted: rendered
                .filter_map(|manifest| target(&manifest.value))
                .collect(),
            ..Self::default()
        };
        for autoscaler in &belongings.autoscalers {
            let name = autoscaler["metadata"]["name"].as_str().unwrap_or_default();
            if ours.contains(name) {
                continue;
            }
            if unwanted.contains(name) {
                scaling.leaving.extend(target(autoscaler));
            } else {
                scaling.foreign.extend(target(autoscaler));
            }
        }
        scaling
    }

    /// The same while the autoscalers that are leaving still work: their numbers stay until they
    /// are gone, or they would be fought.
    #[must_use]
    pub fn while_they_leave(mut self) -> Self {
        self.wanted.append(&mut self.leaving);
        self
    }

    /// Whether an autoscaler of ours that leaves scales a workload.
    pub fn is_leaving(&self, object: &ObjectRef) -> bool {
        self.leaving.contains(&target_of(object))
    }

    /// Whether an autoscaler of ours decides how many pods a workload has.
    pub fn is_autoscaled(&self, object: &ObjectRef) -> bool {
        self.wanted.contains(&target_of(object))
    }

    /// Whether a number that an autoscaler wrote is left over from one of ours, so that it is ours.
    pub fn is_released(&self, object: &ObjectRef) -> bool {
        let target = target_of(object);
        matches!(
            object.kind,
            ObjectKind::Deployment | ObjectKind::StatefulSet
        ) && !self.wanted.contains(&target)
            && !self.foreign.contains(&target)
    }

    /// The manifest, with the live number of replicas where an autoscaler decides it.
    pub fn with_live_count(&self, manifest: Manifest, live: Option<&Value>) -> Manifest {
        match live {
            Some(live) if self.is_autoscaled(&manifest.object) => {
                with_live_replicas(manifest, live)
            }
            _ => manifest,
        }
    }

    /// The plan, with a number that a former autoscaler of ours wrote among what is ours to change,
    /// and without one that an autoscaler of ours wrote while the plan was made: it may decide anew
    /// at any time.
    #[must_use]
    pub fn released(&self, plan: ObjectPlan) -> ObjectPlan {
        if self.is_released(&plan.object) {
            without_autoscaler(plan)
        } else if self.is_autoscaled(&plan.object) {
            without_new_decision(plan)
        } else {
            plan
        }
    }

    /// Whether a write was refused for nothing but a number that an autoscaler of ours wrote
    /// meanwhile.
    pub fn decided_anew(&self, object: &ObjectRef, refused: &[(String, String)]) -> bool {
        let is_its =
            |(field, manager): &(String, String)| field == REPLICAS && manager == AUTOSCALER;
        self.is_autoscaled(object) && !refused.is_empty() && refused.iter().all(is_its)
    }

    /// Whether writing what is planned takes such a number.
    pub fn takes(&self, plan: &ObjectPlan) -> bool {
        let mut changes = plan.changes.iter();
        plan.action == Action::Update
            && self.is_released(&plan.object)
            && changes.any(|change| change.field == REPLICAS)
    }
}

fn is_of_autoscaler(conflict: &FieldConflict) -> bool {
    conflict.change.field == REPLICAS && conflict.manager == AUTOSCALER
}

fn without_new_decision(mut plan: ObjectPlan) -> ObjectPlan {
    let before = plan.conflicts.len();
    plan.conflicts
        .retain(|conflict| !is_of_autoscaler(conflict));
    let is_dropped = plan.conflicts.len() < before;
    if is_dropped && plan.action == Action::Conflict && plan.conflicts.is_empty() {
        let is_all = plan.changes.is_empty() && plan.takeover.is_none();
        plan.action = if is_all { Action::Keep } else { Action::Update };
    }
    plan
}

fn without_autoscaler(mut plan: ObjectPlan) -> ObjectPlan {
    let (left_over, others): (Vec<_>, Vec<_>) =
        plan.conflicts.into_iter().partition(is_of_autoscaler);
    plan.changes
        .extend(left_over.into_iter().map(|conflict| conflict.change));
    plan.conflicts = others;
    if plan.action == Action::Conflict && plan.conflicts.is_empty() {
        plan.action = Action::Update;
    }
    plan
}

/// The manifest with the number of replicas that runs now: an autoscaler chose it, so sending
/// another would fight it, and leaving it out would make it one.
fn with_live_replicas(mut manifest: Manifest, live: &Value) -> Manifest {
    if let Some(replicas) = live["spec"]["replicas"].as_i64() {
        manifest.value["spec"]["replicas"] = replicas.into();
    }
    manifest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::belongings::Unwanted;
    use super::*;
    use crate::cluster::diff::FieldChange;
    use crate::model::profile::Profile;

    fn autoscaler(name: &str) -> Manifest {
        Manifest {
            object: ObjectRef::new(ObjectKind::HorizontalPodAutoscaler, "ns", name),
            value: json!({
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": name, "namespace": "ns"},
                "spec": {"scaleTargetRef": {"kind": "Deployment", "name": name}},
            }),
        }
    }

    /// A set with these autoscalers on a cluster with those, of which some are unwanted.
    fn scaling(rendered: &[&str], live: &[&str], unwanted: &[&str]) -> Scaling {
        let set = RenderedSet {
            profile: Profile::Central,
            namespace: "ns".to_owned(),
            cluster_id: "central".to_owned(),
            manifests: rendered.iter().map(|name| autoscaler(name)).collect(),
            secrets: Vec::new(),
        };
        let belongings = Belongings {
            autoscalers: live.iter().map(|name| autoscaler(name).value).collect(),
            unwanted: unwanted
                .iter()
                .map(|name| Unwanted {
                    object: autoscaler(name).object,
                    uid: String::new(),
                })
                .collect(),
            ..Belongings::default()
        };
        Scaling::of(&set, &belongings)
    }

    fn collector() -> ObjectRef {
        ObjectRef::new(ObjectKind::Deployment, "ns", "collector")
    }

    /// A plan in which others own fields.
    fn clash(conflicts: &[(&str, &str)]) -> ObjectPlan {
        let conflict = |(field, manager): &(&str, &str)| FieldConflict {
            change: FieldChange {
                field: (*field).to_owned(),
                before: Some(json!(3)),
                after: Some(json!(1)),
            },
            manager: (*manager).to_owned(),
            since: None,
        };
        ObjectPlan {
            conflicts: conflicts.iter().map(conflict).collect(),
            ..ObjectPlan::new(collector(), Action::Conflict)
        }
    }

    #[test]
    fn an_autoscaled_workload_keeps_its_live_count_until_its_autoscaler_is_gone() {
        let manifest = || Manifest {
            object: collector(),
            value: json!({"spec": {"replicas": 2}}),
        };
        let live = json!({"spec": {"replicas": 7}});
        let count = |scaling: Scaling| {
            let sent = scaling.with_live_count(manifest(), Some(&live));
            sent.value["spec"]["replicas"].as_i64()
        };
        let ours = ["collector"];
        assert_eq!(count(scaling(&ours, &[], &[])), Some(7));
        assert_eq!(count(scaling(&["other"], &[], &[])), Some(2));
        let leaving = scaling(&[], &ours, &ours);
        assert!(leaving.is_leaving(&collector()));
        assert_eq!(count(leaving.clone()), Some(2), "as the plan shows it");
        assert_eq!(count(leaving.while_they_leave()), Some(7));
    }

    #[test]
    fn what_a_former_autoscaler_wrote_is_ours_and_nothing_else_of_others() {
        let ours = ["collector"];
        let count = [(REPLICAS, AUTOSCALER)];
        for gone in [scaling(&[], &ours, &ours), scaling(&[], &[], &[])] {
            let plan = gone.released(clash(&count));
            assert_eq!((plan.action, plan.conflicts.len()), (Action::Update, 0));
            assert_eq!(plan.changes[0].field, REPLICAS);
            assert!(gone.takes(&plan));
            for left in [[(REPLICAS, "kubectl")], [(".spec.paused", AUTOSCALER)]] {
                let plan = gone.released(clash(&left));
                assert_eq!((plan.action, plan.conflicts.len()), (Action::Conflict, 1));
                assert!(!gone.takes(&plan));
            }
        }
    }

    #[test]
    fn what_an_autoscaler_of_somebody_else_wrote_stays_a_conflict() {
        let foreign = scaling(&[], &["collector"], &[]);
        let plan = foreign.released(clash(&[(REPLICAS, AUTOSCALER)]));
        assert_eq!(plan.action, Action::Conflict);
    }

    #[test]
    fn what_an_autoscaler_of_ours_decides_meanwhile_is_no_conflict() {
        let ours = scaling(&["collector"], &["collector"], &[]);
        let plan = ours.released(clash(&[(REPLICAS, AUTOSCALER)]));
        assert_eq!((plan.action, plan.conflicts.len()), (Action::Keep, 0));
        let both = [(REPLICAS, AUTOSCALER), (".spec.paused", "kubectl")];
        let plan = ours.released(clash(&both));
        assert_eq!((plan.action, plan.conflicts.len()), (Action::Conflict, 1));
        let plan = ours.released(clash(&[(REPLICAS, "kubectl")]));
        assert_eq!((plan.action, plan.conflicts.len()), (Action::Conflict, 1));
        let refused = |manager: &str| [(REPLICAS.to_owned(), manager.to_owned())];
        assert!(ours.decided_anew(&collector(), &refused(AUTOSCALER)));
        assert!(!ours.decided_anew(&collector(), &refused("kubectl")));
        assert!(!ours.decided_anew(&collector(), &[]));
        let none = scaling(&[], &[], &[]);
        assert!(!none.decided_anew(&collector(), &refused(AUTOSCALER)));
    }
}
