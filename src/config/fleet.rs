//! The fleet file (`telectl.yaml`): which clusters there are.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::duplicate;
use super::environment::Environment;
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

    /// The fleet file that `TELECTL_FLEET` names, or `telectl.yaml` in the working directory;
    /// `None` if there is none.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub fn find(environment: &Environment) -> Result<Option<Self>, ConfigError> {
        match environment.get("TELECTL_FLEET") {
            Some(path) => Self::open(Path::new(path)).map(Some),
            None if Path::new(FILE_NAME).is_file() => Self::open(Path::new(FILE_NAME)).map(Some),
            None => Ok(None),
        }
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
        duplicate::refuse(file, text)?;
        file.clone_into(&mut fleet.file);
        Ok(fleet)
    }

    /// The values of all clusters, as a layer.
    ///
    /// # Errors
    /// When values cannot be written as YAML, which does not happen for values that were read.
    pub fn common(&self) -> Result<ValuesFile, ConfigError> {
        layer(format!("{} (values)", self.file), &self.values)
    }

    /// The values of one cluster, as a layer above [`Self::common`].
    ///
    /// # Errors
    /// As [`Self::common`].
    pub fn of_cluster(&self, cluster: &FleetCluster) -> Result<ValuesFile, ConfigError> {
        let name = format!("{} (values of {})", self.file, cluster.name);
        layer(name, &cluster.values)
    }
}

fn layer(name: String, values: &Map<String, Value>) -> Result<ValuesFile, ConfigError> {
    match serde_yaml::to_string(values) {
        Ok(text) => Ok(ValuesFile { name, text }),
        Err(source) => Err(ConfigError::NotYaml { name, source }),
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
        assert_eq!(fleet.common().unwrap().text, "image:\n  tag: '2'\n");
        let own = fleet.of_cluster(&fleet.clusters[0]).unwrap();
        assert_eq!(own.name, "telectl.yaml (values of north)");
    }

    #[test]
    fn a_value_that_stands_twice_is_refused_with_both_lines() {
        let text = "values:\n  image: {tag: '2'}\n  streamer: {}\n  image: {tag: '3'}\n";
        let error = Fleet::parse("telectl.yaml", text).unwrap_err().to_string();
        assert!(error.contains("telectl.yaml:4"), "{error}");
        assert!(error.contains("telectl.yaml:2"), "{error}");
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let error = Fleet::parse("telectl.yaml", "clusters:\n- nme: north\n").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("nme") && cause.contains("line 2"), "{cause}");
    }
}
