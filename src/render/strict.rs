//! Reads a tree as one of Kubernetes' types, field for field: k8s-openapi by itself drops what it
//! does not know.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A tree that was read, and the paths in it that the type does not have.
#[derive(Debug)]
pub struct Read<T> {
    /// What was read.
    pub object: T,
    /// Paths of unknown fields, in the order of the tree.
    pub unknown: Vec<String>,
}

/// A tree that is none of the type.
#[derive(Debug)]
pub struct NotOfType {
    /// Where it is not.
    pub path: String,
    /// Why.
    pub source: serde_json::Error,
}

/// Reads a tree as `T`.
///
/// # Errors
/// When a value has the wrong type, with its path.
pub fn read<T: DeserializeOwned>(tree: Value) -> Result<Read<T>, NotOfType> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(tree, &mut track);
    let read = serde_ignored::deserialize::<_, _, T>(tracked, |path| {
        unknown.push(path.to_string().replace(".?", ""));
    });
    match read {
        Ok(object) => Ok(Read { object, unknown }),
        Err(source) => Err(NotOfType {
            path: track.path().to_string(),
            source,
        }),
    }
}
