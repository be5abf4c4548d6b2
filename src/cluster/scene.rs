//! What a wait has seen, and what follows from it. Pure: events and times come in as values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::pod::{self, SetbackKind};
use super::pulls::pulling;
use super::readiness::{Readiness, readiness};
use crate::model::object::{ObjectKind, ObjectRef};

/// How long a pod may be unschedulable before the wait gives up: autoscalers of nodes need time.
const SCHEDULING_GRACE: Duration = Duration::from_secs(120);
/// How long a setback that may heal by itself may last.
const SETBACK_GRACE: Duration = Duration::from_secs(30);
/// How long a pod may run without being ready before it is named: most take a moment.
const READYING_GRACE: Duration = Duration::from_secs(10);

/// By how much our clock may differ from those that date events, and what happened right before
/// the wait began.
const CLOCKS_DIFFER: Duration = Duration::from_secs(15);

/// A change of a watched list.
#[derive(Debug)]
pub(super) enum Listed {
    /// The list begins anew.
    Begin,
    /// An item is there, as it is now.
    Is(Value),
    /// An item is gone.
    Gone(Value),
}

/// An object that cannot become ready, or one that did not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    /// The object or pod.
    pub(super) what: String,
    /// Why.
    pub(super) why: String,
    /// The pod that is to blame, for its log.
    pub(super) pod: Option<Value>,
}

#[derive(Debug)]
struct Awaited {
    object: ObjectRef,
    live: Option<Value>,
    is_seen: bool,
    /// What was said last; `None` once it is ready.
    said: Option<String>,
}

/// Everything that a wait has seen.
#[derive(Debug)]
pub(super) struct Scene {
    awaited: Vec<Awaited>,
    pods: BTreeMap<String, Value>,
    sets: BTreeMap<String, Value>,
    claims: BTreeMap<String, Value>,
    events: BTreeMap<String, Value>,
    /// How the setbacks of pods went on, by UID.
    setbacks: BTreeMap<String, Course>,
    /// Since when a pod is known not to be ready, by its UID.
    unready: BTreeMap<String, Instant>,
    /// From when on events count, RFC 3339 by our clock.
    began: String,
}

/// How a pod's setback went on.
#[derive(Debug)]
struct Course {
    since: Instant,
    /// Whether the kubelet has waited before it pulls an image again.
    backed_off: bool,
    /// Whether an image could not be pulled after that either.
    failed_again: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn take(list: &mut BTreeMap<String, Value>, change: Listed) {
    match change {
        Listed::Begin => list.clear(),
        Listed::Is(item) => drop(list.insert(text(&item["metadata"]["name"]), item)),
        Listed::Gone(item) => drop(list.remove(&text(&item["metadata"]["name"]))),
    }
}

impl Scene {
    /// Nothing is seen yet.
    pub(super) fn new(objects: &[ObjectRef]) -> Self {
        let awaited = objects.iter().map(|object| Awaited {
            object: object.clone(),
            live: None,
            is_seen: false,
            said: Some("not seen yet".to_owned()),
        });
        Self {
            awaited: awaited.collect(),
            pods: BTreeMap::new(),
            sets: BTreeMap::new(),
            claims: BTreeMap::new(),
            events: BTreeMap::new(),
            setbacks: BTreeMap::new(),
            unready: BTreeMap::new(),
            began: format!("{:.0}", jiff::Timestamp::now() - CLOCKS_DIFFER),
        }
    }

    /// An awaited object as it is now; `None` if it does not exist.
    pub(super) fn object(&mut self, index: usize, live: Option<Value>) {
        self.awaited[index].live = live;
        self.awaited[index].is_seen = true;
    }

    /// A change among the pods.
    pub(super) fn pod(&mut self, change: Listed, now: Instant) {
        take(&mut self.pods, change);
        let unready: BTreeSet<String> = self
            .pods
            .values()
            .filter(|pod| !pod::is_ready(pod))
            .map(|pod| text(&pod["metadata"]["uid"]))
            .collect();
        self.unready.retain(|uid, _| unready.contains(uid));
        for uid in unready {
            self.unready.entry(uid).or_insert(now);
        }
        self.note_setbacks(now);
    }

    fn note_setbacks(&mut self, now: Instant) {
        let kinds: BTreeMap<String, SetbackKind> = self
            .pods
            .values()
            .filter_map(|pod| Some((text(&pod["metadata"]["uid"]), pod::setback(pod)?.kind)))
            .collect();
        self.setbacks.retain(|uid, _| kinds.contains_key(uid));
        for (uid, kind) in kinds {
            let course = self.setbacks.entry(uid).or_insert(Course {
                since: now,
                backed_off: false,
                failed_again: false,
            });
            match kind {
                SetbackKind::BackedOff => course.backed_off = true,
                SetbackKind::PullFailed => course.failed_again |= course.backed_off,
                SetbackKind::NotMade => {}
            }
        }
    }

    /// A change among the claims.
    pub(super) fn claim(&mut self, change: Listed) {
        take(&mut self.claims, change);
    }

    /// A change among the events.
    pub(super) fn event(&mut self, change: Listed) {
        take(&mut self.events, change);
    }

    /// A change among the ReplicaSets.
    pub(super) fn set(&mut self, change: Listed) {
        take(&mut self.sets, change);
    }

    /// For how long images were pulled since the wait began.
    pub(super) fn pulls(&self, since: Timestamp) -> Duration {
        pulling(self.events.values(), since)
    }

    /// Whether everything is ready.
    pub(super) fn is_ready(&self) -> bool {
        self.awaited.iter().all(|awaited| awaited.said.is_none())
    }

    /// The objects of which something else is to be said than before: why each waits, or `None`
    /// if it is ready.
    pub(super) fn news(&mut self, now: Instant) -> Vec<(ObjectRef, Option<String>)> {
        let states: Vec<Option<String>> = self
            .awaited
            .iter()
            .map(|awaited| self.state(awaited, now))
            .collect();
        let mut news = Vec::new();
        for (awaited, state) in self.awaited.iter_mut().zip(states) {
            if awaited.said != state {
                awaited.said.clone_from(&state);
                news.push((awaited.object.clone(), state));
            }
        }
        news
    }

    fn state(&self, awaited: &Awaited, now: Instant) -> Option<String> {
        let why = match awaited.live.as_ref().map(readiness) {
            None if awaited.is_seen => "it does not exist".to_owned(),
            None => "not seen yet".to_owned(),
            Some(Readiness::Current) => return None,
            Some(Readiness::InProgress(why) | Readiness::Failed(why)) => why,
        };
        if let Some((pod, trouble)) = self.culprit(awaited, now) {
            let name = text(&pod["metadata"]["name"]);
            return Some(format!("{why}; pod {name}: {trouble}"));
        }
        let because = match awaited.object.kind {
            ObjectKind::Service | ObjectKind::Ingress => self.refused_address(awaited),
            _ => self.unmade(awaited),
        };
        Some(match because {
            Some(because) => format!("{why}; {because}"),
            None => why,
        })
    }

    /// Why the controller of a StatefulSet cannot make its pods: its newest warning. That of a
    /// Deployment says so in the object itself.
    fn unmade(&self, awaited: &Awaited) -> Option<String> {
        if self.unready_pods(awaited).next().is_some() {
            return None;
        }
        // Events are kept for an hour: those of an earlier trouble say nothing about this wait.
        let is_new = |event: &&Value| *pod::event_time(event) >= *self.began;
        let is_meant = |event: &&Value| is_new(event) && event["reason"] == "FailedCreate";
        let because = self.newest_warning(awaited, is_meant)?;
        Some(format!("no pod is made: {because}"))
    }

    /// Why a cloud gives no address, unless it has gone on since. However old that is: a cloud may
    /// let minutes pass before it tries again.
    fn refused_address(&self, awaited: &Awaited) -> Option<String> {
        let is_meant = |event: &&Value| {
            let reason = event["reason"].as_str().unwrap_or_default();
            !reason.contains("Endpoint")
        };
        self.newest_warning(awaited, is_meant)
    }

    /// What the newest of the events about an awaited object says that are meant, if it is a
    /// warning.
    fn newest_warning(
        &self,
        awaited: &Awaited,
        is_meant: impl Fn(&&Value) -> bool,
    ) -> Option<String> {
        let uid = text(&awaited.live.as_ref()?["metadata"]["uid"]);
        let newest = pod::newest_event(self.events.values().filter(is_meant), &uid)?;
        (newest["type"] == "Warning").then(|| text(&newest["message"]))
    }

    /// The pods of an object's newest revision that are not ready and not going.
    fn unready_pods<'a>(&'a self, awaited: &'a Awaited) -> impl Iterator<Item = &'a Value> {
        let sets: Vec<&Value> = self.sets.values().collect();
        let workload = awaited.live.as_ref();
        self.pods.values().filter(move |pod| {
            !pod::is_ready(pod)
                && !pod::is_going(pod)
                && workload.is_some_and(|workload| pod::is_of_newest_revision(pod, workload, &sets))
        })
    }

    /// The pod that keeps an object from being ready, and why: the one with the gravest trouble,
    /// else one that should be ready by now.
    fn culprit<'a>(&'a self, awaited: &'a Awaited, now: Instant) -> Option<(&'a Value, String)> {
        let with = |judge: &dyn Fn(&Value) -> Option<String>| {
            self.unready_pods(awaited)
                .find_map(|pod| Some((pod, judge(pod)?)))
        };
        with(&pod::failure)
            .or_else(|| with(&|pod| self.unplaced(pod)))
            .or_else(|| with(&pod::trouble))
            .or_else(|| {
                let mut late = self.unready_pods(awaited);
                let late = late.find(|pod| self.is_unready_for(pod, READYING_GRACE, now))?;
                let why = self.pending_claim(late).or_else(|| self.stuck(late));
                Some((late, why.unwrap_or_else(|| pod::not_ready(late))))
            })
    }

    /// Why no node takes a pod: the claim that it waits for, if there is one, else the scheduler's
    /// words.
    fn unplaced(&self, pod: &Value) -> Option<String> {
        let unschedulable = pod::unschedulable(pod)?;
        Some(self.pending_claim(pod).unwrap_or(unschedulable))
    }

    /// The claim that a pod waits for, with what its newest event says. One that waits for the
    /// pod's node in its turn is not to blame.
    fn pending_claim(&self, pod: &Value) -> Option<String> {
        let pending = |name: &str| {
            let claim = self.claims.get(name)?;
            if claim["status"]["phase"] != "Pending" {
                return None;
            }
            let uid = text(&claim["metadata"]["uid"]);
            let event = pod::newest_event(self.events.values(), &uid);
            let reason = event.and_then(|event| event["reason"].as_str());
            if matches!(reason, Some("WaitForFirstConsumer" | "WaitForPodScheduled")) {
                return None;
            }
            let message = event.map(|event| format!(": {}", text(&event["message"])));
            let message = message.unwrap_or_default();
            Some(format!(
                "it waits for PersistentVolumeClaim/{name}, which is Pending{message}"
            ))
        };
        pod::claims(pod).find_map(pending)
    }

    /// Why a pod that has a node does not start: its newest warning.
    fn stuck(&self, pod: &Value) -> Option<String> {
        let warnings = self
            .events
            .values()
            .filter(|event| event["type"] == "Warning");
        let newest = pod::newest_event(warnings, &text(&pod["metadata"]["uid"]))?;
        pod::is_starting(pod).then(|| format!("ContainerCreating: {}", text(&newest["message"])))
    }

    /// A setback that did not heal: an image that could not be pulled a second time, or anything
    /// that lasted.
    fn lasting_setback(&self, pod: &Value, now: Instant) -> Option<String> {
        let setback = pod::setback(pod)?;
        let course = self.setbacks.get(&text(&pod["metadata"]["uid"]))?;
        let is_late = now.duration_since(course.since) >= SETBACK_GRACE;
        let lasts = match setback.kind {
            SetbackKind::NotMade => is_late,
            SetbackKind::PullFailed | SetbackKind::BackedOff => {
                course.failed_again || (course.backed_off && is_late)
            }
        };
        lasts.then_some(setback.text)
    }

    fn is_unready_for(&self, pod: &Value, grace: Duration, now: Instant) -> bool {
        let since = self.unready.get(&text(&pod["metadata"]["uid"]));
        since.is_some_and(|since| now.duration_since(*since) >= grace)
    }

    /// Something that will not get ready by itself, so that waiting on is of no use.
    pub(super) fn hopeless(&self, now: Instant) -> Option<Trouble> {
        let unready = self.awaited.iter().filter(|awaited| awaited.said.is_some());
        for awaited in unready {
            if let Some(Readiness::Failed(why)) = awaited.live.as_ref().map(readiness) {
                let culprit = self.culprit(awaited, now);
                let pod = culprit.as_ref().map(|(pod, _)| (*pod).clone());
                let what = awaited.object.to_string();
                let why = match culprit {
                    Some((pod, trouble)) => {
                        format!("{why}; pod {}: {trouble}", text(&pod["metadata"]["name"]))
                    }
                    None => why,
                };
                return Some(Trouble { what, why, pod });
            }
            let given_up = self.unready_pods(awaited).find_map(|pod| {
                let is_late = self.is_unready_for(pod, SCHEDULING_GRACE, now);
                let unplaced = || self.unplaced(pod).filter(|_| is_late);
                let lasting = || self.lasting_setback(pod, now);
                Some((pod, pod::failure(pod).or_else(lasting).or_else(unplaced)?))
            });
            if let Some((pod, why)) = given_up {
                let metadata = &pod["metadata"];
                return Some(Trouble {
                    what: format!(
                        "Pod/{}/{}",
                        awaited.object.namespace,
                        text(&metadata["name"])
                    ),
                    why: format!("{why}{}", self.claims_elsewhere(pod)),
                    pod: Some(pod.clone()),
                });
            }
        }
        None
    }

    /// The pods besides the one to blame that wait for a claim: what it cannot do without may be
    /// among them.
    fn claims_elsewhere(&self, blamed: &Value) -> String {
        let unready = self.awaited.iter().filter(|awaited| awaited.said.is_some());
        unready
            .flat_map(|awaited| self.unready_pods(awaited))
            .filter(|pod| pod["metadata"]["uid"] != blamed["metadata"]["uid"])
            .filter_map(|pod| {
                let claim = self.pending_claim(pod)?;
                Some(format!("; pod {}: {claim}", text(&pod["metadata"]["name"])))
            })
            .collect()
    }

    /// What is not ready at the end of the time, with the pods to blame.
    pub(super) fn late(&self, now: Instant) -> Vec<Trouble> {
        let late = self.awaited.iter().filter(|awaited| awaited.said.is_some());
        late.map(|awaited| Trouble {
            what: awaited.object.to_string(),
            why: self.state(awaited, now).unwrap_or_default(),
            pod: self.culprit(awaited, now).map(|(pod, _)| pod.clone()),
        })
        .collect()
    }
}

#[cfg(test)]
#[path = "scene_tests.rs"]
mod tests;
