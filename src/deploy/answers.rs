//! What the API servers said to the changes of a run: what was asked for the plan is not asked again
//! under the locks, unless the object is another one by then. Each question costs a run that changes
//! little one more way to the cluster and back.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::plan::ObjectPlan;
use crate::model::manifest::Manifest;
use crate::model::object::ObjectRef;

/// The answers of a run, by cluster and object.
#[derive(Debug, Default)]
pub(super) struct Answers {
    known: Mutex<BTreeMap<(String, ObjectRef), Answer>>,
    /// Is cancelled once anything had to be asked.
    wanted: CancellationToken,
}

#[derive(Debug)]
struct Answer {
    /// What was asked for.
    asked: Value,
    /// The object that it would change.
    version: Version,
    plan: ObjectPlan,
}

/// Which state of which object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    uid: String,
    resource_version: String,
}

impl Version {
    fn of(live: &Value) -> Option<Self> {
        let text = |field: &str| live["metadata"][field].as_str().map(str::to_owned);
        Some(Self {
            uid: text("uid")?,
            resource_version: text("resourceVersion")?,
        })
    }
}

impl Answers {
    /// Notes that a server has to be asked: something differs.
    pub(super) fn want(&self) {
        self.wanted.cancel();
    }

    /// Whether a server had to be asked.
    pub(super) fn are_wanted(&self) -> bool {
        self.wanted.is_cancelled()
    }

    /// Waits until a server has to be asked, which may be for ever.
    pub(super) async fn wanted(&self) {
        self.wanted.cancelled().await;
    }

    /// What the server said to this manifest, if the object is still the one that it said it about.
    pub(super) fn known(
        &self,
        cluster: &str,
        manifest: &Manifest,
        live: &Value,
    ) -> Option<ObjectPlan> {
        let all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = all.get(&(cluster.to_owned(), manifest.object.clone()))?;
        let is_same = answer.asked == manifest.value && Version::of(live)? == answer.version;
        is_same.then(|| answer.plan.clone())
    }

    /// Keeps what the server said to a manifest.
    pub(super) fn keep(&self, cluster: &str, manifest: &Manifest, live: &Value, plan: &ObjectPlan) {
        let Some(version) = Version::of(live) else {
            return;
        };
        let answer = Answer {
            asked: manifest.value.clone(),
            version,
            plan: plan.clone(),
        };
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((cluster.to_owned(), manifest.object.clone()), answer);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::plan::Action;
    use super::*;
    use crate::model::object::ObjectKind;

    #[test]
    fn an_answer_holds_for_the_same_change_of_the_same_state_in_the_same_cluster() {
        let object = ObjectRef::new(ObjectKind::Service, "ns", "redis");
        let manifest = |port: u16| Manifest {
            object: object.clone(),
            value: json!({"spec": {"ports": [{"port": port}]}}),
        };
        let live = |uid: &str, version: &str| json!({"metadata": {"uid": uid, "resourceVersion": version}});
        let plan = ObjectPlan::new(object.clone(), Action::Update);
        let answers = Answers::default();
        answers.keep("north", &manifest(1), &live("a", "7"), &plan);
        let known = |cluster: &str, port, uid: &str, version: &str| {
            answers.known(cluster, &manifest(port), &live(uid, version))
        };
        assert_eq!(known("north", 1, "a", "7"), Some(plan));
        assert_eq!(known("north", 1, "a", "8"), None, "it changed");
        assert_eq!(known("north", 1, "b", "7"), None, "it was made anew");
        assert_eq!(known("north", 2, "a", "7"), None, "another change");
        assert_eq!(known("south", 1, "a", "7"), None, "another cluster");
        assert_eq!(answers.known("north", &manifest(1), &json!({})), None);
    }
}
