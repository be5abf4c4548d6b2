//! A Lease that keeps two runs of telectl from writing the same thing at once.
//!
//! It expires by itself, so that no killed run ever needs a human to unlock. The holder gives up
//! by itself, too, when it could not renew in time. Clocks of two machines are never compared to
//! take a lock away: whether a holder is gone is seen by its Lease standing still.

mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::process::boot_time;
use super::apply::{Writer, create, replace};
use super::client::Cluster;
use super::error::ClusterError;
use crate::model::consent::Confirmed;
use crate::model::object::{ObjectKind, ObjectRef};

/// How long a lock outlives its last renewal.
const LIFE: Duration = Duration::from_secs(30);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(10);
/// How long one renewal may take; with the pause after it, three fit into what is left of a life.
const TRY: Duration = Duration::from_secs(5);
/// The pause after a renewal that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a Lease that seems to have expired is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Clocks that differ by more than this are refused before a deployment, so that a Lease which is
/// older has expired for certain.
const CLOCKS_DIFFER: Duration = Duration::from_secs(300);
/// The annotation with what tells the holder's process from others.
const PROCESS: &str = "telectl.io/process";

/// Something to tell while a lock is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockNews {
    /// It seems to be left over from this holder; it is watched for as long as it would live.
    Watched(String),
    /// It was left over from this holder, and is ours now.
    TakenOver(String),
}

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    cluster: Cluster,
    object: ObjectRef,
    /// Gives back the Lease as it was renewed last.
    renewal: JoinHandle<Value>,
    stop: CancellationToken,
    lost: CancellationToken,
    validity: Validity,
}

/// Until when the last renewal holds.
#[derive(Debug, Clone, Default)]
struct Validity(Arc<AtomicU64>);

impl Validity {
    /// `asked` is when the renewal was sent, as time since the boot.
    fn renewed(&self, asked: Duration) {
        let until = asked + LIFE;
        let millis = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }

    fn left(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed)).saturating_sub(boot_time())
    }
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
        news: impl Fn(LockNews),
    ) -> Result<Self, ClusterError> {
        let object = ObjectRef::new(ObjectKind::Lease, namespace, name);
        let validity = Validity::default();
        let taken = take(cluster, &object, holder, &validity, news).await?;
        let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
        let renewing = Renewing {
            cluster: cluster.clone(),
            object: object.clone(),
            validity: validity.clone(),
            stop: stop.clone(),
            lost: lost.clone(),
        };
        Ok(Self {
            cluster: cluster.clone(),
            object,
            renewal: tokio::spawn(renewing.renew(taken)),
            stop,
            lost,
            validity,
        })
    }

    /// Is cancelled when the lock could not be renewed in time: stop writing.
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Whether it is held now: asked before each write, since a machine may have slept.
    pub fn is_held(&self) -> bool {
        !self.lost.is_cancelled() && self.validity.left() > Duration::ZERO
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// When the API server cannot be asked; the lock then expires by itself.
    pub async fn release(mut self, consent: &Confirmed) -> Result<(), ClusterError> {
        self.stop.cancel();
        let writer = Writer::new(&self.cluster, consent);
        // The renewal ends at once or with its last request; a panic in it changes nothing here.
        let last = (&mut self.renewal).await;
        if let Ok(last) = &last {
            match writer.delete_unchanged(&self.object, last).await {
                Err(ClusterError::Refused { code: 409, .. }) => {}
                given_back => return given_back,
            }
        }
        // Whoever took an expired lock over kept its UID: only one that is still ours goes, and
        // only as it was seen.
        let Some(lease) = self.cluster.get(&self.object).await? else {
            return Ok(());
        };
        if !last.is_ok_and(|last| is_same_hold(&lease, &last)) {
            return Ok(());
        }
        writer.delete_unchanged(&self.object, &lease).await
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Who has a Lease.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    /// Nobody: it may be taken at once.
    Free {
        /// Whoever left it behind.
        former: Option<String>,
    },
    /// Somebody who renewed it a moment ago.
    Live {
        /// Who.
        holder: String,
        /// Since when.
        since: String,
    },
    /// Somebody who should have renewed it, by our clock.
    Silent {
        /// Who.
        holder: String,
    },
}

async fn take(
    cluster: &Cluster,
    object: &ObjectRef,
    holder: &str,
    validity: &Validity,
    news: impl Fn(LockNews),
) -> Result<Value, ClusterError> {
    // What is seen of a silent holder: the renewal, and when it was first seen.
    let mut watched: Option<(Value, Duration)> = None;
    // Whoever gives a lock back deletes its Lease: most of the time there is none.
    let mut is_there = false;
    let (mut wanted, mut sent) = (fresh(object, holder), boot_time());
    loop {
        let asked = boot_time();
        let found = if is_there {
            cluster.get(object).await?
        } else {
            None
        };
        let Some(lease) = found else {
            (wanted, sent) = (fresh(object, holder), asked);
            if let Some(made) = make(cluster, object, &wanted).await? {
                validity.renewed(sent);
                return Ok(made);
            }
            is_there = true;
            continue;
        };
        if is_same_hold(&lease, &wanted) {
            validity.renewed(sent);
            return Ok(lease);
        }
        let former = match held(&lease, Timestamp::now()) {
            Held::Free { former } => former,
            Held::Live { holder, since } => return Err(lock_held(cluster, object, holder, since)),
            Held::Silent { holder } => {
                let renewed = lease["spec"]["renewTime"].clone();
                match &watched {
                    Some((seen, _)) if *seen != renewed => {
                        let since = lease["spec"]["acquireTime"].as_str().unwrap_or_default();
                        return Err(lock_held(cluster, object, holder, since.to_owned()));
                    }
                    Some((_, since)) if boot_time().saturating_sub(*since) >= LIFE => Some(holder),
                    seen => {
                        if seen.is_none() {
                            news(LockNews::Watched(holder));
                            watched = Some((renewed, asked));
                        }
                        tokio::time::sleep(LOOK).await;
                        continue;
                    }
                }
            }
        };
        let asked = boot_time();
        if let Some(taken) = take_over(cluster, object, lease, holder).await? {
            validity.renewed(asked);
            if let Some(former) = former {
                news(LockNews::TakenOver(former));
            }
            return Ok(taken);
        }
    }
}

/// Puts this holder into a Lease as it was seen; `None` if it changed meanwhile.
async fn take_over(
    cluster: &Cluster,
    object: &ObjectRef,
    mut lease: Value,
    holder: &str,
) -> Result<Option<Value>, ClusterError> {
    let wanted = fresh(object, holder);
    lease["spec"] = wanted["spec"].clone();
    lease["metadata"]["annotations"] = wanted["metadata"]["annotations"].clone();
    match replace(cluster, object, lease).await {
        Err(ClusterError::Refused {
            code: 404 | 409, ..
        }) => Ok(None),
        taken => taken.map(Some),
    }
}

/// Makes the Lease; `None` if there is one: somebody else was faster, or an earlier try of this
/// request came through after all.
async fn make(
    cluster: &Cluster,
    object: &ObjectRef,
    wanted: &Value,
) -> Result<Option<Value>, ClusterError> {
    match create(cluster, object, wanted.clone()).await {
        Err(ClusterError::Refused { code: 409, .. }) => Ok(None),
        created => created.map(Some),
    }
}

fn lock_held(cluster: &Cluster, lock: &ObjectRef, holder: String, since: String) -> ClusterError {
    ClusterError::LockHeld {
        cluster: cluster.name().to_owned(),
        lock: lock.to_string(),
        holder,
        since,
    }
}

/// Keeps a Lease alive.
struct Renewing {
    cluster: Cluster,
    object: ObjectRef,
    validity: Validity,
    stop: CancellationToken,
    lost: CancellationToken,
}

impl Renewing {
    async fn renew(self, mut lease: Value) -> Value {
        let mut pause = RENEWAL;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return lease,
                () = tokio::time::sleep(pause) => {}
            }
            let asked = boot_time();
            let renewed = tokio::time::timeout(TRY, self.renew_once(&lease)).await;
            match renewed {
                Ok(Ok(Some(renewed))) => {
                    lease = renewed;
                    self.validity.renewed(asked);
                    pause = RENEWAL;
                }
                // Somebody else took or removed it.
                Ok(Ok(None)) => self.lost.cancel(),
                Ok(Err(_)) | Err(_) => pause = PAUSE,
            }
            if self.validity.left() <= TRY {
                self.lost.cancel();
            }
            if self.lost.is_cancelled() {
                return lease;
            }
        }
    }

    /// The renewed Lease; `None` if it is not ours any more.
    async fn renew_once(&self, lease: &Value) -> Result<Option<Value>, ClusterError> {
        let mut wanted = lease.clone();
        wanted["spec"]["renewTime"] = micro_time(Timestamp::now()).into();
        match replace(&self.cluster, &self.object, wanted.clone()).await {
            Ok(renewed) => Ok(Some(renewed)),
            Err(ClusterError::Refused {
                code: 404 | 409, ..
            }) => {
                // An earlier renewal of ours may have come through after all.
                let Some(found) = self.cluster.get(&self.object).await? else {
                    return Ok(None);
                };
                if !is_same_hold(&found, lease) {
                    return Ok(None);
                }
                wanted["metadata"] = found["metadata"].clone();
                replace(&self.cluster, &self.object, wanted).await.map(Some)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether two states of a Lease are of one holder who took it once: names repeat, such as root's in
/// a container.
fn is_same_hold(one: &Value, other: &Value) -> bool {
    ["holderIdentity", "acquireTime"]
        .iter()
        .all(|field| one["spec"][*field] == other["spec"][*field])
}

/// Who has a Lease, by our clock.
fn held(lease: &Value, now: Timestamp) -> Held {
    let spec = &lease["spec"];
    let holder = spec["holderIdentity"].as_str().unwrap_or_default();
    let renewed = spec["renewTime"].as_str();
    let renewed = renewed.and_then(|text| text.parse::<Timestamp>().ok());
    let (false, Some(renewed)) = (holder.is_empty(), renewed) else {
        return Held::Free { former: None };
    };
    let holder = holder.to_owned();
    let process = lease["metadata"]["annotations"][PROCESS].as_str();
    let life = spec["leaseDurationSeconds"].as_i64().unwrap_or(0);
    let silent_for = now.as_second().saturating_sub(renewed.as_second()) - life;
    if process.is_some_and(process::has_ended) || silent_for > CLOCKS_DIFFER.as_secs().cast_signed()
    {
        Held::Free {
            former: Some(holder),
        }
    } else if silent_for < 0 {
        let since = spec["acquireTime"].as_str().unwrap_or_default().to_owned();
        Held::Live { holder, since }
    } else {
        Held::Silent { holder }
    }
}

fn fresh(object: &ObjectRef, holder: &str) -> Value {
    let now = micro_time(Timestamp::now());
    let annotations = process::mark().map_or_else(|| json!({}), |mark| json!({ PROCESS: mark }));
    json!({
        "apiVersion": object.kind.api_version(),
        "kind": object.kind.name(),
        "metadata": {
            "name": object.name, "namespace": object.namespace, "annotations": annotations,
        },
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

    fn lease(process: &str) -> Value {
        json!({
            "metadata": {"annotations": {PROCESS: process}},
            "spec": {
                "holderIdentity": "ann@laptop",
                "leaseDurationSeconds": 30,
                "acquireTime": "2026-01-01T00:00:00.000000Z",
                "renewTime": "2026-01-01T00:01:00.000000Z",
            },
        })
    }

    #[test]
    fn a_lease_is_live_until_it_expires_then_watched_and_free_once_no_clock_can_be_that_wrong() {
        let elsewhere = lease("another-boot pid:[1] 1 1");
        let at = |time: &str| held(&elsewhere, time.parse().unwrap());
        let holder = || "ann@laptop".to_owned();
        assert!(matches!(at("2026-01-01T00:01:29Z"), Held::Live { .. }));
        let silent = Held::Silent { holder: holder() };
        assert_eq!(at("2026-01-01T00:01:30Z"), silent);
        assert_eq!(at("2026-01-01T00:06:30Z"), silent);
        let free = Held::Free {
            former: Some(holder()),
        };
        assert_eq!(at("2026-01-01T00:06:31Z"), free);
        let nobodys = held(&json!({}), "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(nobodys, Held::Free { former: None });
    }

    #[test]
    fn a_lease_of_a_process_that_has_ended_here_is_free_at_once() {
        let own = process::mark().unwrap();
        let ended = own.rsplit_once(' ').unwrap().0.to_owned() + " 1";
        let now = "2026-01-01T00:01:01Z".parse().unwrap();
        assert!(matches!(held(&lease(&ended), now), Held::Free { .. }));
        assert!(matches!(held(&lease(&own), now), Held::Live { .. }));
    }

    #[test]
    fn micro_times_have_six_digits() {
        let time: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(micro_time(time), "2026-01-01T00:00:00.000000Z");
    }
}
