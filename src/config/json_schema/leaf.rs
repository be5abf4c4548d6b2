//! What one place takes, found out by trying: the typed settings themselves answer, so that the
//! schema cannot say anything else than they do.

use serde_json::{Map, Value, json};

/// Tries a value at a place; `Null` stands for nothing. Gives why it is not taken.
pub(super) type Try<'a> = &'a dyn Fn(&Value) -> Result<(), String>;

/// A text that is hardly meant by anybody.
const ANY_TEXT: &str = "?";

/// A reference to an environment variable, somewhere in a text.
const REFERENCE: &str = r"\$\{[^}]+\}";

/// The schema of a place. Whatever is no text may also be given by a variable.
pub(super) fn schema(attempt: Try<'_>) -> Map<String, Value> {
    let takes = |value: Value| attempt(&value).is_ok();
    let mut found = Map::new();
    let mut types = Vec::new();
    if takes(json!(true)) {
        types.push("boolean");
    }
    if takes(json!(1)) {
        types.push("integer");
        bounds(attempt, &mut found);
    }
    let texts = texts(attempt);
    if texts.is_some() {
        types.push("string");
    }
    if takes(json!([])) {
        types.push("array");
        if let Some(types) = inside(&|item| attempt(&json!([item]))) {
            found.insert("items".to_owned(), json!({ "type": one_or_list(&types) }));
        }
    }
    if takes(json!({})) {
        types.push("object");
        if let Some(mut types) = inside(&|item| attempt(&json!({ "x": item }))) {
            // In a map of a file, null takes away what an earlier layer has.
            types.push("null");
            let below = json!({ "type": one_or_list(&types) });
            found.insert("additionalProperties".to_owned(), below);
        }
    }
    if takes(Value::Null) {
        types.push("null");
    }
    let is_open = texts.as_ref().is_some_and(Vec::is_empty);
    if let Some(mut words) = texts.filter(|words| !words.is_empty()) {
        if types.contains(&"null") {
            words.push(Value::Null);
        }
        found.insert("enum".to_owned(), words.into());
    }
    found.insert("type".to_owned(), one_or_list(&types));
    if is_open {
        return found;
    }
    let by_variable = json!({ "type": "string", "pattern": REFERENCE });
    Map::from_iter([("anyOf".to_owned(), json!([found, by_variable]))])
}

fn one_or_list(types: &[&str]) -> Value {
    match types {
        [one] => json!(one),
        several => json!(several),
    }
}

/// Smallest and largest number.
fn bounds(attempt: Try<'_>, found: &mut Map<String, Value>) {
    let takes = |number: i64| attempt(&json!(number)).is_ok();
    if let Some(least) = [0, 1]
        .into_iter()
        .find(|least| takes(*least) && !takes(least - 1))
    {
        found.insert("minimum".to_owned(), json!(least));
    }
    let largest = i64::from(u16::MAX);
    if takes(largest) && !takes(largest + 1) {
        found.insert("maximum".to_owned(), json!(largest));
    }
}

/// The words that are taken; an empty list for every text, `None` for none.
fn texts(attempt: Try<'_>) -> Option<Vec<Value>> {
    let Err(reason) = attempt(&json!(ANY_TEXT)) else {
        return Some(Vec::new());
    };
    let words = words(&reason)?;
    let empty = attempt(&json!("")).is_ok().then(String::new);
    Some(empty.into_iter().chain(words).map(Value::String).collect())
}

/// The words that an error names as those that would be taken.
pub(super) fn words(reason: &str) -> Option<Vec<String>> {
    if let Some(list) = reason.strip_prefix("must be one of ") {
        return Some(list.split(", ").map(str::to_owned).collect());
    }
    let rest = reason.strip_prefix("unknown ")?;
    let (_, list) = rest.split_once(", expected ")?;
    let quoted = list.split('`').skip(1).step_by(2);
    Some(quoted.map(str::to_owned).collect())
}

/// What is taken inside a list or a map; `None` where anything is, or only what has parts.
fn inside(attempt: Try<'_>) -> Option<Vec<&'static str>> {
    let tried = [
        ("string", json!(ANY_TEXT)),
        ("number", json!(1)),
        ("boolean", json!(true)),
        ("object", json!({})),
        ("null", Value::Null),
    ];
    let all = tried.len();
    let taken = tried.into_iter().filter(|(_, item)| attempt(item).is_ok());
    let types: Vec<&str> = taken.map(|(name, _)| name).collect();
    (!types.is_empty() && types.len() < all).then_some(types)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn the_words_of_an_error_are_found() {
        let expect = |reason: &str, expected: &[&str]| {
            let found = words(reason).unwrap_or_default();
            assert_eq!(found, expected, "{reason}");
        };
        expect(
            "unknown variant `?`, expected one of `a`, `b`, `c`",
            &["a", "b", "c"],
        );
        expect("unknown field `?`, expected `a` or `b`", &["a", "b"]);
        expect("must be one of error, warn", &["error", "warn"]);
        expect("invalid type: string \"?\", expected u16", &[]);
    }
}
