//! An Ingress in front of a worker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Texts;

/// An annotation of ingress-nginx that sends every path to the same one.
const REWRITE: &str = "nginx.ingress.kubernetes.io/rewrite-target";
/// The annotations by which the original meant to limit requests; ingress-nginx has none of these.
const RATE: &str = "nginx.ingress.kubernetes.io/rate-limit";
const RATE_WINDOW: &str = "nginx.ingress.kubernetes.io/rate-limit-window";
/// Those that it has instead.
const PER_SECOND: &str = "nginx.ingress.kubernetes.io/limit-rps";
const PER_MINUTE: &str = "nginx.ingress.kubernetes.io/limit-rpm";
/// Annotations that make cert-manager write the Secrets of `tls`.
const ISSUERS: [&str; 2] = ["cert-manager.io/cluster-issuer", "cert-manager.io/issuer"];

/// An Ingress in front of a worker's Service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ingress {
    /// Whether there is one.
    pub enabled: bool,
    /// Class of the controller; empty for the cluster's default.
    #[serde(default)]
    pub class_name: String,
    /// Its annotations.
    #[serde(default)]
    pub annotations: Texts,
    /// Host names and paths.
    #[serde(default)]
    pub hosts: Vec<IngressHost>,
    /// Certificates by host.
    #[serde(default)]
    pub tls: Vec<IngressTls>,
}

/// A host name and its paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressHost {
    /// The name.
    pub host: String,
    /// Its paths; everything if none is named.
    #[serde(default)]
    pub paths: Vec<IngressPath>,
}

/// A path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressPath {
    /// The path.
    pub path: String,
    /// How it is compared.
    #[serde(default)]
    pub path_type: PathType,
}

/// How a path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PathType {
    /// Element by element, from the beginning.
    #[default]
    Prefix,
    /// As a whole.
    Exact,
    /// As the controller likes.
    ImplementationSpecific,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressTls {
    /// Secret with `tls.crt` and `tls.key`.
    pub secret_name: String,
    /// The hosts that it is for.
    #[serde(default)]
    pub hosts: Vec<String>,
}

impl Ingress {
    /// The first host, and whether a certificate is named for it; `None` without an Ingress.
    pub fn external(&self) -> Option<(&str, bool)> {
        let host = self.enabled.then(|| self.hosts.first()).flatten()?;
        let is_covered = |tls: &IngressTls| tls.hosts.is_empty() || tls.hosts.contains(&host.host);
        Some((&host.host, self.tls.iter().any(is_covered)))
    }

    /// Whether cert-manager writes the Secrets of `tls`.
    pub fn is_issued(&self) -> bool {
        ISSUERS
            .iter()
            .any(|issuer| self.annotations.contains_key(*issuer))
    }

    /// The annotations that do what was meant, and what became of each that does not.
    ///
    /// The original rewrote every path to `/`, which leaves an API with one path, and limited
    /// requests by annotations that no controller reads.
    pub fn sound_annotations(&self) -> (Texts, BTreeMap<&'static str, String>) {
        let mut sound = self.annotations.clone();
        let mut changed = BTreeMap::new();
        // With a group in it, the rewrite keeps the rest of the path.
        if sound
            .get(REWRITE)
            .is_some_and(|target| !target.contains('$'))
        {
            sound.remove(REWRITE);
            let why = "it would send every path to the same one".to_owned();
            changed.insert(REWRITE, why);
        }
        let rate = sound.remove(RATE);
        let window = sound.remove(RATE_WINDOW);
        if let Some(rate) = rate {
            let real = match window.as_deref() {
                Some("1s") => Some(PER_SECOND),
                Some("1m" | "60s") | None => Some(PER_MINUTE),
                Some(_) => None,
            };
            let why = match real {
                Some(real) => {
                    sound.entry(real.to_owned()).or_insert(rate);
                    format!("ingress-nginx knows no such annotation; {real} takes its place")
                }
                None => format!(
                    "ingress-nginx knows no such annotation; use {PER_SECOND} or {PER_MINUTE}"
                ),
            };
            changed.insert(RATE, why);
        } else if window.is_some() {
            let why = "ingress-nginx knows no such annotation".to_owned();
            changed.insert(RATE_WINDOW, why);
        }
        (sound, changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(pairs: &[(&str, &str)]) -> Ingress {
        let annotations = pairs
            .iter()
            .map(|(name, value)| {
                (
                    format!("nginx.ingress.kubernetes.io/{name}"),
                    (*value).to_owned(),
                )
            })
            .collect();
        Ingress {
            annotations,
            ..Ingress::default()
        }
    }

    #[test]
    fn r24_annotations_of_the_original_that_break_the_api_are_put_right() {
        let ingress = annotated(&[
            ("rewrite-target", "/"),
            ("rate-limit", "100"),
            ("rate-limit-window", "1m"),
        ]);
        let (sound, changed) = ingress.sound_annotations();
        let wanted = annotated(&[("limit-rpm", "100")]).annotations;
        assert_eq!(sound, wanted);
        assert_eq!(changed.len(), 2, "{changed:?}");
        assert!(changed[REWRITE].contains("every path"), "{changed:?}");
        assert!(changed[RATE].contains(PER_MINUTE), "{changed:?}");
    }

    #[test]
    fn r24_annotations_that_a_controller_reads_stay_as_they_are() {
        let ingress = annotated(&[("rewrite-target", "/$2"), ("limit-rps", "5")]);
        let (sound, changed) = ingress.sound_annotations();
        assert_eq!(sound, ingress.annotations);
        assert!(changed.is_empty(), "{changed:?}");
        let (own, _) = annotated(&[
            ("rate-limit", "9"),
            ("rate-limit-window", "1s"),
            ("limit-rps", "5"),
        ])
        .sound_annotations();
        assert_eq!(own, annotated(&[("limit-rps", "5")]).annotations);
    }
}
