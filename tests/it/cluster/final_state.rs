//! What a deployment leaves on its clusters, in a form in which two deployments that came to the
//! same end are equal: what is random by nature has a name after the order in which it is met, so
//! that it still shows who shares what with whom.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// How many differences are told.
const SHOWN: usize = 8;

/// Everything, by cluster, kind and name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FinalState {
    objects: BTreeMap<String, Value>,
    /// What nobody has to see to: Jobs that delete themselves by their own deadline, and locks whose
    /// holder has ended, which the next run that writes takes over at once.
    pub(super) leaving: BTreeSet<String>,
}

/// Names for what is random.
#[derive(Debug, Default)]
struct Names(BTreeMap<String, usize>);

impl Names {
    fn of(&mut self, what: &str, random: &str) -> String {
        let next = self.0.len();
        let number = *self.0.entry(random.to_owned()).or_insert(next);
        format!("<{what} {number}>")
    }
}

impl FinalState {
    /// The state that these objects are, given as (cluster, object) and always in the same order.
    pub(super) fn of(found: Vec<(String, Value)>) -> Self {
        let mut names = Names::default();
        let mut state = Self::default();
        for (cluster, object) in found {
            let metadata = &object["metadata"];
            let name = format!(
                "{cluster} {}/{}",
                object["kind"].as_str().unwrap_or_default(),
                metadata["name"].as_str().unwrap_or_default()
            );
            if deletes_itself(&object) || is_of_the_dead(&object) {
                let _new = state.leaving.insert(name);
            } else {
                let _before = state.objects.insert(name, normal(object, &mut names));
            }
        }
        state
    }

    /// How another state differs from this one; nothing if it does not.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut told = Vec::new();
        for name in self.objects.keys() {
            if !other.objects.contains_key(name) {
                told.push(format!("{name} is missing"));
            }
        }
        for name in other.objects.keys() {
            if !self.objects.contains_key(name) {
                told.push(format!("{name} is there and should not be"));
            }
        }
        for (name, object) in &self.objects {
            if let Some(found) = other.objects.get(name) {
                differ(name, object, found, &mut told);
            }
        }
        told.truncate(SHOWN);
        told
    }

    /// How many objects there are.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// What of these kinds is there.
    pub(super) fn of_kind(&self, kind: &str) -> Vec<&String> {
        let is_of_kind = |name: &&String| name.contains(&format!(" {kind}/"));
        self.objects.keys().filter(is_of_kind).collect()
    }
}

fn deletes_itself(object: &Value) -> bool {
    let spec = &object["spec"];
    let is_limited = ["ttlSecondsAfterFinished", "activeDeadlineSeconds"];
    object["kind"] == "Job" && is_limited.iter().all(|limit| spec[*limit].is_u64())
}

/// A lock names its holder's process, as `boot namespace id start`.
fn is_of_the_dead(object: &Value) -> bool {
    let process = object["metadata"]["annotations"]["telectl.io/process"].as_str();
    let id = process.and_then(|mark| mark.split(' ').nth(2));
    let has_ended = |id: &str| !std::path::Path::new("/proc").join(id).exists();
    object["kind"] == "Lease" && id.is_some_and(has_ended)
}

fn differ(place: &str, one: &Value, other: &Value, told: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let [one, other] = [one, other].map(|map| map.get(key).unwrap_or(&Value::Null));
                differ(&format!("{place} .{key}"), one, other, told);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differ(&format!("{place}[{index}]"), one, other, told);
            }
        }
        (one, other) if one != other => told.push(format!("{place}: {one} → {other}")),
        _ => {}
    }
}

/// An object without what differs between any two deployments.
fn normal(mut object: Value, names: &mut Names) -> Value {
    if let Some(map) = object.as_object_mut() {
        // The controllers' own, and what they were at when it was looked at.
        let _status = map.remove("status");
    }
    let fields = object["metadata"]["managedFields"].take();
    object["metadata"]["managedFields"] = owners(&fields);
    if let Some(digest) = object
        .pointer_mut("/spec/template/metadata/annotations")
        .and_then(|annotations| annotations.get_mut("telectl.io/secrets"))
    {
        *digest = names
            .of("digest", digest.as_str().unwrap_or_default())
            .into();
    }
    if object["kind"] == "Secret" {
        for value in object["data"].as_object_mut().into_iter().flatten() {
            *value.1 = names
                .of("secret", value.1.as_str().unwrap_or_default())
                .into();
        }
    }
    for (_, packed) in object["binaryData"].as_object_mut().into_iter().flatten() {
        *packed = unpacked(packed.as_str().unwrap_or_default());
    }
    cleaned(object, names)
}

/// The objects of an entry of the history.
fn unpacked(packed: &str) -> Value {
    let packed = STANDARD.decode(packed).expect("base64");
    let text = zstd::stream::decode_all(&packed[..]).expect("zstd");
    serde_json::from_slice(&text).expect("JSON")
}

/// Who owns which fields; what a controller says of a status changes with time.
fn owners(fields: &Value) -> Value {
    let mut owners: Vec<Value> = fields
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["subresource"].is_null())
        .map(|entry| {
            json!({
                "manager": entry["manager"], "operation": entry["operation"],
                "fields": entry["fieldsV1"],
            })
        })
        .collect();
    owners.sort_by_key(|owner| owner["manager"].to_string() + &owner["operation"].to_string());
    owners.into()
}

/// Ids, counts and times go; addresses get names.
fn cleaned(value: Value, names: &mut Names) -> Value {
    const PASSING: [&str; 7] = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "nodePort",
        "healthCheckNodePort",
        "time",
    ];
    match value {
        Value::Object(map) => map
            .into_iter()
            // The number of a run is called as the number of an object's changes is.
            .filter(|(key, value)| !PASSING.contains(&&**key) || value.is_object())
            .map(|(key, value)| (key, cleaned(value, names)))
            .collect(),
        Value::Array(all) => all.into_iter().map(|value| cleaned(value, names)).collect(),
        Value::String(text) => cleaned_text(&text, names).into(),
        other => other,
    }
}

fn cleaned_text(text: &str, names: &mut Names) -> String {
    let is_part = |symbol: char| symbol.is_ascii_alphanumeric() || ".:+-".contains(symbol);
    let mut cleaned = String::new();
    let mut rest = text;
    while let Some(symbol) = rest.chars().next() {
        let end = rest.find(|symbol| !is_part(symbol)).unwrap_or(rest.len());
        if end == 0 {
            cleaned.push(symbol);
            rest = &rest[symbol.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(end);
        rest = after;
        let address_end = word.find(|symbol: char| !(symbol.is_ascii_digit() || symbol == '.'));
        let (address, port) = word.split_at(address_end.unwrap_or(word.len()));
        let is_process = word.bytes().all(|byte| byte.is_ascii_digit())
            && cleaned.ends_with('(')
            && rest.starts_with(')');
        if is_process {
            cleaned.push_str("<process>");
        } else if word.parse::<jiff::Timestamp>().is_ok() {
            cleaned.push_str("<time>");
        } else if address.parse::<std::net::Ipv4Addr>().is_ok() {
            cleaned.push_str(&names.of("address", address));
            cleaned.push_str(port);
        } else {
            cleaned.push_str(word);
        }
    }
    cleaned
}
