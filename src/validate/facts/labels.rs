//! Label selectors.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{items, text, text_map};

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// One of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Expression {
    key: String,
    operator: String,
    values: Vec<String>,
}

/// A label selector as workloads and policies have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// `matchLabels`, or the whole selector of a Service.
    pub labels: Labels,
    expressions: Vec<Expression>,
}

impl Selector {
    /// From `{matchLabels, matchExpressions}`.
    pub fn from_object(selector: &Value) -> Self {
        let expression = |value: &Value| Expression {
            key: text(&value["key"]),
            operator: text(&value["operator"]),
            values: items(&value["values"]).map(text).collect(),
        };
        Self {
            labels: text_map(&selector["matchLabels"]),
            expressions: items(&selector["matchExpressions"])
                .map(expression)
                .collect(),
        }
    }

    /// From a plain map, as a Service has it.
    pub const fn from_labels(labels: Labels) -> Self {
        Self {
            labels,
            expressions: Vec::new(),
        }
    }

    /// Whether it selects something with these labels. An empty selector selects everything.
    pub fn selects(&self, labels: &Labels) -> bool {
        let equal = self
            .labels
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value));
        equal && self.expressions.iter().all(|one| one.holds(labels))
    }
}

impl Expression {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_select_as_the_api_server_does() {
        let selector = Selector::from_object(&json!({
            "matchLabels": {"app": "redis"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "probe", "operator": "DoesNotExist"},
            ],
        }));
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert!(selector.selects(&labels(&[("app", "redis"), ("tier", "b")])));
        assert!(!selector.selects(&labels(&[("app", "redis"), ("tier", "c")])));
        assert!(!selector.selects(&labels(&[("app", "redis"), ("tier", "a"), ("probe", "1")])));
        assert!(Selector::default().selects(&labels(&[("any", "thing")])));
    }
}
