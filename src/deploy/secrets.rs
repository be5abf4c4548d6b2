//! Which Secrets a stage needs and what goes into them. Pure, apart from the randomness of keys,
//! which comes from an argument or from the certificate library.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::certificates::{CertificateError, Lack, Pair, Purpose};
use super::rotation::{ROTATED_AT, Rotated, Rotation};
use super::signing::{certificate, certified, from_pair};
use crate::model::component::Component;
use crate::model::labels;
use crate::model::manifest::{Manifest, SecretContent, SecretKey, SecretNeed};
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::secret::Secret;

/// The Secret that holds telectl's private authority (`tls.crt`, `tls.key`).
pub const AUTHORITY_SECRET: &str = "telectl-ca";

/// The data of a Secret, decoded.
pub type SecretData = BTreeMap<String, Secret<Vec<u8>>>;

/// A Secret as it is in a cluster.
#[derive(Debug, Clone)]
pub struct LiveSecret {
    /// Whether telectl made it; one that somebody else made is never changed.
    pub ours: bool,
    /// The rotation that it had last, by the time when that one began.
    pub rotated_at: Option<String>,
    /// Its data.
    pub data: SecretData,
}

impl LiveSecret {
    /// From the object.
    pub fn from_object(object: &Value) -> Self {
        let data = object["data"].as_object().into_iter().flatten();
        let decoded = data.filter_map(|(key, value)| {
            let bytes = STANDARD.decode(value.as_str()?).ok()?;
            Some((key.clone(), Secret::new(bytes)))
        });
        let metadata = &object["metadata"];
        Self {
            ours: metadata["labels"][labels::MANAGED_BY] == labels::TELECTL,
            rotated_at: metadata["annotations"][ROTATED_AT]
                .as_str()
                .map(str::to_owned),
            data: decoded.collect(),
        }
    }

    /// A value as text.
    pub fn text(&self, key: &str) -> Option<String> {
        let bytes = self.data.get(key)?.expose();
        String::from_utf8(bytes.clone()).ok()
    }
}

/// What is known while a run goes on: contents that several stages share.
#[derive(Debug, Clone, Default)]
pub struct Vault {
    /// Contents given by the user or read from a cluster, by what they are.
    pub known: BTreeMap<SecretContent, Secret<String>>,
    /// The private authority.
    pub authority: Option<Pair>,
    /// What is made anew although it would do.
    pub rotation: Rotation,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It stays as it is.
    Kept,
    /// The user gave it, or another stage hands it over.
    HandedOver,
    /// telectl makes it: a password.
    Generated,
    /// telectl's authority signs it.
    Issued,
}

/// What happens to one needed Secret.
#[derive(Debug)]
pub struct SecretPlan {
    /// Its name.
    pub name: String,
    /// Every key and where its value comes from.
    pub keys: Vec<(String, Origin)>,
    /// The certificates that are signed in the place of one that is there, and why.
    pub renewals: Vec<(Component, Purpose, Lack)>,
    /// Whether it holds a certificate that is not telectl's to sign.
    pub holds_foreign_certificate: bool,
    /// The Secret to apply, if a value changes and all of them are known already.
    pub manifest: Option<Manifest>,
    /// Whether it exists.
    pub exists: bool,
}

impl SecretPlan {
    /// Whether anything changes.
    pub fn changes(&self) -> bool {
        self.keys.iter().any(|(_, origin)| *origin != Origin::Kept)
    }

    /// What to say when a value that has to change could not be made.
    pub fn unmade(&self, namespace: &str) -> SecretError {
        let key = self.keys.iter().find(|(_, origin)| *origin != Origin::Kept);
        SecretError::Missing {
            namespace: namespace.to_owned(),
            name: self.name.clone(),
            key: key.map(|(key, _)| key.clone()).unwrap_or_default(),
        }
    }
}

/// What can go wrong with Secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Nobody but the user can know it.
    #[error("Secret {namespace}/{name} needs the key `{key}`, which telectl cannot make")]
    Missing {
        /// Namespace.
        namespace: String,
        /// Secret.
        name: String,
        /// Key.
        key: String,
    },
    /// Somebody else made it, so somebody else makes it anew.
    #[error("Secret {namespace}/{name} is not telectl's, so its key `{key}` is not rotated")]
    Foreign {
        /// Namespace.
        namespace: String,
        /// Secret.
        name: String,
        /// Key.
        key: String,
    },
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// The circumstances of one stage.
pub struct Circumstances<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The names for a component's server certificate; `None` while addresses are not known.
    pub names: &'a dyn Fn(Component) -> Option<Vec<String>>,
    /// Whether a component runs in this stage, so that its password may be made up here.
    pub hosts: &'a dyn Fn(Component) -> bool,
    /// Whether contents that are not known may be made now: not while only planning.
    pub make: Making,
    /// Makes a fresh password.
    pub password: fn() -> String,
    /// The time.
    pub now: jiff::Timestamp,
}

/// Whether values may be made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// Only say what would be made.
    Planned,
    /// Make it.
    Real,
}

/// Decides about one needed Secret.
///
/// # Errors
/// When a key is missing that telectl cannot make, or a certificate cannot be made.
pub fn plan(
    need: &SecretNeed,
    live: Option<&LiveSecret>,
    vault: &mut Vault,
    circumstances: &Circumstances<'_>,
) -> Result<SecretPlan, SecretError> {
    let mut planned = SecretPlan {
        name: need.name.clone(),
        keys: Vec::new(),
        renewals: Vec::new(),
        holds_foreign_certificate: false,
        manifest: None,
        exists: live.is_some(),
    };
    let foreign = live.is_some_and(|live| !live.ours);
    let mut data = live.map(|live| live.data.clone()).unwrap_or_default();
    let mut complete = true;
    let mut issued: BTreeMap<Component, Option<Pair>> = BTreeMap::new();
    for key in &need.keys {
        let present = live.and_then(|live| live.text(&key.key));
        if foreign {
            refuse_foreign(key, need, vault, circumstances)?;
            planned.holds_foreign_certificate |= certified(key.content).is_some();
            let value = present.ok_or_else(|| missing(circumstances, need, key))?;
            vault.known.entry(key.content).or_insert(Secret::new(value));
            planned.keys.push((key.key.clone(), Origin::Kept));
            continue;
        }
        let present = present.filter(|_| !is_replaced(key.content, live, vault, circumstances));
        let decided = match certified(key.content) {
            Some(subject) => {
                let pair = match issued.entry(subject.0) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        let issue = certificate(need, live, subject, vault, circumstances)?;
                        let because = issue.because.map(|lack| (subject.0, subject.1, lack));
                        planned.renewals.extend(because);
                        entry.insert(issue.pair)
                    }
                };
                from_pair(key, pair.as_ref(), present)
            }
            None => content(need, key, present, vault, circumstances)?,
        };
        planned.keys.push((key.key.clone(), decided.0));
        match decided.1 {
            Some(value) => drop(data.insert(key.key.clone(), Secret::new(value.into_bytes()))),
            None => complete = false,
        }
    }
    if planned.changes() && complete {
        let place = (circumstances.namespace, need.name.as_str());
        let rotated = need
            .keys
            .iter()
            .any(|key| vault.rotation.covers(key.content));
        let rotated_at = if rotated {
            Some(vault.rotation.since.as_str())
        } else {
            live.and_then(|live| live.rotated_at.as_deref())
        };
        planned.manifest = Some(manifest(place, &data, rotated_at));
    }
    Ok(planned)
}

/// Whether a password that is there is not used any longer: it is made anew here, or by the stage
/// that runs its server.
fn is_replaced(
    content: SecretContent,
    live: Option<&LiveSecret>,
    vault: &Vault,
    circumstances: &Circumstances<'_>,
) -> bool {
    let Some(host) = host_of(content) else {
        return false;
    };
    let is_here = (circumstances.hosts)(host);
    vault.rotation.covers(content)
        && (!is_here || Rotated::of(content).is_some_and(|what| vault.rotation.is_due(what, live)))
}

/// The server that a password is made up with.
pub(super) const fn host_of(content: SecretContent) -> Option<Component> {
    match content {
        SecretContent::RedisPassword => Some(Component::Redis),
        SecretContent::DatabasePassword | SecretContent::DatabaseSuperuserPassword => {
            Some(Component::Postgresql)
        }
        SecretContent::ApiToken => Some(Component::ApiGateway),
        _ => None,
    }
}

/// A password of somebody else is theirs to make anew. (Of a certificate the plan only warns: those
/// of other servers are still telectl's.)
fn refuse_foreign(
    key: &SecretKey,
    need: &SecretNeed,
    vault: &Vault,
    circumstances: &Circumstances<'_>,
) -> Result<(), SecretError> {
    let is_here = host_of(key.content).is_some_and(|host| (circumstances.hosts)(host));
    if !is_here || !vault.rotation.covers(key.content) {
        return Ok(());
    }
    Err(SecretError::Foreign {
        namespace: circumstances.namespace.to_owned(),
        name: need.name.clone(),
        key: key.key.clone(),
    })
}

fn missing(circumstances: &Circumstances<'_>, need: &SecretNeed, key: &SecretKey) -> SecretError {
    SecretError::Missing {
        namespace: circumstances.namespace.to_owned(),
        name: need.name.clone(),
        key: key.key.clone(),
    }
}

/// A content that is no certificate of ours: known, present, or to be made up.
fn content(
    need: &SecretNeed,
    key: &SecretKey,
    present: Option<String>,
    vault: &mut Vault,
    circumstances: &Circumstances<'_>,
) -> Result<(Origin, Option<String>), SecretError> {
    let is_authority = matches!(key.content, SecretContent::CaCertificate(_));
    if is_authority && vault.authority.is_none() && circumstances.make == Making::Planned {
        return Ok((Origin::HandedOver, None));
    }
    let known = match key.content {
        SecretContent::CaCertificate(_) => vault
            .authority
            .as_ref()
            .map(|authority| authority.certificate.clone()),
        content => vault
            .known
            .get(&content)
            .map(|value| value.expose().clone()),
    };
    if let Some(known) = known {
        let origin = if present.as_ref() == Some(&known) {
            Origin::Kept
        } else {
            Origin::HandedOver
        };
        return Ok((origin, Some(known)));
    }
    if let Some(present) = present {
        vault
            .known
            .insert(key.content, Secret::new(present.clone()));
        return Ok((Origin::Kept, Some(present)));
    }
    let Some(host) = host_of(key.content) else {
        // The authority is made before the first Secret is, unless this is only a plan.
        return if is_authority {
            Ok((Origin::HandedOver, None))
        } else {
            Err(missing(circumstances, need, key))
        };
    };
    match ((circumstances.hosts)(host), circumstances.make) {
        (true, Making::Planned) => Ok((Origin::Generated, None)),
        (true, Making::Real) => {
            let made = (circumstances.password)();
            vault.known.insert(key.content, Secret::new(made.clone()));
            Ok((Origin::Generated, Some(made)))
        }
        // Another stage of this run makes it.
        (false, Making::Planned) => Ok((Origin::HandedOver, None)),
        (false, Making::Real) => Err(missing(circumstances, need, key)),
    }
}

/// A Secret (namespace, name) as it is applied, with the rotation that it had last.
pub fn manifest(
    (namespace, name): (&str, &str),
    data: &SecretData,
    rotated_at: Option<&str>,
) -> Manifest {
    let encoded: serde_json::Map<String, Value> = data
        .iter()
        .map(|(key, value)| (key.clone(), STANDARD.encode(value.expose()).into()))
        .collect();
    let mut value = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                (labels::MANAGED_BY): labels::TELECTL,
                (labels::PART_OF): labels::PIPELINE,
            },
        },
        "type": "Opaque",
        "data": encoded,
    });
    if let Some(at) = rotated_at {
        value["metadata"]["annotations"] = json!({(ROTATED_AT): at});
    }
    Manifest {
        object: ObjectRef::new(ObjectKind::Secret, namespace, name),
        value,
    }
}

/// A password of 32 letters and digits: 190 bits, and nothing that a URL or a shell would mangle.
pub fn random_password() -> String {
    use rand::distr::{Alphanumeric, SampleString as _};
    Alphanumeric.sample_string(&mut rand::rng(), 32)
}

/// A digest of Secrets that tells whether they changed and nothing about what they hold: keyed,
/// because a password may be guessable.
pub fn digest(key: &Secret<String>, secrets: &[(&str, &SecretData)]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else {
        return String::new();
    };
    for (name, data) in secrets {
        mac.update(name.as_bytes());
        for (key, value) in *data {
            mac.update(&[0]);
            mac.update(key.as_bytes());
            mac.update(&[0]);
            mac.update(value.expose());
        }
        mac.update(&[1]);
    }
    hex::encode(&mac.finalize().into_bytes()[..16])
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
