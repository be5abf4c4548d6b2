//! The fleet file (`telectl.yaml`): which clusters there are.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::ConfigError;
use super::resolve::ValuesFile;

/// The name that is looked for in the working directory.
pub const FILE_NAME: &str = "telectl.yaml";

/// What a cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FleetRole {
    /// Streamers.
    Edge,
    /// Collectors, gateway and database.
    Central,
    /// Redis and etcd.
    Shared,
    /// Everything.
    SameCluster,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetCluster {
    /// Its name; `CLUSTER_ID` of its workers.
    pub name: String,
    /// Its context in the kubeconfig.
    pub context: String,
    /// What it is for.
    pub role: FleetRole,
    /// Where it is.
    #[serde(default)]
    pub region: String,
    /// Values for this cluster alone.
    #[serde(default)]
    pub values: Map<String, Value>,
}

/// The clusters and what they have in common.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// The clusters.
    #[serde(default)]
    pub clusters: Vec<FleetCluster>,
    /// Values for all of them.
    #[serde(default)]
    pub values: Map<String, Value>,
    /// The file's name, for messages.
    #[serde(skip)]
    file: String,
}

impl Fleet {
    /// Reads a fleet file.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Understands the text of a fleet file.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let mut fleet: Self =
            serde_yaml::from_str(text).map_err(|source| ConfigError::NotYaml {
                name: file.to_owned(),
                source,
            })?;
        file.clone_into(&mut fleet.file);
        Ok(fleet)
    }

    /// The layers of values for a cluster: those of all clusters, then its own.
    ///
    /// # Errors
    /// When values cannot be written as YAML, which does not happen for values that were read.
    pub fn layers(&self, cluster: &FleetCluster) -> Result<Vec<ValuesFile>, ConfigError> {
        let parts = [
            (format!("{} (values)", self.file), &self.values),
            (
                format!("{} (values of {})", self.file, cluster.name),
                &cluster.values,
            ),
        ];
        parts
            .into_iter()
            .map(|(name, values)| match serde_yaml::to_string(values) {
                Ok(text) => Ok(ValuesFile { name, text }),
                Err(source) => Err(ConfigError::NotYaml { name, source }),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_have_names_contexts_and_roles() {
        let fleet = Fleet::parse(
            "telectl.yaml",
            "values:\n  image: {tag: '2'}\nclusters:\n- name: north\n  context: kind-north\n  \
             role: edge\n  values:\n    streamer: {replicaCount: 1}\n",
        )
        .unwrap();
        assert_eq!(fleet.clusters[0].role, FleetRole::Edge);
        let layers = fleet.layers(&fleet.clusters[0]).unwrap();
        assert_eq!(layers[0].text, "image:\n  tag: '2'\n");
        assert_eq!(layers[1].name, "telectl.yaml (values of north)");
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let error = Fleet::parse("telectl.yaml", "clusters:\n- nme: north\n").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("nme") && cause.contains("line 2"), "{cause}");
    }
}
