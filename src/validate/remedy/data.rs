//! What to do about canaries that did not arrive, hop by hop.

use crate::model::component::Component;
use crate::probe::canary::{CanaryError, StoreFault};
use crate::validate::facts::Workload;
use crate::validate::finding::Remedy;
use crate::validate::observe::{FlightFacts, Observed, SiteFacts};

use super::{argument, deploy, kubectl, scale_up};

/// Where canaries were lost: what was observed, their edge, and their flight.
type Scene<'a> = (&'a Observed, &'a SiteFacts, &'a FlightFacts);

/// What to do.
pub(crate) fn lost(scene: Scene<'_>, error: &CanaryError) -> Remedy {
    let (observed, edge, flight) = scene;
    match error {
        CanaryError::NotPublished { .. } | CanaryError::NoStreamer { .. } => {
            not_published(edge, flight)
        }
        CanaryError::NotStored { fault, .. } => not_stored(scene, *fault),
        CanaryError::NotShown { .. } => logs(
            central(scene),
            scene,
            Component::ApiGateway,
            "the data is stored; see why the gateway does not show it",
        ),
        CanaryError::TooOld { cluster, .. } if *cluster == edge.context => {
            deploy(observed, edge, Component::Streamer)
        }
        CanaryError::TooOld { .. } => match central(scene) {
            Some(site) => deploy(observed, site, Component::Collector),
            None => Remedy::text("deploy the central cluster first"),
        },
        _ => Remedy::text("see the message: the API server refused or did not answer"),
    }
}

fn central<'a>((observed, _, flight): Scene<'a>) -> Option<&'a SiteFacts> {
    let (index, _) = flight.central.as_ref()?;
    observed.sites.get(*index)
}

fn workload<'a>(
    site: &'a SiteFacts,
    (_, _, flight): Scene<'_>,
    component: Component,
) -> Option<&'a Workload> {
    let (_, namespace) = flight.central.as_ref()?;
    let mut workloads = site.objects.workloads_of(component);
    workloads.find(|workload| workload.namespace == *namespace)
}

fn not_published(edge: &SiteFacts, flight: &FlightFacts) -> Remedy {
    let kubectl = kubectl(edge, &flight.namespace);
    let streamers = edge.objects.workloads_of(Component::Streamer);
    let described = streamers
        .filter(|workload| workload.namespace == flight.namespace)
        .map(|workload| format!("{kubectl} describe {}", argument(workload)));
    let mut commands: Vec<String> = described.collect();
    commands.push(format!("{kubectl} get events --sort-by=.lastTimestamp"));
    Remedy::run(
        "the message says what kept it out of Redis: correct that for the streamer, whose place \
         and settings the sender had",
        commands,
    )
}

fn not_stored(scene: Scene<'_>, fault: StoreFault) -> Remedy {
    let site = central(scene);
    let collector = site.and_then(|site| workload(site, scene, Component::Collector));
    match (fault, site, collector) {
        (StoreFault::NoCollector, Some(site), Some(workload)) => {
            let mut remedy = scale_up(site, workload);
            remedy.text =
                "nothing moves what is in the queue: scale the collectors up again".into();
            remedy
        }
        (StoreFault::Unexplained, Some(site), Some(_)) => compare(scene, site),
        (StoreFault::SetAside, ..) => logs(
            site,
            scene,
            Component::Collector,
            "the table dead_letter keeps their bytes; the collectors' logs say what is wrong with \
             them",
        ),
        _ => logs(
            site,
            scene,
            Component::Collector,
            "bring back what the collector misses; it goes on by itself then",
        ),
    }
}

/// Both sides' queue, and what is before the canary.
fn compare((_, edge, flight): Scene<'_>, central: &SiteFacts) -> Remedy {
    let shown = |site: &SiteFacts, namespace: &str, component: Component| {
        let workloads = site.objects.workloads_of(component);
        let mut found = workloads.filter(|workload| workload.namespace == namespace);
        found.next().map(|workload| {
            format!(
                "{} set env {} --list | grep -E '^(REDIS_(URL|SENTINELS|MASTER_NAME|CLUSTER_NODES)|PIPELINE)='",
                kubectl(site, namespace),
                argument(workload)
            )
        })
    };
    let namespace = flight.central.as_ref().map(|(_, namespace)| namespace);
    let both = [
        shown(edge, &flight.namespace, Component::Streamer),
        namespace.and_then(|namespace| shown(central, namespace, Component::Collector)),
    ];
    Remedy::run(
        "compare Redis and pipeline of both sides; if they are the same, wait until the queue is \
         shorter (`telectl status` shows its depth), or add collectors",
        both.into_iter().flatten().collect(),
    )
}

fn logs(site: Option<&SiteFacts>, scene: Scene<'_>, of: Component, text: &str) -> Remedy {
    let commands = site.and_then(|site| {
        let workload = workload(site, scene, of)?;
        let kubectl = kubectl(site, &workload.namespace);
        Some(format!("{kubectl} logs {} --tail 50", argument(workload)))
    });
    Remedy::run(text, commands.into_iter().collect())
}
