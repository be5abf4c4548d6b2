//! Plans that are kept in files, to be applied later exactly as they were seen.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deploy::plan::StagePlan;
use crate::model::exit::ExitCode;

use super::super::error::CliError;
use super::intent::Intent;
use super::view;

/// Version of the file's form.
const SCHEMA: u32 = 1;

/// What a file keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    schema: u32,
    /// The version of telectl that planned.
    version: String,
    /// What was planned from.
    pub(super) intent: Intent,
    /// What was planned, as `plan -o json` prints it.
    plan: Value,
}

/// Keeps a plan. Only this user can read the file: values need not be everybody's business.
pub(super) fn write(file: &Path, intent: &Intent, plans: &[StagePlan]) -> Result<(), CliError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let failed = |error: std::io::Error| {
        CliError::failed(format!("cannot keep the plan in {}", file.display())).because(error)
    };
    let saved = Saved {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        intent: intent.clone(),
        plan: shown(plans),
    };
    let text = serde_json::to_string_pretty(&saved)
        .map_err(|error| CliError::failed("cannot write the plan as JSON").because(error))?;
    // Whole or not at all.
    let partial = file.with_extension("partial");
    let mut written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .map_err(failed)?;
    written
        .write_all(text.as_bytes())
        .and_then(|()| written.sync_all())
        .and_then(|()| std::fs::rename(&partial, file))
        .map_err(failed)
}

/// Reads a plan that was kept.
pub(super) fn read(file: &Path) -> Result<Saved, CliError> {
    let unusable =
        |what: &str| CliError::with_code(ExitCode::Usage, format!("{} {what}", file.display()));
    let text =
        std::fs::read_to_string(file).map_err(|error| unusable("cannot be read").because(error))?;
    let saved: Saved = serde_json::from_str(&text)
        .map_err(|error| unusable("is no saved plan").because(error))
        .map_err(|error| error.hint("telectl plan --save FILE makes one"))?;
    let own = env!("CARGO_PKG_VERSION");
    if saved.schema != SCHEMA || saved.version != own {
        let version = &saved.version;
        return Err(
            unusable(&format!("was planned by telectl {version}, this is {own}"))
                .hint("plan again with this version"),
        );
    }
    Ok(saved)
}

impl Saved {
    /// Refuses to go on if the plan of now is another one.
    pub(super) fn require_same(&self, plans: &[StagePlan]) -> Result<(), CliError> {
        let different = differences(&self.plan, &shown(plans));
        if different.is_empty() {
            return Ok(());
        }
        let mut error = CliError::failed("the clusters are not as they were when this was planned");
        for line in different {
            error = error.detail(line);
        }
        Err(error
            .detail("nothing was written")
            .hint("look at a new plan, and save it again"))
    }
}

fn shown(plans: &[StagePlan]) -> Value {
    serde_json::from_str(&view::json(plans)).unwrap_or_default()
}

/// What happens to each object, by a name that tells it from every other.
fn actions(plan: &Value) -> std::collections::BTreeMap<String, Value> {
    let stages = plan["stages"].as_array().into_iter().flatten();
    let mut found = std::collections::BTreeMap::new();
    for stage in stages {
        let place = format!(
            "cluster {}: ",
            stage["cluster"].as_str().unwrap_or_default()
        );
        for list in ["objects", "secrets", "unwanted"] {
            for one in stage[list].as_array().into_iter().flatten() {
                let object = if one["object"].is_null() {
                    one
                } else {
                    &one["object"]
                };
                let text = |field: &str| object[field].as_str().unwrap_or_default();
                let name = format!(
                    "{place}{}/{}/{}",
                    text("kind"),
                    text("namespace"),
                    text("name")
                );
                found.insert(name, one.clone());
            }
        }
    }
    found
}

fn differences(before: &Value, now: &Value) -> Vec<String> {
    let (before, now) = (actions(before), actions(now));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let word = |one: Option<&Value>| match one {
        None => "not part of it".to_owned(),
        Some(one) => one["action"].as_str().unwrap_or("delete").to_owned(),
    };
    names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .map(|name| {
            let (old, new) = (word(before.get(name)), word(now.get(name)));
            if old == new {
                format!("{name}: {new}, but with other values")
            } else {
                format!("{name}: was planned as {old}, is now {new}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(action: &str, after: &str) -> Value {
        let object = json!({"kind": "Service", "namespace": "ns", "name": "redis"});
        let change = json!({"field": ".spec.type", "after": after});
        json!({"stages": [{
            "cluster": "west",
            "objects": [{"object": object, "action": action, "changes": [change]}],
            "secrets": [], "unwanted": [],
        }]})
    }

    #[test]
    fn what_is_different_by_now_is_named() {
        let planned = plan("update", "LoadBalancer");
        assert_eq!(differences(&planned, &planned), [""; 0]);
        assert_eq!(
            differences(&planned, &plan("conflict", "LoadBalancer")),
            ["cluster west: Service/ns/redis: was planned as update, is now conflict"]
        );
        assert_eq!(
            differences(&planned, &plan("update", "NodePort")),
            ["cluster west: Service/ns/redis: update, but with other values"]
        );
        assert_eq!(
            differences(&planned, &json!({"stages": []})),
            ["cluster west: Service/ns/redis: was planned as update, is now not part of it"]
        );
    }
}
