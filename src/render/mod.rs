//! From values to manifests: templates filled, read as typed Kubernetes objects, in a fixed order.
//!
//! Pure: the same values give the same bytes. No Secret is rendered; what has to exist is listed.

mod components;
mod engine;
mod error;
mod facts;
pub mod images;
pub mod labels;
mod paths;
mod policies;
mod secrets;
mod templates;
mod view;

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::config::Resolved;
use crate::config::values::Values;
use crate::model::component::Component;
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
        if matches!(component, Component::Redis | Component::Postgresql) {
            let name = format!("{name}-config");
            let mut context = context.clone();
            context["object"]["name"] = Value::String(name.clone());
            self.add(ObjectKind::ConfigMap, &name, "configmap.yaml", &context)?;
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
        Ok(())
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
            "object": view::ObjectView {
                name: name.clone(),
                namespace: self.namespace.to_owned(),
                labels: labels::common(resolved),
                annotations: view::filled(resolved.values.common_annotations.clone()),
            },
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
