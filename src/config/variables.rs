//! The environment as a layer: `TELECTL_EXTERNAL_REDIS_HOST` sets `externalRedis.host`.

use std::collections::BTreeMap;

use super::environment::Environment;
use super::error::{ConfigError, Warning};
use super::key_path::KeyPath;
use super::layer::Layer;
use super::schema::Schema;
use super::source::Source;

const PREFIX: &str = "TELECTL_";

/// Variables of the original script that set a value.
const SEED_VARIABLES: &[(&str, &str)] = &[("REDIS_HOST", "externalRedis.host")];

/// Variables with our prefix that are no values.
const OTHER: &[&str] = &["TELECTL_FLEET", "TELECTL_VALUES", "TELECTL_CACHE"];

/// Variables of the project's own tests.
const TESTS: &str = "TELECTL_TEST_";

/// One layer per variable that sets a value.
pub(super) fn layers(environment: &Environment, schema: &Schema) -> Vec<Layer> {
    let names = names(schema);
    let mut layers = Vec::new();
    for (variable, key) in SEED_VARIABLES {
        if let Some(text) = environment.get(variable) {
            layers.push(layer(variable, text, &KeyPath::from(*key), schema));
        }
    }
    for (variable, text) in environment.with_prefix(PREFIX) {
        if let Some((_, path)) = names.iter().find(|(name, _)| name == variable) {
            layers.push(layer(variable, text, path, schema));
        }
    }
    layers
}

/// Variables of ours that set no value, give none of these flags and mean nothing else.
pub(super) fn unknown(
    environment: &Environment,
    schema: &Schema,
    flags: &[String],
) -> Vec<Warning> {
    let values = names(schema);
    let known: Vec<&str> = values
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(flags.iter().map(String::as_str))
        .chain(OTHER.iter().copied())
        .collect();
    environment
        .with_prefix(PREFIX)
        .filter(|(name, _)| !known.contains(name) && !name.starts_with(TESTS))
        .map(|(name, _)| Warning::UnknownVariable {
            name: name.to_owned(),
            nearest: nearest(name, &known),
        })
        .collect()
}

fn names(schema: &Schema) -> Vec<(String, KeyPath)> {
    let leaves = schema.leaves().into_iter();
    leaves.map(|path| (name(&path), path)).collect()
}

/// The variables that set a value. None of them holds a secret: no key for one can be set so.
pub fn values(environment: &Environment) -> Result<BTreeMap<String, String>, ConfigError> {
    let schema = super::resolve::schema()?;
    let names: Vec<String> = schema.leaves().iter().map(name).collect();
    let ours = environment
        .with_prefix(PREFIX)
        .filter(|(variable, _)| names.iter().any(|name| name == variable));
    Ok(ours
        .map(|(variable, text)| (variable.to_owned(), text.to_owned()))
        .collect())
}

fn layer(variable: &str, text: &str, path: &KeyPath, schema: &Schema) -> Layer {
    let source = Source::Environment(variable.to_owned());
    Layer::single(source, path, schema.coerce(path, text))
}

fn nearest(variable: &str, known: &[&str]) -> Option<String> {
    known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(name, variable), name))
        .filter(|(closeness, _)| *closeness > 0.6)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| (*name).to_owned())
}

/// The variable that sets the value at `path`.
pub(super) fn name(path: &KeyPath) -> String {
    let mut name = String::from("TELECTL");
    for key in path.keys() {
        name.push('_');
        let symbols: Vec<char> = key.chars().collect();
        for (index, symbol) in symbols.iter().enumerate() {
            let starts_word = symbol.is_uppercase()
                && index > 0
                && (symbols[index - 1].is_lowercase()
                    || symbols
                        .get(index + 1)
                        .is_some_and(|next| next.is_lowercase()));
            if starts_word {
                name.push('_');
            }
            name.extend(symbol.to_uppercase());
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn words_of_a_key_are_parted() {
        let cases = [
            (
                "externalRedis.tls.caCert",
                "TELECTL_EXTERNAL_REDIS_TLS_CA_CERT",
            ),
            (
                "autoscaling.targetCPUUtilizationPercentage",
                "TELECTL_AUTOSCALING_TARGET_CPU_UTILIZATION_PERCENTAGE",
            ),
            ("discovery.leaseTTL", "TELECTL_DISCOVERY_LEASE_TTL"),
        ];
        for (key, variable) in cases {
            assert_eq!(name(&key.into()), variable);
        }
    }
}
