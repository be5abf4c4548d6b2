//! A stage as it is going to be, as far as that is known before anything is planned. Pure.

use serde_json::Value;

use super::needs::Makers;
use super::wanting::items;
use crate::deploy::layout::Stage;
use crate::deploy::run::Part;
use crate::model::manifest::RenderedSet;
use crate::model::object::ObjectKind;

/// A stage of a run.
#[derive(Debug)]
pub(super) struct Prospect {
    /// Which.
    pub(super) stage: Stage,
    /// Whether it is written or only looked at.
    pub(super) part: Part,
    /// What is rendered, with placeholders for addresses that are not known yet.
    pub(super) set: RenderedSet,
}

impl Prospect {
    /// Whether the set has a Service that needs a load balancer.
    pub(super) fn awaits_load_balancer(&self) -> bool {
        self.load_balancers().next().is_some()
    }

    /// The names of the Services that need a load balancer, and their class.
    pub(super) fn load_balancers(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let manifests = self.set.manifests.iter();
        manifests
            .filter(|manifest| {
                manifest.object.kind == ObjectKind::Service
                    && manifest.value["spec"]["type"] == "LoadBalancer"
            })
            .map(|manifest| {
                let class = manifest.value["spec"]["loadBalancerClass"].as_str();
                (manifest.object.name.as_str(), class)
            })
    }

    /// The Secrets with keys that no stage of the run makes.
    pub(super) fn given_secrets(&self, makers: &Makers<'_>) -> impl Iterator<Item = &str> {
        let needs = self.set.secrets.iter();
        needs
            .filter(|need| need.keys.iter().any(|key| !makers.make(key.content)))
            .map(|need| need.name.as_str())
    }

    /// The pull secrets that pods name.
    pub(super) fn pull_secrets(&self) -> impl Iterator<Item = &str> {
        let manifests = self.set.manifests.iter();
        manifests
            .flat_map(|manifest| {
                items(&manifest.value["spec"]["template"]["spec"]["imagePullSecrets"])
            })
            .filter_map(|secret: &Value| secret["name"].as_str())
    }
}
