//! Reads kubeconfig files. They are never written, and the current context is never used.

use std::path::PathBuf;

use kube::config::Kubeconfig;

use super::error::ClusterError;

/// The contexts of one or several files, earlier files first.
#[derive(Debug, Clone)]
pub struct Contexts(Kubeconfig);

impl Contexts {
    /// Reads the files that exist; it is an error if none does.
    ///
    /// # Errors
    /// When there is no file, or one cannot be read.
    pub fn read(files: &[PathBuf]) -> Result<Self, ClusterError> {
        let mut merged: Option<Kubeconfig> = None;
        for file in files {
            let only_one = files.len() == 1;
            if !only_one && !file.exists() {
                continue;
            }
            let broken = |source: kube::config::KubeconfigError| ClusterError::Kubeconfig {
                file: file.clone(),
                source: Box::new(source),
            };
            let next = Kubeconfig::read_from(file).map_err(broken)?;
            merged = Some(match merged {
                None => next,
                Some(first) => first.merge(next).map_err(broken)?,
            });
        }
        merged.map(Self).ok_or(ClusterError::NoKubeconfig)
    }

    /// The names of the contexts, in order.
    pub fn names(&self) -> Vec<String> {
        self.0
            .contexts
            .iter()
            .map(|context| context.name.clone())
            .collect()
    }

    /// Whether there is a context of this name.
    ///
    /// # Errors
    /// When there is none; the error lists those that there are.
    pub fn require(&self, context: &str) -> Result<(), ClusterError> {
        if self.0.contexts.iter().any(|known| known.name == context) {
            return Ok(());
        }
        Err(ClusterError::UnknownContext {
            context: context.to_owned(),
            known: self.names(),
        })
    }

    pub(super) const fn kubeconfig(&self) -> &Kubeconfig {
        &self.0
    }
}
