//! The fleet file (`telectl.yaml`): which clusters there are.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::duplicate;
use super::environment::Environment;
use super::error::ConfigError;
use super::resolve::ValuesFile;

/// The name that is looked for in the working directory.
pub const FILE_NAME: &str = "telectl.yaml";

/// What a cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
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
        let not_yaml = |source| ConfigError::NotYaml {
            name: file.to_owned(),
            source,
        };
        let _any: IgnoredAny = serde_yaml::from_str(text).map_err(not_yaml)?;
        let mut fleet: Self = serde_yaml::from_str(text).map_err(|wrong| ConfigError::Fleet {
            name: file.to_owned(),
            problem: wrong.to_string(),
        })?;
        duplicate::refuse(file, text)?;
        file.clone_into(&mut fleet.file);
        fleet.check()?;
        Ok(fleet)
    }

    /// Refuses clusters that cannot be told apart, and two for a role that there is once.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |problem: String| ConfigError::Fleet {
            name: self.file.clone(),
            problem,
        };
        let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
        for cluster in &self.clusters {
            let FleetCluster {
                name,
                context,
                role,
                ..
            } = cluster;
            if name.is_empty() || context.is_empty() {
                return Err(wrong(format!(
                    "cluster `{name}` needs a name and a context"
                )));
            }
            if !names.insert(name) {
                return Err(wrong(format!("two clusters have the name `{name}`")));
            }
            // One cluster may be the central and the shared one.
            if !places.insert((role, context)) {
                return Err(wrong(format!(
                    "context `{context}` has the same role twice"
                )));
            }
        }
        for role in [
            FleetRole::Central,
            FleetRole::Shared,
            FleetRole::SameCluster,
        ] {
            let names: Vec<&str> = self
                .of_role(role)
                .map(|cluster| cluster.name.as_str())
                .collect();
            if names.len() > 1 {
                let names = names.join("` and `");
                return Err(wrong(format!(
                    "`{names}` have a role that one cluster can have"
                )));
            }
        }
        Ok(())
    }

    /// The clusters of a role, in the order of the file.
    pub fn of_role(&self, role: FleetRole) -> impl Iterator<Item = &FleetCluster> {
        self.clusters
            .iter()
            .filter(move |cluster| cluster.role == role)
    }

    /// What the file says about the cluster that a profile goes to: its own values, and its name as
    /// `CLUSTER_ID`; `None` if the file does not know it.
    ///
    /// # Errors
    /// As [`Self::common`].
    pub fn of_context(
        &self,
        role: FleetRole,
        context: &str,
    ) -> Result<Option<ValuesFile>, ConfigError> {
        let known = self
            .of_role(role)
            .find(|cluster| cluster.context == context);
        known.map(|cluster| self.of_cluster(cluster)).transpose()
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
        let mut values = cluster.values.clone();
        let global = values
            .entry("global")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(global) = global.as_object_mut() {
            let id = || Value::from(cluster.name.as_str());
            global.entry("clusterId").or_insert_with(id);
        }
        layer(name, &values)
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
        assert!(own.text.contains("clusterId: north"), "{}", own.text);
        let found = fleet.of_context(FleetRole::Edge, "kind-north").unwrap();
        assert_eq!(found, Some(own));
        assert_eq!(
            fleet.of_context(FleetRole::Central, "kind-north").unwrap(),
            None
        );
    }

    #[test]
    fn clusters_that_cannot_be_told_apart_are_refused_by_name() {
        let refused = |text: &str| {
            let error = Fleet::parse("telectl.yaml", &format!("clusters:\n{text}")).unwrap_err();
            error.to_string()
        };
        let edge = "- {name: north, context: kind-north, role: edge}\n";
        let twice = refused(&format!(
            "{edge}- {{name: north, context: b, role: edge}}\n"
        ));
        assert!(twice.contains("name `north`"), "{twice}");
        let twice = refused(&format!(
            "{edge}- {{name: b, context: kind-north, role: edge}}\n"
        ));
        assert!(twice.contains("context `kind-north`"), "{twice}");
        let central =
            "- {name: a, context: a, role: central}\n- {name: b, context: b, role: central}\n";
        assert!(refused(central).contains("`a` and `b`"));
        let both = "clusters:\n- {name: a, context: a, role: central}\n- {name: b, context: a, role: shared}\n";
        assert!(Fleet::parse("telectl.yaml", both).is_ok());
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
        let refused = |text| {
            let error = Fleet::parse("telectl.yaml", text).unwrap_err();
            error.to_string()
        };
        let told = refused("clusters:\n- nme: north\n");
        assert!(told.contains("nme") && told.contains("line 2"), "{told}");
        assert!(!told.contains("YAML"), "{told}");
        assert!(refused("clusters: [\n").contains("no valid YAML"));
    }
}
