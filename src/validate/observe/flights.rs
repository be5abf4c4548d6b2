//! Sends canaries from the edges to the central cluster.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::probe::canary::{Arrived, CanaryError, Flight, arrive};
use crate::validate::flights::{PlannedFlight, planned};

use super::{Circumstances, Listener, Observed, Site};

/// Enough for each shard of a queue to carry one: by default there are two.
const CANARIES: usize = 4;
/// Long enough for a pod to start and for another collector to take over from a dead one.
const DEADLINE: Duration = Duration::from_secs(45);

/// Canaries that were sent from an edge, or were not.
#[derive(Debug, Clone)]
pub struct FlightFacts {
    /// Namespace of the streamers that they were sent for.
    pub namespace: String,
    /// Index of the central cluster among the sites and namespace of its collectors, where there
    /// is one.
    pub central: Option<(usize, String)>,
    /// How it ended.
    pub end: FlightEnd,
}

/// How a flight ended.
#[derive(Debug, Clone)]
pub enum FlightEnd {
    /// All arrived.
    Arrived(Arrived),
    /// Some did not.
    Lost(Arc<CanaryError>),
    /// None was sent.
    NotSent {
        /// Why.
        because: String,
    },
}

/// Sends them from all edges at once.
pub(super) async fn fly(
    sites: &[Site],
    observed: &mut Observed,
    circumstances: &Circumstances,
    listener: Listener<'_>,
) {
    let plans = planned(observed);
    let flying = plans.iter().map(async |plan| {
        let facts = Box::pin(one(sites, plan, circumstances, listener)).await;
        (plan.edge, facts)
    });
    for (edge, facts) in join_all(flying).await {
        observed.sites[edge].flights.push(facts);
    }
}

async fn one(
    sites: &[Site],
    plan: &PlannedFlight,
    circumstances: &Circumstances,
    listener: Listener<'_>,
) -> FlightFacts {
    let facts = |central, end| FlightFacts {
        namespace: plan.edge_namespace.clone(),
        central,
        end,
    };
    let (index, central_namespace) = match &plan.central {
        Ok(central) => central,
        Err(because) => {
            let because = because.clone();
            return facts(None, FlightEnd::NotSent { because });
        }
    };
    let edge = &sites[plan.edge].cluster;
    listener(edge.name(), "waiting for canaries to arrive");
    let flight = Flight {
        edge,
        edge_namespace: &plan.edge_namespace,
        central: &sites[*index].cluster,
        central_namespace,
        count: CANARIES,
        deadline: DEADLINE.min(circumstances.probe_deadline),
        stop: &circumstances.stop,
    };
    let end = match arrive(&flight).await {
        Ok(arrived) => FlightEnd::Arrived(arrived),
        Err(error) => FlightEnd::Lost(Arc::new(error)),
    };
    listener(edge.name(), "done");
    facts(Some((*index, central_namespace.clone())), end)
}
