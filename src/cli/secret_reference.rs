//! Secrets come by reference, never literally on a command line.

use std::io::Read as _;

use crate::config::environment::Environment;
use crate::model::secret::Secret;

use super::error::CliError;

/// Reads the secret that a flag refers to: `env:NAME`, `file:PATH` or `-` (standard input).
/// A line end at the end of a file or of standard input does not belong to the secret.
pub(super) fn resolve(
    flag: &str,
    reference: &str,
    environment: &Environment,
) -> Result<Secret<String>, CliError> {
    let text = if let Some(name) = reference.strip_prefix("env:") {
        let unset = || CliError::usage(format!("{flag}: environment variable `{name}` is not set"));
        environment.get(name).ok_or_else(unset)?.to_owned()
    } else if let Some(path) = reference.strip_prefix("file:") {
        std::fs::read_to_string(path).map_err(|error| {
            CliError::usage(format!("{flag}: cannot read {path}")).because(error)
        })?
    } else if reference == "-" {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map_err(|error| {
                CliError::usage(format!("{flag}: cannot read standard input")).because(error)
            })?;
        text
    } else {
        return Err(CliError::usage(format!(
            "{flag} takes a reference, because a command line is seen by others and kept in history"
        ))
        .hint(format!(
            "{flag} env:NAME, {flag} file:PATH, or {flag} - for standard input"
        )));
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(CliError::usage(format!("{flag}: the secret is empty")));
    }
    Ok(Secret::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_secret_is_refused_and_not_repeated() {
        let error = resolve(
            "--redis-password",
            "canary-literal",
            &Environment::default(),
        )
        .unwrap_err();
        let shown = format!("{error:?}");
        assert!(!shown.contains("canary-literal"), "{shown}");
        assert!(shown.contains("env:NAME"), "{shown}");
    }

    #[test]
    fn a_reference_to_the_environment_is_followed() {
        let environment = Environment::from([("REDIS_PASSWORD", "p")]);
        let found = resolve("-p", "env:REDIS_PASSWORD", &environment).unwrap();
        assert_eq!(found, Secret::from("p"));
        assert!(resolve("-p", "env:OTHER", &environment).is_err());
    }
}
