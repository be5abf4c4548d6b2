//! What can go wrong while rendering.

/// A setting that the profile needs and nobody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSetting {
    /// Its key.
    pub key: &'static str,
    /// The flag of `telectl deploy` that gives it, if there is one.
    pub flag: Option<&'static str>,
    /// What it is.
    pub meaning: &'static str,
}

impl std::fmt::Display for MissingSetting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, flag, meaning } = self;
        write!(formatter, "`{key}` ({meaning}; --set {key}=…")?;
        if let Some(flag) = flag {
            write!(formatter, ", or {flag} of `telectl deploy`")?;
        }
        formatter.write_str(")")
    }
}

/// Manifests that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Settings are missing.
    #[error("{profile} needs {}", list(missing))]
    Missing {
        /// The profile.
        profile: crate::model::profile::Profile,
        /// Which.
        missing: Vec<MissingSetting>,
    },
    /// A template is none.
    #[error("template `{template}` cannot be parsed")]
    Syntax {
        /// The template.
        template: String,
        /// Where and why.
        source: Box<handlebars::TemplateError>,
    },
    /// A template uses what it may not.
    #[error("template `{template}`, line {line}: {reason}")]
    Template {
        /// The template.
        template: String,
        /// The line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// A template cannot be filled.
    #[error("template `{template}` cannot be filled")]
    Fill {
        /// The template.
        template: String,
        /// Where and why.
        source: Box<handlebars::RenderError>,
    },
    /// What a template gives is not YAML.
    #[error("template `{template}` gives no valid YAML")]
    NotYaml {
        /// The template.
        template: String,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// What a template gives is not the object that it should be.
    #[error("template `{template}` gives no valid {kind}: `{path}`")]
    NotTheKind {
        /// The template.
        template: String,
        /// The kind.
        kind: &'static str,
        /// Where in the object.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The object has fields that Kubernetes does not know.
    #[error("template `{template}` gives a {kind} with the unknown field `{field}`")]
    UnknownField {
        /// The template.
        template: String,
        /// The kind.
        kind: &'static str,
        /// The field.
        field: String,
    },
}

fn list(missing: &[MissingSetting]) -> String {
    let items: Vec<String> = missing.iter().map(ToString::to_string).collect();
    items.join(" and ")
}
