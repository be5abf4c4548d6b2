//! Reads kubeconfig files. They are never written, and the current context is never used.

use std::cmp::Reverse;
use std::error::Error;
use std::path::{Path, PathBuf};

use kube::config::{Kubeconfig, KubeconfigError};

use super::error::ClusterError;

/// The contexts of one or several files, earlier files first.
#[derive(Debug, Clone)]
pub struct Contexts {
    merged: Kubeconfig,
    files: Vec<PathBuf>,
    missing: Vec<PathBuf>,
}

impl Contexts {
    /// Reads the files that exist; it is an error if none does.
    ///
    /// # Errors
    /// When there is no file, or one cannot be read.
    pub fn read(files: &[PathBuf]) -> Result<Self, ClusterError> {
        let mut merged: Option<Kubeconfig> = None;
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for file in files {
            if matches!(file.try_exists(), Ok(false)) {
                missing.push(file.clone());
                continue;
            }
            let next = Kubeconfig::read_from(file).map_err(|error| broken(file, error))?;
            merged = Some(match merged {
                None => next,
                Some(first) => first.merge(next).map_err(|error| broken(file, error))?,
            });
            found.push(file.clone());
        }
        match merged {
            Some(merged) => Ok(Self {
                merged,
                files: found,
                missing,
            }),
            None => Err(ClusterError::NoKubeconfig { tried: missing }),
        }
    }

    /// The names of the contexts, in order.
    pub fn names(&self) -> Vec<String> {
        self.merged
            .contexts
            .iter()
            .map(|context| context.name.clone())
            .collect()
    }

    /// The files that were read, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether there is a context of this name.
    ///
    /// # Errors
    /// When there is none; the error lists those that there are, the most alike first.
    pub fn require(&self, context: &str) -> Result<(), ClusterError> {
        let mut known = self.names();
        if known.iter().any(|known| known == context) {
            return Ok(());
        }
        known.sort_by_cached_key(|known| (Reverse(likeness(known, context)), known.clone()));
        Err(ClusterError::UnknownContext {
            context: context.to_owned(),
            known,
            files: self.files.clone(),
            missing: self.missing.clone(),
        })
    }

    pub(super) const fn kubeconfig(&self) -> &Kubeconfig {
        &self.merged
    }
}

/// How alike two names are, from 0 to 1000.
fn likeness(one: &str, other: &str) -> u16 {
    let likeness = strsim::jaro_winkler(&one.to_lowercase(), &other.to_lowercase());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and 1000"
    )]
    {
        (likeness * 1000.0).round() as u16
    }
}

/// The error without what it repeats (the file) and without its excerpt of the file, where
/// credentials may stand.
fn broken(file: &Path, error: KubeconfigError) -> ClusterError {
    let (line, source): (_, Box<dyn Error + Send + Sync>) = match error {
        KubeconfigError::ReadConfig(source, _) => (None, Box::new(source)),
        KubeconfigError::Parse(error) => {
            let line = error.location().map(|location| location.line());
            let text = error.without_snippet().to_string();
            (line.filter(|line| *line > 0), text.into())
        }
        other => (None, Box::new(other)),
    };
    ClusterError::Kubeconfig {
        file: file.to_owned(),
        line,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Contexts, ClusterError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, text).unwrap();
        Contexts::read(&[file])
    }

    #[test]
    fn a_broken_file_is_named_with_its_line_and_without_its_credentials() {
        let error =
            read("users:\n- name: a\n  user: {token: canary-77\ncontexts: [\n").unwrap_err();
        let source = Error::source(&error).unwrap().to_string();
        assert!(
            matches!(
                error,
                ClusterError::Kubeconfig {
                    line: Some(3 | 4),
                    ..
                }
            ),
            "{error}: {source}"
        );
        assert!(error.to_string().contains("config:"), "{error}");
        assert!(!source.contains("canary-77"), "{source}");
    }

    #[test]
    fn the_most_alike_context_comes_first() {
        let contexts =
            read("contexts:\n- name: central\n- name: kind-edge\n- name: edge-2\n").unwrap();
        let error = contexts.require("edge-3").unwrap_err();
        let ClusterError::UnknownContext { known, files, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(known[0], "edge-2");
        assert_eq!((known.len(), files.len()), (3, 1));
    }

    #[test]
    fn every_file_that_was_tried_is_named() {
        let tried = ["/no/such/a".into(), "/no/such/b".into()];
        let error = Contexts::read(&tried).unwrap_err().to_string();
        assert!(
            error.contains("/no/such/a") && error.contains("/no/such/b"),
            "{error}"
        );
    }
}
