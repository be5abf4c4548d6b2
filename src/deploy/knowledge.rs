//! What the stages of a run tell each other: where servers are, and what they share.

use super::certificates::Pair;
use super::handover::{Handover, reach};
use super::layout::Stage;
use super::observe::Observed;
use super::plan::hosts;
use super::rotation::{Rotated, kept_authority};
use super::secrets::{Vault, host_of};
use crate::model::component::Component;
use crate::model::manifest::{RenderedSet, SecretContent};
use crate::model::secret::Secret;

/// The servers of a pipeline. The private authority is made with the first one.
pub(super) const SERVERS: [Component; 3] =
    [Component::Redis, Component::Etcd, Component::Postgresql];

/// What is known about all stages together. Stages that are applied at the same time have a copy
/// each.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    /// Where Redis and etcd are.
    pub handover: Handover,
    /// Passwords and the private authority.
    pub vault: Vault,
}

impl Knowledge {
    /// Takes note of what a stage tells about servers and passwords.
    pub(super) fn learn(&mut self, stage: &Stage, observed: &Observed) {
        for (component, (name, port, live)) in &observed.services {
            let reached = reach(stage, name, *port, live.as_ref());
            match component {
                Component::Redis => self.handover.redis = reached,
                Component::Etcd => self.handover.etcd = reached,
                _ => {}
            }
        }
        if self.vault.authority.is_none()
            && let Some(secret) = kept_authority(&self.vault.rotation, &observed.secrets)
            && let (Some(certificate), Some(key)) = (secret.text("tls.crt"), secret.text("tls.key"))
        {
            self.vault.authority = Some(Pair {
                certificate,
                key: Secret::new(key),
            });
        }
        for need in &observed.set.secrets {
            let Some(live) = observed.secrets.get(&need.name) else {
                continue;
            };
            for key in &need.keys {
                let rotated = Rotated::of(key.content);
                let rotation = &self.vault.rotation;
                // A stage that only uses a password is not where it is decided.
                if decides(key.content, &observed.set)
                    && !rotated.is_some_and(|what| rotation.is_due(what, Some(live)))
                    && let Some(value) = live.text(&key.key)
                {
                    let known = self.vault.known.entry(key.content);
                    known.or_insert(Secret::new(value));
                }
            }
        }
    }

    /// Whether a stage with these objects has to make the private authority.
    pub(super) fn makes_authority(&self, set: &RenderedSet) -> bool {
        self.vault.authority.is_none() && SERVERS.iter().any(|server| hosts(set, *server))
    }
}

/// Whether a stage with these objects is where a content is decided.
fn decides(content: SecretContent, set: &RenderedSet) -> bool {
    host_of(content).is_some_and(|host| hosts(set, host))
}
