//! Looks at the values of a profile, and at what is made from them, without any cluster.
//!
//! Pure. What cannot be resolved or rendered is a finding as well; only input that cannot be read
//! at all is an error. Each rule has an id that `telectl explain` knows.

mod accepted;
mod exposure;
mod fields;
mod finding;
mod flows;
mod ingress_nginx;
mod metadata;
mod pods;
mod policies;
pub mod rule;
mod scaling;
mod secrets;
mod servers;
mod subject;
pub mod zero_trust;

use crate::config::{self, ConfigError, Layers};
use crate::model::profile::Profile;
use crate::render::{self, RenderError};

pub use finding::{Finding, merged};
pub use rule::{RULES, Rule, Severity};
pub use subject::Subject;
pub use zero_trust::{Answer, Standing};

/// What lint cannot work with.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// A file is none, or a `--set` cannot be understood.
    #[error(transparent)]
    Values(#[from] ConfigError),
    /// A template of telectl's own is wrong.
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// Everything that is wrong with a profile under these values.
///
/// # Errors
/// When the values cannot be read at all.
pub fn lint(profile: Profile, layers: &Layers) -> Result<Vec<Finding>, LintError> {
    let resolved = match config::resolve(profile, layers) {
        Ok(resolved) => resolved,
        Err(error) => return Ok(accepted::refused(profile, error)?),
    };
    let mut found = fields::unknown(&resolved);
    match render::preview(&resolved) {
        Ok(set) => found.extend(check(&Subject {
            resolved: &resolved,
            set: &set,
        })),
        // What the values' own places tell better is not said again.
        Err(_) if !found.is_empty() => {}
        Err(error) => found.push(fields::refused(profile, error)?),
    }
    found.extend(accepted::odd(&resolved, &found));
    found.extend(accepted::unknown_variables(profile, layers)?);
    found.extend(accepted::unknown_allowances(&resolved));
    for finding in &mut found {
        let allowed = &resolved.values.lint.allow;
        finding.allowed = allowed
            .iter()
            .any(|id| id.eq_ignore_ascii_case(finding.rule.id));
    }
    Ok(found)
}

/// How a profile under these values stands to the principles of zero trust.
///
/// # Errors
/// When the values are wrong or cannot be rendered.
pub fn checklist(profile: Profile, layers: &Layers) -> Result<Vec<Answer>, LintError> {
    let resolved = config::resolve(profile, layers)?;
    let set = render::preview(&resolved)?;
    Ok(zero_trust::checklist(&Subject {
        resolved: &resolved,
        set: &set,
    }))
}

/// Everything that is wrong with a profile that could be rendered.
pub fn check(subject: &Subject<'_>) -> Vec<Finding> {
    const CHECKS: &[fn(Subject<'_>) -> Vec<Finding>] = &[
        pods::source,
        pods::images,
        pods::variables,
        servers::queue_exists,
        servers::login,
        servers::database_address,
        servers::preloaded,
        servers::redis_nodes,
        servers::server_names,
        secrets::missing_or_unused,
        secrets::inline,
        scaling::scraped_ports,
        scaling::autoscalers,
        scaling::repeated,
        scaling::drains,
        scaling::quota,
        scaling::requests,
        metadata::ingress_annotations,
        metadata::ingress_backends,
        metadata::annotations_as_labels,
        metadata::common,
        metadata::syntax,
        metadata::config_map_sizes,
        flows::blocked,
        policies::dead,
        policies::namespace_labels,
        policies::open,
        exposure::plaintext,
        exposure::local_names,
        exposure::public_database,
        exposure::open_servers,
    ];
    CHECKS.iter().flat_map(|check| check(*subject)).collect()
}
