//! What the rules look at: the values of one profile and what is made from them.

use serde_json::Value;

use crate::config::values::Values;
use crate::config::{KeyPath, Resolved};
use crate::model::component::Component;
use crate::model::labels::COMPONENT;
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::profile::Profile;

use super::finding::Finding;
use super::rule::Rule;

/// A profile: its values and its manifests.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The values, with who set them.
    pub resolved: &'a Resolved,
    /// What is made from them.
    pub set: &'a RenderedSet,
}

impl<'a> Subject<'a> {
    /// The values.
    pub(super) const fn values(&self) -> &'a Values {
        &self.resolved.values
    }

    /// The profile.
    pub(super) const fn profile(&self) -> Profile {
        self.resolved.profile
    }

    /// The manifests of a kind, by its name.
    pub(super) fn of_kind(self, kind: &'static str) -> impl Iterator<Item = &'a Manifest> {
        let is_kind = move |manifest: &&Manifest| manifest.value["kind"] == kind;
        self.set.manifests.iter().filter(is_kind)
    }

    /// The pods that workloads make.
    pub(super) fn pods(self) -> impl Iterator<Item = Pod<'a>> {
        self.set.manifests.iter().filter_map(Pod::of)
    }

    /// The pods of the workers.
    pub(super) fn workers(self) -> impl Iterator<Item = Pod<'a>> {
        self.pods().filter(Pod::is_worker)
    }

    /// The Service that pods of the namespace reach under this host name, if it is one of its own
    /// namespace; `Err` if nothing of that name is made.
    pub(super) fn service(self, host: &str) -> Option<Result<&'a Manifest, ()>> {
        let inner = format!(".{}.svc", self.set.namespace);
        let name = host
            .trim_end_matches(".cluster.local")
            .strip_suffix(&inner)?;
        let mut services = self.of_kind("Service");
        let found = services.find(|manifest| manifest.object.name == name);
        Some(found.ok_or(()))
    }

    /// A finding about a key, with the place where it was set.
    pub(super) fn about_key(
        self,
        rule: &'static Rule,
        key: &str,
        says: impl Into<String>,
    ) -> Finding {
        let place = self.resolved.place(&KeyPath::parse(key)).cloned();
        Finding::new(rule, self.profile(), key, says).at(place)
    }

    /// A finding about an object.
    pub(super) fn about_object(
        self,
        rule: &'static Rule,
        manifest: &Manifest,
        says: impl Into<String>,
    ) -> Finding {
        let object = &manifest.object;
        let subject = format!("{}/{}", object.kind, object.name);
        Finding::new(rule, self.profile(), subject, says)
    }
}

/// The pods that a workload makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pod<'a> {
    /// The workload.
    pub(super) manifest: &'a Manifest,
    /// Its template: metadata and spec.
    pub(super) template: &'a Value,
}

impl<'a> Pod<'a> {
    fn of(manifest: &'a Manifest) -> Option<Self> {
        let spec = &manifest.value["spec"];
        let template = [&spec["template"], &spec["jobTemplate"]["spec"]["template"]]
            .into_iter()
            .find(|template| template["spec"].is_object())?;
        Some(Self { manifest, template })
    }

    /// The component, as its label says.
    pub(super) fn component(&self) -> &'a str {
        let labels = &self.template["metadata"]["labels"];
        labels[COMPONENT].as_str().unwrap_or_default()
    }

    fn is_worker(&self) -> bool {
        let component = self.component();
        Component::WORKERS
            .iter()
            .any(|worker| worker.name() == component)
    }

    /// Containers, those that run first included.
    pub(super) fn containers(self) -> impl Iterator<Item = &'a Value> {
        let spec = &self.template["spec"];
        items(&spec["initContainers"]).chain(items(&spec["containers"]))
    }

    /// Every variable of every container.
    pub(super) fn variables(self) -> impl Iterator<Item = &'a Value> {
        self.containers()
            .flat_map(|container| items(&container["env"]))
    }

    /// The literal value of a variable.
    pub(super) fn variable(self, name: &str) -> Option<&'a str> {
        let mut variables = self.variables();
        variables.find(|variable| variable["name"] == name)?["value"].as_str()
    }

    /// Whether a variable is set, in whichever way.
    pub(super) fn has_variable(self, name: &str) -> bool {
        self.variables().any(|variable| variable["name"] == name)
    }

    /// The numbers of the ports that its containers listen on.
    pub(super) fn ports(self) -> impl Iterator<Item = u64> {
        self.containers()
            .flat_map(|container| items(&container["ports"]))
            .filter_map(|port| port["containerPort"].as_u64())
    }
}

/// The items of a list; none if it is no list.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Names and texts of a map of texts.
pub(super) fn texts(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    let map = value.as_object().into_iter().flatten();
    map.filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)))
}

/// Whether a selector's labels are all among these.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().into_iter().flatten();
    let mut wanted = wanted.peekable();
    wanted.peek().is_some() && wanted.all(|(name, value)| labels.get(name) == Some(value))
}
