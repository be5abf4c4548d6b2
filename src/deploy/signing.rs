//! Which certificates of a Secret are signed, and why those that are there do not do. Pure, apart
//! from the randomness of keys, which comes from the certificate library.

use super::certificates::{Lack, Pair, Purpose, issue, lack};
use super::rotation::Rotated;
use super::secrets::{Circumstances, LiveSecret, Making, Origin, SecretError, Vault};
use crate::model::component::Component;
use crate::model::manifest::{SecretContent, SecretKey, SecretNeed};

/// The component and purpose of a certificate; `None` for what is no certificate of ours.
pub(super) const fn certified(content: SecretContent) -> Option<(Component, Purpose)> {
    match content {
        SecretContent::RedisServerCertificate | SecretContent::RedisServerKey => {
            Some((Component::Redis, Purpose::Server))
        }
        SecretContent::EtcdServerCertificate | SecretContent::EtcdServerKey => {
            Some((Component::Etcd, Purpose::Server))
        }
        SecretContent::DatabaseServerCertificate | SecretContent::DatabaseServerKey => {
            Some((Component::Postgresql, Purpose::Server))
        }
        SecretContent::EtcdClientCertificate | SecretContent::EtcdClientKey => {
            Some((Component::Etcd, Purpose::Client))
        }
        SecretContent::WorkerCertificate(worker) | SecretContent::WorkerKey(worker) => {
            Some((worker, Purpose::Server))
        }
        _ => None,
    }
}

const fn is_certificate(content: SecretContent) -> bool {
    matches!(
        content,
        SecretContent::RedisServerCertificate
            | SecretContent::EtcdServerCertificate
            | SecretContent::DatabaseServerCertificate
            | SecretContent::EtcdClientCertificate
            | SecretContent::WorkerCertificate(_)
    )
}

/// What becomes of a certificate.
#[derive(Default)]
pub(super) struct Issue {
    /// A new pair; `None` if the one in the Secret does or none can be made yet.
    pub(super) pair: Option<Pair>,
    /// What the one in the Secret lacks, if it is there and does not do.
    pub(super) because: Option<Lack>,
}

/// A new pair, if the one in the Secret does not do.
pub(super) fn certificate(
    need: &SecretNeed,
    live: Option<&LiveSecret>,
    (component, purpose): (Component, Purpose),
    vault: &Vault,
    circumstances: &Circumstances<'_>,
) -> Result<Issue, SecretError> {
    let of_this = |key: &&SecretKey| {
        is_certificate(key.content) && certified(key.content) == Some((component, purpose))
    };
    let mut certificates = need.keys.iter().filter(of_this);
    let current = certificates.find_map(|key| live?.text(&key.key));
    if vault.authority.is_none() && circumstances.make == Making::Planned {
        // A new authority will be made, and then every certificate is signed anew.
        return Ok(Issue {
            pair: Some(Pair::unmade()),
            because: current.map(|_| Lack::AnotherAuthority),
        });
    }
    let names = match purpose {
        Purpose::Client => Some(Vec::new()),
        Purpose::Server => (circumstances.names)(component),
    };
    let (Some(names), Some(authority)) = (names, &vault.authority) else {
        return Ok(Issue::default());
    };
    let now = circumstances.now;
    let is_due = vault.rotation.is_due(Rotated::Certificates, live);
    let because = current.as_ref().map(|pem| {
        lack(pem, &authority.certificate, &names, now).or(is_due.then_some(Lack::Rotation))
    });
    if because == Some(None) {
        return Ok(Issue::default());
    }
    let pair = match circumstances.make {
        // Shown as a change; made when it is applied.
        Making::Planned => Pair::unmade(),
        Making::Real => issue(authority, component.name(), &names, purpose, now)?,
    };
    Ok(Issue {
        pair: Some(pair),
        because: because.flatten(),
    })
}

/// What a pair means for one key of a Secret, given what that key holds.
pub(super) fn from_pair(
    key: &SecretKey,
    pair: Option<&Pair>,
    present: Option<String>,
) -> (Origin, Option<String>) {
    match (pair, present) {
        (Some(pair), _) if pair.certificate.is_empty() => (Origin::Issued, None),
        (Some(pair), _) if is_certificate(key.content) => {
            (Origin::Issued, Some(pair.certificate.clone()))
        }
        (Some(pair), _) => (Origin::Issued, Some(pair.key.expose().clone())),
        (None, Some(value)) => (Origin::Kept, Some(value)),
        (None, None) => (Origin::Issued, None),
    }
}
