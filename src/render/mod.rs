//! From values to manifests: templates filled, read as typed Kubernetes objects, in a fixed order.
//!
//! Pure: the same values give the same bytes. No Secret is rendered; what has to exist is listed.

mod backup;
mod components;
mod engine;
mod error;
mod facts;
pub mod images;
mod ingress;
pub mod labels;
mod monitor;
mod paths;
mod policies;
mod redis;
mod secrets;
mod source;
pub mod strict;
mod templates;
mod view;

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::config::Resolved;
use crate::config::values::Values;
use crate::model::component::Component;
use crate::model::endpoint::Endpoint;
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::object::{ObjectKind, ObjectRef};

use components::Filled;
use engine::Engine;
pub use error::{MissingSetting, RenderError};
use facts::Facts;
pub use facts::{PLACEHOLDER_DATABASE, PLACEHOLDER_ETCD, PLACEHOLDER_REDIS};

/// What to do about an address that a workload needs and nobody gave yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Refuse,
    Placeholder,
}

/// Everything that the profile puts into its namespace.
///
/// # Errors
/// When a needed setting is missing, or a value makes an object that Kubernetes does not know.
pub fn render(resolved: &Resolved) -> Result<RenderedSet, RenderError> {
    render_with(resolved, Unknown::Refuse)
}

/// As [`render()`], but an address that nobody gave yet is a placeholder that nobody can mistake
/// for one. For looking at a profile before the addresses exist; never to be applied.
///
/// # Errors
/// When a value makes an object that Kubernetes does not know.
pub fn preview(resolved: &Resolved) -> Result<RenderedSet, RenderError> {
    render_with(resolved, Unknown::Placeholder)
}

fn render_with(resolved: &Resolved, unknown: Unknown) -> Result<RenderedSet, RenderError> {
    let facts = Facts::new(resolved, unknown)?;
    let engine = engine()?;
    let mut set = SetBuilder {
        engine,
        namespace: resolved.namespace(),
        manifests: Vec::new(),
    };
    for component in Component::ALL {
        if components::is_enabled(&resolved.values, component) {
            let filled = components::fill(engine, resolved, &facts, component)?;
            set.component(resolved, component, &filled)?;
        }
    }
    if resolved.values.dumps_database() {
        set.backup(resolved, &facts)?;
    }
    if let Some((name, stands_for)) = facts::redis_alias(resolved) {
        set.alias(resolved, &name, &stands_for)?;
    }
    if resolved.values.resource_quota.enabled {
        set.quota(resolved)?;
    }
    if resolved.values.network_policy.default_deny {
        set.default_deny(resolved)?;
    }
    let mut manifests = set.manifests;
    let place = |kind: ObjectKind| ObjectKind::ALL.iter().position(|known| *known == kind);
    manifests.sort_by(|one, other| {
        (place(one.object.kind), &one.object.name)
            .cmp(&(place(other.object.kind), &other.object.name))
    });
    manifests.dedup_by(|one, other| one.object == other.object);
    Ok(RenderedSet {
        profile: resolved.profile,
        namespace: resolved.namespace().to_owned(),
        cluster_id: resolved.cluster_id().to_owned(),
        manifests,
        secrets: secrets::needs(resolved, &facts),
    })
}

/// The templates, parsed once.
fn engine() -> Result<&'static Engine, RenderError> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    if let Some(engine) = ENGINE.get() {
        return Ok(engine);
    }
    let engine = Engine::new(templates::ALL)?;
    Ok(ENGINE.get_or_init(|| engine))
}

struct SetBuilder<'a> {
    engine: &'a Engine,
    namespace: &'a str,
    manifests: Vec<Manifest>,
}

impl SetBuilder<'_> {
    /// Every object of one component.
    fn component(
        &mut self,
        resolved: &Resolved,
        component: Component,
        filled: &Filled,
    ) -> Result<(), RenderError> {
        let values = &resolved.values;
        let context = &filled.context;
        let name = &filled.object.name;
        let is_worker = Component::WORKERS.contains(&component);
        if !is_worker || values.service_account.create {
            let account = view::service_account(resolved, component);
            self.add(
                ObjectKind::ServiceAccount,
                &account,
                "serviceaccount.yaml",
                context,
            )?;
        }
        self.add(ObjectKind::Service, name, "service.yaml", context)?;
        let kind = match view::workload_kind(component) {
            "Deployment" => ObjectKind::Deployment,
            _ => ObjectKind::StatefulSet,
        };
        let template = format!("{component}.{}.yaml", kind.name().to_lowercase());
        let mut workload = context.clone();
        workload["object"]["labels"][labels::VERSION] = filled.version.clone().into();
        self.add(kind, name, &template, &workload)?;
        let config_map = match component {
            Component::Redis | Component::Postgresql => Some(format!("{name}-config")),
            Component::Streamer => {
                source::config_map(values).map(|(config_map, _, _)| config_map.to_owned())
            }
            _ => None,
        };
        if let Some(name) = config_map {
            let mut context = context.clone();
            context["object"]["name"] = Value::String(name.clone());
            self.add(ObjectKind::ConfigMap, &name, "configmap.yaml", &context)?;
        }
        if component == Component::Redis {
            self.redis_nodes(resolved, context)?;
        }
        if values.network_policy.enabled || values.network_policy.default_deny {
            self.add(
                ObjectKind::NetworkPolicy,
                name,
                "networkpolicy.yaml",
                context,
            )?;
        }
        if has_autoscaler(values, component) {
            let kind = ObjectKind::HorizontalPodAutoscaler;
            self.add(kind, name, "horizontalpodautoscaler.yaml", context)?;
        }
        if has_budget(values, component) {
            let kind = ObjectKind::PodDisruptionBudget;
            self.add(kind, name, "poddisruptionbudget.yaml", context)?;
        }
        self.reach(resolved, component, filled)
    }

    /// The Services of a cluster's nodes.
    fn redis_nodes(&mut self, resolved: &Resolved, context: &Value) -> Result<(), RenderError> {
        for node in redis::node_services(resolved) {
            let mut context = context.clone();
            let name = node["name"].as_str().unwrap_or_default().to_owned();
            context["node"] = node;
            let template = "redis-node.service.yaml";
            self.add(ObjectKind::Service, &name, template, &context)?;
        }
        Ok(())
    }

    /// What leads to a component from outside, and what scrapes it.
    fn reach(
        &mut self,
        resolved: &Resolved,
        component: Component,
        filled: &Filled,
    ) -> Result<(), RenderError> {
        let name = &filled.object.name;
        let mut context = filled.context.clone();
        if let Some(ingress) = ingress::of(&resolved.values, component) {
            context["ingress"] = ingress::view(resolved, ingress, name, view::port_name(component));
            self.add(ObjectKind::Ingress, name, "ingress.yaml", &context)?;
        }
        if monitor::is_scraped(&resolved.values, component) {
            context["monitor"] = monitor::view(resolved, component, &filled.object.labels);
            let kind = ObjectKind::ServiceMonitor;
            self.add(kind, name, "servicemonitor.yaml", &context)?;
        }
        Ok(())
    }

    /// The dumps of the database: a CronJob and what it needs.
    fn backup(&mut self, resolved: &Resolved, facts: &Facts) -> Result<(), RenderError> {
        let mut context = backup::fill(resolved, facts);
        let name = labels::prefixed(resolved, backup::BACKUP);
        let script = self.engine.text("backup.sh", &context)?;
        context["component"]["files"] = json!({ "backup.sh": script });
        let kind = ObjectKind::ServiceAccount;
        self.add(kind, &name, "serviceaccount.yaml", &context)?;
        self.add(ObjectKind::ConfigMap, &name, "configmap.yaml", &context)?;
        if resolved.values.network_policy.enabled {
            let kind = ObjectKind::NetworkPolicy;
            self.add(kind, &name, "networkpolicy.yaml", &context)?;
        }
        if backup::has_own_claim(&resolved.values.backup.storage) {
            let kind = ObjectKind::PersistentVolumeClaim;
            self.add(kind, &name, "persistentvolumeclaim.yaml", &context)?;
        }
        self.add(ObjectKind::CronJob, &name, "backup.cronjob.yaml", &context)
    }

    /// A Service that stands for a Redis elsewhere.
    fn alias(
        &mut self,
        resolved: &Resolved,
        name: &str,
        stands_for: &Endpoint,
    ) -> Result<(), RenderError> {
        let context = json!({
            "object": self.common(resolved, name),
            "alias": { "host": stands_for.host, "port": stands_for.port },
        });
        self.add(ObjectKind::Service, name, "externalname.yaml", &context)
    }

    /// The metadata of an object that belongs to no component.
    fn common(&self, resolved: &Resolved, name: &str) -> view::ObjectView {
        view::ObjectView {
            name: name.to_owned(),
            namespace: self.namespace.to_owned(),
            labels: labels::common(resolved),
            annotations: view::filled(resolved.values.common_annotations.clone()),
        }
    }

    fn quota(&mut self, resolved: &Resolved) -> Result<(), RenderError> {
        let name = labels::prefixed(resolved, resolved.profile.name());
        let hard: crate::config::values::Texts = resolved
            .values
            .resource_quota
            .hard
            .iter()
            .map(|(resource, amount)| (resource.clone(), view::canonical(amount)))
            .collect();
        let context = json!({
            "object": self.common(resolved, &name),
            "hard": hard,
        });
        self.add(
            ObjectKind::ResourceQuota,
            &name,
            "resourcequota.yaml",
            &context,
        )
    }

    /// A policy that selects every pod and allows nothing. One for each profile, so that each can
    /// be taken away by itself.
    fn default_deny(&mut self, resolved: &Resolved) -> Result<(), RenderError> {
        let name = format!("{}-default-deny", resolved.profile);
        let name = labels::prefixed(resolved, &name);
        let object = view::ObjectView {
            name: name.clone(),
            namespace: self.namespace.to_owned(),
            labels: labels::common(resolved),
            annotations: view::filled(resolved.values.common_annotations.clone()),
        };
        let kind = ObjectKind::NetworkPolicy;
        let context = json!({ "object": object });
        self.add(kind, &name, "default-deny.yaml", &context)
    }

    fn add(
        &mut self,
        kind: ObjectKind,
        name: &str,
        template: &str,
        context: &Value,
    ) -> Result<(), RenderError> {
        let value = self.engine.object(kind, template, context)?;
        let object = ObjectRef::new(kind, self.namespace, name);
        self.manifests.push(Manifest { object, value });
        Ok(())
    }
}

fn has_autoscaler(values: &Values, component: Component) -> bool {
    let own = match component {
        Component::Streamer => &values.streamer.autoscaling,
        Component::Collector => &values.collector.autoscaling,
        Component::ApiGateway => &values.api_gateway.autoscaling,
        Component::Redis | Component::Postgresql | Component::Etcd => return false,
    };
    values.autoscaling.overridden(own).enabled
}

fn has_budget(values: &Values, component: Component) -> bool {
    let own = match component {
        Component::Streamer => &values.streamer.pod_disruption_budget,
        Component::Collector => &values.collector.pod_disruption_budget,
        Component::ApiGateway => &values.api_gateway.pod_disruption_budget,
        Component::Redis | Component::Postgresql | Component::Etcd => return false,
    };
    values.pod_disruption_budget.overridden(own).enabled
}
