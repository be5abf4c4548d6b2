//! What a worker knows about its own state: read by health, status and metrics endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde_json::Value;

/// The state of something that a worker depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// Whether the last use of it worked.
    pub ok: bool,
    /// Whether the worker is of no use without it.
    pub required: bool,
    /// Why it does not work; empty if it does.
    pub detail: String,
}

impl Dependency {
    fn after(outcome: Result<(), String>) -> Self {
        Self {
            ok: outcome.is_ok(),
            required: false,
            detail: outcome.err().unwrap_or_default(),
        }
    }
}

/// What the metric of that name means, for every worker that has it.
pub(super) const QUEUE_STATUS_HELP: &str = "1 if the last use of the queue worked, else 0";

/// Shared between a worker's loops and its HTTP endpoints. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Vitals(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    dependencies: Mutex<BTreeMap<String, Dependency>>,
    details: Mutex<BTreeMap<String, Value>>,
    draining: std::sync::atomic::AtomicBool,
    metrics: Mutex<Registry>,
    /// Dependencies that have worked at some time.
    proven: Mutex<BTreeSet<String>>,
    recoveries: Family<Vec<(&'static str, String)>, Counter>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Vitals {
    /// Notes how the last use of something went that the worker is of no use without.
    pub fn required(&self, name: &str, outcome: Result<(), String>) {
        self.note(
            name,
            Dependency {
                required: true,
                ..Dependency::after(outcome)
            },
        );
    }

    /// Notes how the last use of something went that the worker can do without.
    pub fn advisory(&self, name: &str, outcome: Result<(), String>) {
        self.note(name, Dependency::after(outcome));
    }

    fn note(&self, name: &str, state: Dependency) {
        let is_ok = state.ok;
        let before = lock(&self.0.dependencies).insert(name.to_owned(), state);
        if before.is_none() {
            // It is counted from 0 on.
            self.recoveries_of(name);
        }
        // What has never worked does not work *again*.
        let is_change = is_ok && before.is_none_or(|before| !before.ok);
        if is_change && !lock(&self.0.proven).insert(name.to_owned()) {
            self.recoveries_of(name).inc();
        }
    }

    fn recoveries_of(&self, name: &str) -> Counter {
        let labels = vec![("dependency", name.to_owned())];
        self.0.recoveries.get_or_create_owned(&labels)
    }

    /// How often each dependency worked again after it had not.
    pub(super) fn recoveries(&self) -> Family<Vec<(&'static str, String)>, Counter> {
        self.0.recoveries.clone()
    }

    /// Puts a fact on the status page, for example counters or the advertised address.
    pub fn detail(&self, name: &str, value: impl Into<Value>) {
        lock(&self.0.details).insert(name.to_owned(), value.into());
    }

    /// Takes a fact off the status page: it is not known any more.
    pub fn forget(&self, name: &str) {
        lock(&self.0.details).remove(name);
    }

    /// Adds to a list on the status page, unless it has `limit` items already.
    pub fn example(&self, name: &str, limit: usize, value: impl FnOnce() -> Value) {
        let mut details = lock(&self.0.details);
        let list = details
            .entry(name.to_owned())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(items) = list
            && items.len() < limit
        {
            items.push(value());
        }
    }

    /// From now on the worker is not ready: it stops.
    pub fn drain(&self) {
        self.0
            .draining
            .store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether every required dependency worked the last time and the worker is not stopping.
    pub fn is_ready(&self) -> bool {
        !self.0.draining.load(std::sync::atomic::Ordering::SeqCst)
            && lock(&self.0.dependencies)
                .values()
                .all(|state| state.ok || !state.required)
    }

    /// The dependencies, by name.
    pub fn dependencies(&self) -> BTreeMap<String, Dependency> {
        lock(&self.0.dependencies).clone()
    }

    /// The facts of the status page, by name.
    pub fn details(&self) -> BTreeMap<String, Value> {
        lock(&self.0.details).clone()
    }

    /// Uses the metrics registry, to register metrics at the start or to encode them.
    pub fn with_metrics<T>(&self, use_registry: impl FnOnce(&mut Registry) -> T) -> T {
        use_registry(&mut lock(&self.0.metrics))
    }
}

#[cfg(test)]
mod tests {
    use super::Vitals;

    #[test]
    fn only_required_dependencies_and_draining_make_a_worker_unready() {
        let vitals = Vitals::default();
        assert!(vitals.is_ready());
        vitals.advisory("registry", Err("connection refused".to_owned()));
        assert!(vitals.is_ready());
        vitals.required("queue", Err("timed out".to_owned()));
        assert!(!vitals.is_ready());
        vitals.required("queue", Ok(()));
        assert!(vitals.is_ready());
        vitals.drain();
        assert!(!vitals.is_ready());
    }

    #[test]
    fn o08_a_dependency_recovers_only_if_it_had_worked_before() {
        let vitals = Vitals::default();
        let failed = || Err("timed out".to_owned());
        let recoveries = || vitals.recoveries_of("queue").get();
        vitals.required("queue", failed());
        vitals.required("queue", Ok(()));
        vitals.required("queue", Ok(()));
        assert_eq!(recoveries(), 0, "it was reached for the first time");
        for _ in 0..2 {
            vitals.required("queue", failed());
            vitals.required("queue", failed());
            vitals.required("queue", Ok(()));
        }
        assert_eq!(recoveries(), 2);
    }
}
