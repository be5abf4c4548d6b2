//! What was deployed before: one ConfigMap per deployed generation beside the inventory's parent,
//! with the rendered objects. Secrets are never in it: the objects refer to them by name.
//!
//! A generation is one run over all its clusters, so the same number means the same run everywhere.
//! A stage in which a run changed nothing has no entry of that number.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::snapshot::Snapshot;
use crate::model::labels;
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::profile::Profile;

/// The label that tells entries of a profile's history; its value is the profile.
const HISTORY: &str = "telectl.io/history-of";
/// The annotation with everything about an entry but the objects.
const ABOUT: &str = "telectl.io/generation";
/// The key of the objects: JSON, compressed with zstd.
const OBJECTS: &str = "objects.json.zst";
/// How many entries are kept for each stage.
pub const KEPT: usize = 10;
/// Effort of the compression: entries are small and seldom.
const EFFORT: i32 = 9;

/// What is known about a generation of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The number of the run.
    pub number: u32,
    /// When the stage was ready, RFC 3339.
    pub at: String,
    /// Who ran it: user and host.
    pub by: String,
    /// The version of telectl.
    pub version: String,
    /// The values files and overlays that were given.
    pub files: Vec<String>,
    /// What kind of run it was, if it was no plain deployment: `rollback to 3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Why an entry cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the history entry {entry} cannot be read")]
pub struct Unreadable {
    /// Which ConfigMap.
    pub entry: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The label selector that finds the entries of a profile.
pub(super) fn selector(profile: Profile) -> String {
    format!("{HISTORY}={profile}")
}

fn reference(namespace: &str, profile: Profile, number: u32) -> ObjectRef {
    let name = format!("telectl-{profile}-{number}");
    ObjectRef::new(ObjectKind::ConfigMap, namespace, name)
}

/// The entry for a stage as it is deployed now.
///
/// # Errors
/// When the objects cannot be packed, which does not happen for objects that were rendered.
pub(super) fn entry(set: &RenderedSet, generation: &Generation) -> Result<Manifest, Unreadable> {
    let object = reference(&set.namespace, set.profile, generation.number);
    let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| Unreadable {
        entry: object.to_string(),
        source,
    };
    let text = serde_json::to_vec(set).map_err(|error| unreadable(Box::new(error)))?;
    let packed =
        zstd::bulk::compress(&text, EFFORT).map_err(|error| unreadable(Box::new(error)))?;
    let about = serde_json::to_string(generation).map_err(|error| unreadable(Box::new(error)))?;
    let value = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": object.name,
            "namespace": object.namespace,
            "labels": {
                (HISTORY): set.profile.name(),
                (labels::MANAGED_BY): labels::TELECTL,
                (labels::PART_OF): labels::PIPELINE,
            },
            "annotations": {(ABOUT): about},
        },
        "binaryData": {(OBJECTS): STANDARD.encode(packed)},
    });
    Ok(Manifest { object, value })
}

/// The generations of a profile in a namespace, oldest first.
pub fn generations(live: &Snapshot, profile: Profile) -> Vec<Generation> {
    let mut found: Vec<Generation> = entries(live, profile).filter_map(about).collect();
    found.sort_by_key(|generation| generation.number);
    found
}

/// The number of the newest generation of a profile; 0 if there is none.
pub(super) fn latest(live: &Snapshot, profile: Profile) -> u32 {
    generations(live, profile)
        .last()
        .map_or(0, |generation| generation.number)
}

/// The number of a run over stages whose newest generation is `latest`. A run that is gone on with
/// (`begun` is its number) is still the same one: its stages must not have two numbers.
pub(super) fn number_of(begun: Option<u32>, latest: u32) -> u32 {
    begun.filter(|begun| *begun >= latest).unwrap_or(latest + 1)
}

/// The newest generation of a stage that is not above a number, and its objects; `None` if the
/// stage has none.
///
/// # Errors
/// When the entry is there and cannot be read.
pub fn set_of(
    live: &Snapshot,
    profile: Profile,
    at_most: u32,
) -> Result<Option<(Generation, RenderedSet)>, Unreadable> {
    let known = generations(live, profile);
    let wanted = known
        .into_iter()
        .rev()
        .find(|generation| generation.number <= at_most);
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let is_it = |entry: &&Value| about(entry).as_ref() == Some(&wanted);
    let Some(entry) = entries(live, profile).find(is_it) else {
        return Ok(None);
    };
    let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| Unreadable {
        entry: entry["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        source,
    };
    let packed = entry["binaryData"][OBJECTS].as_str().unwrap_or_default();
    let packed = STANDARD
        .decode(packed)
        .map_err(|error| unreadable(Box::new(error)))?;
    let text =
        zstd::stream::decode_all(&packed[..]).map_err(|error| unreadable(Box::new(error)))?;
    let set = serde_json::from_slice(&text).map_err(|error| unreadable(Box::new(error)))?;
    Ok(Some((wanted, set)))
}

/// The entry of one generation: reference and UID.
pub(super) fn entry_of(
    live: &Snapshot,
    profile: Profile,
    number: u32,
) -> Option<(ObjectRef, String)> {
    let is_it = |entry: &&Value| about(entry).is_some_and(|about| about.number == number);
    let metadata = &entries(live, profile).find(is_it)?["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let object = ObjectRef::new(ObjectKind::ConfigMap, namespace, name);
    Some((object, text(&metadata["uid"])))
}

/// The entries that are beyond those that are kept once another one was written.
pub(super) fn outdated(live: &Snapshot, profile: Profile) -> Vec<(ObjectRef, String)> {
    let known = generations(live, profile);
    let surplus = (known.len() + 1).saturating_sub(KEPT);
    let oldest = known.iter().take(surplus);
    oldest
        .filter_map(|generation| entry_of(live, profile, generation.number))
        .collect()
}

fn entries(live: &Snapshot, profile: Profile) -> impl Iterator<Item = &Value> {
    live.of_kind(ObjectKind::ConfigMap)
        .filter(move |entry| entry["metadata"]["labels"][HISTORY] == profile.name())
}

fn about(entry: &Value) -> Option<Generation> {
    serde_json::from_str(entry["metadata"]["annotations"][ABOUT].as_str()?).ok()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(image: &str) -> RenderedSet {
        RenderedSet {
            profile: Profile::Edge,
            namespace: "ns".to_owned(),
            cluster_id: "west".to_owned(),
            manifests: vec![Manifest {
                object: ObjectRef::new(ObjectKind::StatefulSet, "ns", "streamer"),
                value: json!({"kind": "StatefulSet", "image": image}),
            }],
            secrets: Vec::new(),
        }
    }

    fn generation(number: u32) -> Generation {
        Generation {
            number,
            at: "2026-06-01T00:00:00Z".to_owned(),
            by: "ann@laptop".to_owned(),
            version: "1".to_owned(),
            files: vec!["lab".to_owned()],
            note: None,
        }
    }

    fn history(numbers: &[u32]) -> Snapshot {
        let entries = numbers.iter().map(|number| {
            let made = entry(&set(&format!("image:{number}")), &generation(*number));
            let mut value = made.unwrap().value;
            value["metadata"]["uid"] = format!("uid {number}").into();
            value
        });
        Snapshot::of(None, entries.collect())
    }

    #[test]
    fn d16_a_stage_goes_back_to_its_newest_generation_that_is_not_above_the_one_asked_for() {
        let live = history(&[2, 10, 5]);
        let at_most = |number| {
            let found = set_of(&live, Profile::Edge, number).unwrap();
            found.map(|(found, set)| (found.number, set.manifests[0].value["image"].to_string()))
        };
        assert_eq!(at_most(9), Some((5, "\"image:5\"".to_owned())));
        assert_eq!(at_most(10), Some((10, "\"image:10\"".to_owned())));
        assert_eq!(at_most(1), None);
        assert_eq!(latest(&live, Profile::Edge), 10);
        assert_eq!(
            latest(&live, Profile::Central),
            0,
            "another profile's history"
        );
        let (_, read) = set_of(&live, Profile::Edge, 5).unwrap().unwrap();
        assert_eq!(read.manifests, set("image:5").manifests);
    }

    #[test]
    fn ten_generations_are_kept() {
        let all: Vec<u32> = (1..=12).collect();
        let gone: Vec<String> = outdated(&history(&all), Profile::Edge)
            .into_iter()
            .map(|(object, uid)| format!("{} {uid}", object.name))
            .collect();
        assert_eq!(
            gone,
            [
                "telectl-edge-1 uid 1",
                "telectl-edge-2 uid 2",
                "telectl-edge-3 uid 3"
            ]
        );
        assert!(outdated(&history(&all[..9]), Profile::Edge).is_empty());
    }

    #[test]
    fn d16_a_run_that_is_gone_on_with_keeps_its_number_unless_another_one_came_between() {
        assert_eq!(number_of(None, 0), 1);
        assert_eq!(number_of(None, 4), 5);
        assert_eq!(number_of(Some(4), 3), 4, "no stage of it was done");
        assert_eq!(number_of(Some(4), 4), 4, "some were");
        assert_eq!(number_of(Some(4), 6), 7, "another run came between");
    }

    #[test]
    fn a_broken_entry_is_named() {
        let mut broken = entry(&set("image"), &generation(1)).unwrap().value;
        broken["binaryData"][OBJECTS] = "AAAA".into();
        let live = Snapshot::of(None, vec![broken]);
        let error = set_of(&live, Profile::Edge, 1).unwrap_err();
        assert!(error.to_string().contains("telectl-edge-1"), "{error}");
    }
}
