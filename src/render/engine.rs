//! From a template and values to an object that Kubernetes knows, field for field.

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext, Template};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, ResourceQuota, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::object::ObjectKind;

use super::error::RenderError;
use super::monitor::ServiceMonitor;
use super::paths;
use super::strict;

/// The templates, parsed.
pub(super) struct Engine {
    registry: Handlebars<'static>,
}

impl Engine {
    /// Parses templates; a partial's name has no suffix.
    pub(super) fn new(templates: &[(&str, &str)]) -> Result<Self, RenderError> {
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        registry.register_escape_fn(handlebars::no_escape);
        registry.register_helper("json", Box::new(json));
        for (name, text) in templates {
            let template =
                Template::compile_with_name(text, (*name).to_owned()).map_err(|source| {
                    RenderError::Syntax {
                        template: (*name).to_owned(),
                        source: Box::new(source),
                    }
                })?;
            registry.register_template(name, template);
        }
        Ok(Self { registry })
    }

    /// Fills a template. Every path in it, taken or not, has to exist in the context.
    pub(super) fn text(&self, name: &str, context: &Value) -> Result<String, RenderError> {
        paths::check(&self.registry, name, context)?;
        let fill = |source| RenderError::Fill {
            template: name.to_owned(),
            source: Box::new(source),
        };
        let context = Context::wraps(context).map_err(fill)?;
        self.registry
            .render_with_context(name, &context)
            .map_err(fill)
    }

    /// Fills a template and reads the result as an object of a kind.
    pub(super) fn object(
        &self,
        kind: ObjectKind,
        name: &str,
        context: &Value,
    ) -> Result<Value, RenderError> {
        let text = self.text(name, context)?;
        match kind {
            ObjectKind::ServiceAccount => typed::<ServiceAccount>(kind, name, &text),
            ObjectKind::ConfigMap => typed::<ConfigMap>(kind, name, &text),
            ObjectKind::Service => typed::<Service>(kind, name, &text),
            ObjectKind::ResourceQuota => typed::<ResourceQuota>(kind, name, &text),
            ObjectKind::NetworkPolicy => typed::<NetworkPolicy>(kind, name, &text),
            ObjectKind::Deployment => typed::<Deployment>(kind, name, &text),
            ObjectKind::StatefulSet => typed::<StatefulSet>(kind, name, &text),
            ObjectKind::PodDisruptionBudget => typed::<PodDisruptionBudget>(kind, name, &text),
            ObjectKind::HorizontalPodAutoscaler => {
                typed::<HorizontalPodAutoscaler>(kind, name, &text)
            }
            ObjectKind::Ingress => typed::<Ingress>(kind, name, &text),
            ObjectKind::PersistentVolumeClaim => typed::<PersistentVolumeClaim>(kind, name, &text),
            ObjectKind::CronJob => typed::<CronJob>(kind, name, &text),
            ObjectKind::ServiceMonitor => typed::<ServiceMonitor>(kind, name, &text),
            ObjectKind::Namespace | ObjectKind::Secret | ObjectKind::Job | ObjectKind::Lease => {
                Err(RenderError::Template {
                    template: name.to_owned(),
                    line: 1,
                    reason: format!("a {kind} is not rendered"),
                })
            }
        }
    }
}

/// A value as JSON in one line, which YAML reads as what it is, whatever it holds.
fn json(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = helper.param(0).map_or(&Value::Null, |param| param.value());
    out.write(&value.to_string())?;
    Ok(())
}

/// Reads YAML as `T`; a field that `T` does not have is an error, not dropped.
fn typed<T: DeserializeOwned + Serialize>(
    kind: ObjectKind,
    template: &str,
    text: &str,
) -> Result<Value, RenderError> {
    let tree: Value = serde_yaml::from_str(text).map_err(|source| RenderError::NotYaml {
        template: template.to_owned(),
        source,
    })?;
    let not_the_kind = |source, path: String| RenderError::NotTheKind {
        template: template.to_owned(),
        kind: kind.name(),
        path,
        source,
    };
    let read = strict::read::<T>(tree).map_err(|wrong| not_the_kind(wrong.source, wrong.path))?;
    if let Some(field) = read.unknown.into_iter().next() {
        return Err(RenderError::UnknownField {
            template: template.to_owned(),
            kind: kind.name(),
            field,
        });
    }
    let object = read.object;
    serde_json::to_value(object).map_err(|source| not_the_kind(source, ".".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{json name}}\n";

    /// Renders one template as a ConfigMap and gives the error, with its cause.
    fn error(template: &str) -> String {
        let context = json!({ "name": "x", "some": { "flag": false, "nothing": null } });
        let made = Engine::new(&[("a.yaml", template), ("part", "{{json some.typo}}\n")])
            .and_then(|engine| engine.object(ObjectKind::ConfigMap, "a.yaml", &context));
        let error = made.expect_err("the template is bad");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    }

    #[test]
    fn r39_a_misspelt_path_is_an_error_with_template_and_line() {
        let value = error(&format!("{PLAIN}data:\n  a: {{{{json some.flga}}}}\n"));
        assert_eq!(
            value,
            "template `a.yaml`, line 6: there is no value `some.flga`: "
        );
        let condition = error(&format!(
            "{PLAIN}{{{{#if some.flga}}}}\ndata: {{}}\n{{{{/if}}}}\n"
        ));
        assert!(
            condition.contains("line 5: there is no value `some.flga`"),
            "{condition}"
        );
        let untaken = error(&format!(
            "{PLAIN}{{{{#if some.flag}}}}\nx: {{{{json nmae}}}}\n{{{{else}}}}\n{{{{/if}}}}\n"
        ));
        assert!(
            untaken.contains("line 6: there is no value `nmae`"),
            "{untaken}"
        );
        let partial = error(&format!("{PLAIN}data:\n  {{{{> part}}}}\n"));
        assert!(partial.contains("template `part`, line 1"), "{partial}");
        let below_null = error(&format!("{PLAIN}x: {{{{json some.nothing.more}}}}\n"));
        assert!(
            below_null.contains("there is no value `some.nothing.more`"),
            "{below_null}"
        );
    }

    #[test]
    fn r39_what_cannot_be_checked_is_not_allowed_in_a_template() {
        let raw = error(&format!("{PLAIN}# {{{{name}}}}\n"));
        assert!(
            raw.contains("line 5: `name` has to be written as {{json name}}"),
            "{raw}"
        );
        let each = error(&format!("{PLAIN}{{{{#each some}}}}\n{{{{/each}}}}\n"));
        assert!(
            each.contains("line 5: the block `each` cannot be checked"),
            "{each}"
        );
        let partial = error(&format!("{PLAIN}{{{{> prat}}}}\n"));
        assert!(partial.contains("there is no partial `prat`"), "{partial}");
    }

    #[test]
    fn r39_a_field_that_kubernetes_does_not_know_is_an_error() {
        let field = error(&format!("{PLAIN}  lables: {{}}\n"));
        assert!(field.contains("unknown field `metadata.lables`"), "{field}");
        let kind = error("apiVersion: v1\nkind: Service\nmetadata: {}\n");
        assert!(kind.contains("gives no valid ConfigMap"), "{kind}");
        let wrong = error(&format!("{PLAIN}data:\n  a: 5\n"));
        assert!(
            wrong.contains("gives no valid ConfigMap: `data.a`"),
            "{wrong}"
        );
        let yaml = error("a: [\n");
        assert!(yaml.contains("gives no valid YAML"), "{yaml}");
        let syntax = error("{{#if name}}\n");
        assert!(syntax.contains("cannot be parsed"), "{syntax}");
    }

    #[test]
    fn a_value_cannot_break_out_of_its_place() {
        let context = json!({ "name": "x\"\n  labels: {a: b}\n# {{json some}}" });
        let object = Engine::new(&[("a.yaml", PLAIN)])
            .and_then(|engine| engine.object(ObjectKind::ConfigMap, "a.yaml", &context))
            .expect("it is filled");
        assert_eq!(object["metadata"], json!({ "name": context["name"] }));
    }
}
