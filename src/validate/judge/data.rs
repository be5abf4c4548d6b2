//! Whether canaries arrived.

use crate::model::causes::chain;
use crate::model::component::Component;
use crate::probe::Cause;
use crate::probe::canary::{Arrived, CanaryError, StoreFault};
use crate::validate::check;
use crate::validate::finding::{Finding, Remedy};
use crate::validate::observe::{FlightEnd, FlightFacts, Observed, SiteFacts, cause_of};
use crate::validate::remedy;

use super::vantage;

/// Clocks that differ by less are not worth a warning, in milliseconds.
const CLOCK_TOLERANCE_MS: f64 = 1000.0;

pub(super) fn flights(observed: &Observed, site: &SiteFacts) -> Vec<Finding> {
    let each = site.flights.iter();
    each.flat_map(|flight| findings(observed, site, flight))
        .collect()
}

fn findings(observed: &Observed, site: &SiteFacts, flight: &FlightFacts) -> Vec<Finding> {
    let central = flight.central.as_ref();
    let central = central.and_then(|(index, _)| observed.sites.get(*index));
    let to = central.map_or("central", |central| central.context.as_str());
    let finding = Finding::new(&check::CANARY, &site.context, format!("way to {to}"))
        .from(vantage(&site.context, Component::Streamer));
    match &flight.end {
        FlightEnd::NotSent { because } => vec![finding.skipped(because)],
        FlightEnd::Arrived(arrived) => vec![
            arrived_well(finding, (site, flight), arrived),
            clocks(site, arrived),
        ],
        FlightEnd::Lost(error) => vec![lost(finding, (observed, site, flight), error)],
    }
}

fn arrived_well(
    finding: Finding,
    (site, flight): (&SiteFacts, &FlightFacts),
    arrived: &Arrived,
) -> Finding {
    let finding = finding.timed(None, arrived.slowest_ms());
    if let Some(left) = &arrived.left {
        return finding
            .seen(format!("{arrived}; {left}"))
            .warning("nothing of the sender is left")
            .remedy(remedy::clear_away(site, &flight.namespace));
    }
    match arrived.delivered_again() {
        0 => finding.seen(arrived.to_string()),
        again => finding
            .seen(format!(
                "{arrived}; {again} delivered more than once and stored once"
            ))
            .warning("each is delivered once")
            .remedy(Remedy::text(
                "a collector was interrupted or Redis did not answer it in time: no row is lost or \
                 doubled by that, but look at the collectors' logs if it happens again",
            )),
    }
}

fn clocks(site: &SiteFacts, arrived: &Arrived) -> Finding {
    let finding = Finding::new(&check::CLOCKS, &site.context, "clocks on the way")
        .from(vantage(&site.context, Component::Streamer));
    let words: Vec<String> = arrived.skews.iter().map(ToString::to_string).collect();
    if words.is_empty() {
        return finding.seen("no time on the way contradicts another");
    }
    let finding = finding.seen(words.join("; "));
    let differs = |skew: &crate::probe::canary::Skew| skew.at_least_ms >= CLOCK_TOLERANCE_MS;
    if !arrived.skews.iter().any(differs) {
        return finding;
    }
    finding
        .warning(format!("less than {CLOCK_TOLERANCE_MS:.0} ms apart"))
        .remedy(Remedy::text(
            "synchronise the clocks of these hosts, for example with chrony: ages and latencies \
             are wrong until then",
        ))
}

fn lost(
    finding: Finding,
    place: (&Observed, &SiteFacts, &FlightFacts),
    error: &CanaryError,
) -> Finding {
    let finding = finding.seen(chain(error));
    let cause = match error {
        CanaryError::Interrupted => return finding.skipped("it was interrupted"),
        CanaryError::TooOld { .. } => {
            return finding
                .warning("versions that know canaries")
                .remedy(remedy::lost(place, error));
        }
        CanaryError::NotPublished { cause, .. } => *cause,
        CanaryError::NotStored {
            fault: StoreFault::Unwell,
            ..
        }
        | CanaryError::NotShown { .. } => Some(Cause::Unhealthy),
        CanaryError::Cluster(error) => Some(cause_of(error)),
        _ => None,
    };
    finding
        .failed(cause, "the gateway shows every canary")
        .remedy(remedy::lost(place, error))
}
