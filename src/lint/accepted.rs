//! What is found while the values are taken in: keys, types, variables, secrets.

use crate::config::{self, ConfigError, Layers, Problem, ProblemKind, Resolved, Warning};
use crate::model::likeness::nearest;
use crate::model::profile::Profile;

use super::finding::Finding;
use super::rule::{self, RULES};

/// Ids differ in their last digits, so that a mistyped one is very much like the right one.
const ALIKE: f64 = 0.7;

/// The findings that make values unusable; what is no list of findings is given back.
pub(super) fn refused(profile: Profile, error: ConfigError) -> Result<Vec<Finding>, ConfigError> {
    match error {
        ConfigError::Invalid { problems } => Ok(problems
            .into_iter()
            .map(|problem| refusal(profile, problem))
            .collect()),
        ConfigError::Duplicates { name, duplicates } => Ok(duplicates
            .into_iter()
            .map(|twice| {
                let [first, second] = twice.lines;
                let says = format!("stands in {name}:{second} and in {name}:{first}");
                Finding::new(&rule::TWICE, profile, twice.key.to_string(), says)
            })
            .collect()),
        other => Err(other),
    }
}

fn refusal(profile: Profile, problem: Problem) -> Finding {
    let (rule, says) = match problem.kind {
        ProblemKind::Unknown { nearest: None } => {
            (&rule::UNKNOWN_KEY, "is no key of the values".to_owned())
        }
        ProblemKind::Unknown {
            nearest: Some(nearest),
        } => {
            let says = format!("is no key of the values; the nearest is `{nearest}`");
            (&rule::UNKNOWN_KEY, says)
        }
        ProblemKind::LiteralSecret { instead } => {
            let says = format!("holds a secret; use {instead}");
            (&rule::INLINE_SECRET, says)
        }
        ProblemKind::UnsetVariable(name) => {
            let says = format!("refers to the environment variable `{name}`, which is not set");
            (&rule::UNSET_VARIABLE, says)
        }
        ProblemKind::Invalid(reason) => (&rule::WRONG_VALUE, reason),
        ProblemKind::BlocksDrains(reason) => (&rule::DRAIN, reason),
        ProblemKind::QuotaTooSmall(reason) => (&rule::QUOTA, reason),
    };
    Finding::new(rule, profile, problem.key, says).at(problem.place)
}

/// What is odd about values that can be used; a combination that another finding tells better is
/// left out.
pub(super) fn odd(resolved: &Resolved, found: &[Finding]) -> Vec<Finding> {
    let is_new = |warning: &&Warning| match warning {
        Warning::Combination(text) => !found.iter().any(|one| text.contains(&one.subject)),
        _ => true,
    };
    let warnings = resolved.warnings.iter().filter(is_new);
    warnings
        .map(|warning| oddity(resolved.profile, warning))
        .collect()
}

/// Variables of ours in the environment that values are read from, and that mean nothing.
pub(super) fn unknown_variables(
    profile: Profile,
    layers: &Layers,
) -> Result<Vec<Finding>, ConfigError> {
    let unknown = config::unknown_variables(&layers.environment, &[])?;
    Ok(unknown
        .iter()
        .map(|warning| oddity(profile, warning))
        .collect())
}

fn oddity(profile: Profile, warning: &Warning) -> Finding {
    match warning {
        Warning::Ineffective { key, place, why } => {
            Finding::new(&rule::WITHOUT_EFFECT, profile, key.clone(), why.clone())
                .at(Some(place.clone()))
        }
        Warning::Alias {
            key,
            canonical,
            place,
        } => {
            let says = format!("is read as `{canonical}`");
            Finding::new(&rule::ALIAS, profile, *key, says).at(Some(place.clone()))
        }
        Warning::UnknownVariable { name, nearest } => {
            let nearest = nearest
                .as_ref()
                .map(|nearest| format!("; the nearest is `{nearest}`"));
            let says = format!("is no variable of telectl{}", nearest.unwrap_or_default());
            Finding::new(&rule::UNKNOWN_VARIABLE, profile, name.clone(), says)
        }
        Warning::QuotaTooSmall { key, place, why } => {
            Finding::new(&rule::QUOTA, profile, key.clone(), why.clone()).at(place.clone())
        }
        Warning::Combination(text) => {
            Finding::new(&rule::CONTRADICTION, profile, first_key(text), text.clone())
        }
    }
}

/// The key that a sentence is about: the first word with a dot in it.
fn first_key(sentence: &str) -> &str {
    let mut words = sentence.split(|symbol: char| symbol.is_whitespace() || "`:,".contains(symbol));
    words
        .find(|word| word.trim_end_matches('.').contains('.'))
        .unwrap_or("values")
}

/// Ids that are allowed to be broken and that no rule has.
pub(super) fn unknown_allowances(resolved: &Resolved) -> Vec<Finding> {
    let unknown = |id: &&String| rule::find(id).is_none();
    let allow = resolved.values.lint.allow.iter();
    let place = resolved.place(&"lint.allow".into()).cloned();
    allow
        .filter(unknown)
        .map(|id| {
            let ids = RULES.iter().map(|rule| rule.id);
            let nearest = nearest(&id.to_uppercase(), ids, ALIKE)
                .map(|nearest| format!("; the nearest is `{nearest}`"));
            let says = format!(
                "names `{id}`, which is no rule{}",
                nearest.unwrap_or_default()
            );
            Finding::new(&rule::WRONG_VALUE, resolved.profile, "lint.allow", says).at(place.clone())
        })
        .collect()
}
