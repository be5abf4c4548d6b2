//! What happens to a layer before it is merged: aliases, secrets, variables, unknown keys.

use serde_json::{Map, Value};

use crate::model::manifest::SecretContent;
use crate::model::secret::Secret;

use super::aliases;
use super::environment::Environment;
use super::error::{Problem, ProblemKind, Warning};
use super::ineffective;
use super::key_path::KeyPath;
use super::layer::{Assignment, Layer};
use super::passwords;
use super::schema::{Known, Schema};

/// A secret that values refer to as `${NAME}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenSecret {
    /// What it is.
    pub content: SecretContent,
    /// The environment variable that holds it.
    pub variable: String,
    /// The secret.
    pub value: Secret<String>,
}

/// What was found while layers were taken in.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    pub(super) secrets: Vec<GivenSecret>,
    /// Who referred to them.
    pub(super) references: Vec<Assignment>,
}

/// Takes layers in, one after the other.
#[derive(Debug)]
pub(super) struct Intake<'a> {
    pub(super) schema: &'a Schema,
    pub(super) environment: &'a Environment,
    pub(super) findings: Findings,
}

impl Intake<'_> {
    /// Makes a layer ready to be merged.
    pub(super) fn take(&mut self, mut layer: Layer) -> Layer {
        let warnings = aliases::rewrite(&mut layer);
        self.findings.warnings.extend(warnings);
        if let Value::Object(map) = std::mem::take(&mut layer.tree) {
            layer.tree = Value::Object(self.map(map, &KeyPath::default(), &layer));
        }
        layer
    }

    fn map(
        &mut self,
        map: Map<String, Value>,
        path: &KeyPath,
        layer: &Layer,
    ) -> Map<String, Value> {
        map.into_iter()
            .filter_map(|(key, value)| {
                let path = path.child(&key);
                self.entry(value, &path, layer).map(|value| (key, value))
            })
            .collect()
    }

    fn entry(&mut self, value: Value, path: &KeyPath, layer: &Layer) -> Option<Value> {
        if let Some(setting) = passwords::at(path) {
            self.secret(setting, &value, path, layer);
            return None;
        }
        let has_secrets_below = passwords::SETTINGS
            .iter()
            .any(|setting| KeyPath::from(setting.key).is_within(path));
        match (self.schema.at(path), value) {
            (Known::Nothing, Value::Object(below)) if has_secrets_below => {
                // Only the secrets in it are looked at: the rest has no effect anyway.
                self.map(below, path, layer);
                None
            }
            (Known::Nothing, _) => {
                self.no_such_key(path, layer);
                None
            }
            (Known::Branch(_), Value::Object(below)) => {
                Some(Value::Object(self.map(below, path, layer)))
            }
            (_, value) => Some(self.interpolated(value, path, layer)),
        }
    }

    fn no_such_key(&mut self, path: &KeyPath, layer: &Layer) {
        match ineffective::reason(path) {
            Some((key, why)) => {
                let warning = Warning::Ineffective {
                    key: key.to_owned(),
                    place: layer.place(&KeyPath::from(key)),
                    why: why.to_owned(),
                };
                if !self.findings.warnings.contains(&warning) {
                    self.findings.warnings.push(warning);
                }
            }
            None => {
                let nearest = self.schema.nearest(path);
                self.problem(path, layer, ProblemKind::Unknown { nearest });
            }
        }
    }

    fn secret(
        &mut self,
        setting: &'static passwords::SecretSetting,
        value: &Value,
        path: &KeyPath,
        layer: &Layer,
    ) {
        let variable = match value {
            Value::Null => return,
            Value::String(text) if text.is_empty() => return,
            Value::String(text) => text
                .strip_prefix("${")
                .and_then(|rest| rest.strip_suffix('}')),
            _ => None,
        };
        let Some(variable) = variable else {
            let kind = ProblemKind::LiteralSecret {
                instead: setting.instead,
            };
            return self.problem(path, layer, kind);
        };
        match (self.environment.get(variable), setting.content) {
            (None, _) => {
                let kind = ProblemKind::UnsetVariable(variable.to_owned());
                self.problem(path, layer, kind);
            }
            (Some(_), None) => self.no_such_key(path, layer),
            (Some(secret), Some(content)) => {
                self.findings.references.push(Assignment {
                    path: path.clone(),
                    value: value.clone(),
                    place: layer.place(path),
                });
                let secrets = &mut self.findings.secrets;
                secrets.retain(|known| known.content != content);
                secrets.push(GivenSecret {
                    content,
                    variable: variable.to_owned(),
                    value: Secret::from(secret),
                });
            }
        }
    }

    fn interpolated(&mut self, value: Value, path: &KeyPath, layer: &Layer) -> Value {
        match value {
            Value::String(text) => self.text(text, path, layer),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.interpolated(item, path, layer))
                .collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(key, item)| {
                    let item = self.interpolated(item, &path.child(&key), layer);
                    (key, item)
                })
                .collect(),
            other => other,
        }
    }

    /// Puts the environment's variables for `${NAME}`; `$${` stands for `${`.
    fn text(&mut self, text: String, path: &KeyPath, layer: &Layer) -> Value {
        let mut result = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find("${") {
            let (before, reference) = rest.split_at(at);
            if let Some(escaped) = before.strip_suffix('$') {
                result.push_str(escaped);
                result.push_str("${");
                rest = &reference[2..];
                continue;
            }
            let Some(end) = reference.find('}') else {
                break;
            };
            result.push_str(before);
            let variable = &reference[2..end];
            match self.environment.get(variable) {
                Some(value) => result.push_str(value),
                None => {
                    let kind = ProblemKind::UnsetVariable(variable.to_owned());
                    self.problem(path, layer, kind);
                }
            }
            rest = &reference[end + 1..];
        }
        if result.is_empty() && rest == text {
            return Value::String(text);
        }
        result.push_str(rest);
        self.schema.coerce(path, &result)
    }

    fn problem(&mut self, path: &KeyPath, layer: &Layer, kind: ProblemKind) {
        self.findings.problems.push(Problem {
            key: path.to_string(),
            place: Some(layer.place(path)),
            kind,
        });
    }
}
