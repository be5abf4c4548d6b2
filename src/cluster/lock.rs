//! A Lease that keeps two runs of telectl from writing the same thing at once.
//!
//! It expires by itself, so that no killed run ever needs a human to unlock. The holder gives up
//! by itself, too, when it could not renew in time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::apply::{Writer, create, replace};
use super::client::Cluster;
use super::error::ClusterError;
use crate::model::consent::Confirmed;
use crate::model::object::{ObjectKind, ObjectRef};

/// How long a lock outlives its last renewal.
const LIFE: Duration = Duration::from_secs(30);
/// How often it is renewed: a third, so that two renewals may fail.
const RENEWAL: Duration = Duration::from_secs(10);

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    cluster: Cluster,
    object: ObjectRef,
    holder: String,
    renewal: JoinHandle<()>,
    stop: CancellationToken,
    lost: CancellationToken,
}

impl Lock {
    /// Takes the lock `name` in a namespace that exists, or says who holds it.
    ///
    /// # Errors
    /// [`ClusterError::LockHeld`], or when the API server cannot be asked or refuses.
    pub async fn acquire(
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        holder: &str,
    ) -> Result<Self, ClusterError> {
        let object = ObjectRef::new(ObjectKind::Lease, namespace, name);
        let taken = take(cluster, &object, holder).await?;
        let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
        let renewal = renew(
            cluster.clone(),
            object.clone(),
            taken,
            stop.clone(),
            lost.clone(),
        );
        let renewal = tokio::spawn(renewal);
        Ok(Self {
            cluster: cluster.clone(),
            object,
            holder: holder.to_owned(),
            renewal,
            stop,
            lost,
        })
    }

    /// Is cancelled when the lock could not be renewed in time: stop writing.
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// When the API server cannot be asked; the lock then expires by itself.
    pub async fn release(mut self, consent: &Confirmed) -> Result<(), ClusterError> {
        self.stop.cancel();
        // The renewal ends at once or with its last request; a panic in it changes nothing here.
        drop((&mut self.renewal).await);
        // Whoever took an expired lock over kept its UID: only one that is still ours goes, and
        // only as it was seen.
        let Some(lease) = self.cluster.get(&self.object).await? else {
            return Ok(());
        };
        if lease["spec"]["holderIdentity"] != self.holder.as_str() {
            return Ok(());
        }
        Writer::new(&self.cluster, consent)
            .delete_unchanged(&self.object, &lease)
            .await
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

async fn take(cluster: &Cluster, object: &ObjectRef, holder: &str) -> Result<Value, ClusterError> {
    let taken = try_to_take(cluster, object, holder).await;
    // Somebody else was faster: now the Lease says who.
    if let Err(ClusterError::Refused { code: 409, .. }) = taken {
        return try_to_take(cluster, object, holder).await;
    }
    taken
}

async fn try_to_take(
    cluster: &Cluster,
    object: &ObjectRef,
    holder: &str,
) -> Result<Value, ClusterError> {
    let Some(mut lease) = cluster.get(object).await? else {
        return create(cluster, object, fresh(object, holder)).await;
    };
    let now = Timestamp::now();
    if let Some((holder, since)) = held_by(&lease["spec"], now) {
        return Err(ClusterError::LockHeld {
            cluster: cluster.name().to_owned(),
            lock: object.to_string(),
            holder,
            since,
        });
    }
    lease["spec"] = fresh(object, holder)["spec"].clone();
    replace(cluster, object, lease).await
}

async fn renew(
    cluster: Cluster,
    object: ObjectRef,
    mut lease: Value,
    stop: CancellationToken,
    lost: CancellationToken,
) {
    let mut valid_until = tokio::time::Instant::now() + LIFE;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RENEWAL) => {}
        }
        let started = tokio::time::Instant::now();
        lease["spec"]["renewTime"] = micro_time(Timestamp::now()).into();
        match tokio::time::timeout(RENEWAL, replace(&cluster, &object, lease.clone())).await {
            Ok(Ok(renewed)) => {
                lease = renewed;
                valid_until = started + LIFE;
            }
            // Somebody else took or removed it.
            Ok(Err(ClusterError::Refused {
                code: 404 | 409, ..
            })) => return lost.cancel(),
            Ok(Err(_)) | Err(_) => {
                if tokio::time::Instant::now() + RENEWAL >= valid_until {
                    return lost.cancel();
                }
            }
        }
    }
}

/// Who holds a lease and since when; `None` if it has expired or was never held.
fn held_by(spec: &Value, now: Timestamp) -> Option<(String, String)> {
    let holder = spec["holderIdentity"]
        .as_str()
        .filter(|holder| !holder.is_empty())?;
    let renewed: Timestamp = spec["renewTime"].as_str()?.parse().ok()?;
    let life = spec["leaseDurationSeconds"].as_i64().unwrap_or(0);
    let expires = renewed.as_second().saturating_add(life);
    let since = spec["acquireTime"].as_str().unwrap_or_default();
    (now.as_second() < expires).then(|| (holder.to_owned(), since.to_owned()))
}

fn fresh(object: &ObjectRef, holder: &str) -> Value {
    let now = micro_time(Timestamp::now());
    json!({
        "apiVersion": object.kind.api_version(),
        "kind": object.kind.name(),
        "metadata": { "name": object.name, "namespace": object.namespace },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": LIFE.as_secs(),
            "acquireTime": now,
            "renewTime": now,
        },
    })
}

/// The API's MicroTime takes exactly six digits after the point.
fn micro_time(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_held_until_it_expires() {
        let spec = json!({
            "holderIdentity": "ann@laptop",
            "leaseDurationSeconds": 30,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:01:00.000000Z",
        });
        let at = |time: &str| held_by(&spec, time.parse().unwrap());
        assert_eq!(at("2026-01-01T00:01:29Z").unwrap().0, "ann@laptop");
        assert_eq!(at("2026-01-01T00:01:30Z"), None);
        assert_eq!(
            held_by(&json!({}), "2026-01-01T00:00:00Z".parse().unwrap()),
            None
        );
    }

    #[test]
    fn micro_times_have_six_digits() {
        let time: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(micro_time(time), "2026-01-01T00:00:00.000000Z");
    }
}
