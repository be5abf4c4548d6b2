use std::sync::Arc;

use crate::model::canary::CanaryId;
use crate::probe::canary::{Arrived, CanaryError, Clock, Flown, Skew, StoreFault};
use crate::validate::flights::planned;
use crate::validate::observe::{FlightEnd, FlightFacts};

use super::*;

fn with_flight(end: FlightEnd) -> Observed {
    let mut observed = pipeline(None, None);
    observed.sites[0].flights = vec![FlightFacts {
        namespace: WORKERS.to_owned(),
        central: Some((1, WORKERS.to_owned())),
        end,
    }];
    observed
}

fn arrived(deliveries: u64, skews: Vec<Skew>) -> Observed {
    with_flight(FlightEnd::Arrived(Arrived {
        canaries: vec![Flown {
            id: CanaryId::of(1),
            publish_ms: 1.0,
            store_ms: Some(20.0),
            show_ms: Some(100.0),
            deliveries,
        }],
        skews,
        left: None,
    }))
}

fn lost(error: CanaryError) -> Observed {
    with_flight(FlightEnd::Lost(Arc::new(error)))
}

#[test]
fn v10_an_arrival_passes_with_its_latency() {
    let findings = judge(&arrived(1, Vec::new()));
    let finding = found(&findings, "TEL-DAT-001", "edge");
    assert_eq!(finding.verdict, Verdict::Passed);
    assert_eq!(finding.latency_ms, Some(121.0));
    assert!(finding.observed.contains("store 20 ms"), "{finding:?}");
    assert_eq!(
        found(&findings, "TEL-DAT-002", "edge").verdict,
        Verdict::Passed
    );
    let findings = judge(&arrived(2, Vec::new()));
    let finding = found(&findings, "TEL-DAT-001", "edge");
    assert_eq!(finding.verdict, Verdict::Warning);
    let mut left = arrived(1, Vec::new());
    if let FlightEnd::Arrived(arrived) = &mut left.sites[0].flights[0].end {
        arrived.left = Some("its pods were not gone".to_owned());
    }
    let findings = judge(&left);
    let finding = found(&findings, "TEL-DAT-001", "edge");
    assert_eq!(finding.verdict, Verdict::Warning);
    assert!(commands(finding).contains("get jobs,pods"), "{finding:?}");
}

#[test]
fn v10_clocks_that_differ_by_a_second_are_a_warning() {
    for (at_least_ms, verdict) in [(900.0, Verdict::Passed), (1100.0, Verdict::Warning)] {
        let skew = Skew {
            ahead: Clock::Edge,
            behind: Clock::Queue,
            at_least_ms,
        };
        let findings = judge(&arrived(1, vec![skew]));
        let finding = found(&findings, "TEL-DAT-002", "edge");
        assert_eq!(finding.verdict, verdict);
        assert!(
            finding.observed.contains("the clock of the edge's node"),
            "{finding:?}"
        );
    }
}

#[test]
fn v10_every_hop_where_it_may_break_has_its_remedy() {
    let detail = || "what was seen".to_owned();
    let not_stored = |fault| CanaryError::NotStored {
        lost: 1,
        sent: 1,
        fault,
        detail: detail(),
    };
    let not_published = CanaryError::NotPublished {
        cluster: "edge".to_owned(),
        cause: Some(Cause::Refused),
        detail: detail(),
    };
    let not_shown = CanaryError::NotShown {
        lost: 1,
        sent: 1,
        detail: detail(),
    };
    let cases = [
        (
            not_published,
            "--context edge -n telemetry-system describe statefulset/streamer",
        ),
        (
            not_stored(StoreFault::NoCollector),
            "--context central -n telemetry-system scale deployment/collector --replicas=1",
        ),
        (not_stored(StoreFault::Unwell), "logs deployment/collector"),
        (
            not_stored(StoreFault::SetAside),
            "logs deployment/collector",
        ),
        (
            not_stored(StoreFault::Unexplained),
            "--context edge -n telemetry-system set env statefulset/streamer --list",
        ),
        (not_shown, "logs deployment/api-gateway"),
    ];
    for (error, command) in cases {
        let said = error.to_string();
        let findings = judge(&lost(error));
        let finding = found(&findings, "TEL-DAT-001", "edge");
        assert_eq!(finding.verdict, Verdict::Failed, "{said}");
        assert_eq!(finding.observed, said);
        assert!(commands(finding).contains(command), "{said}: {finding:#?}");
    }
}

#[test]
fn v10_a_version_without_canaries_is_a_warning() {
    let findings = judge(&lost(CanaryError::TooOld {
        cluster: "namespace telemetry-system of central".to_owned(),
        what: "pod/collector-x".to_owned(),
    }));
    let finding = found(&findings, "TEL-DAT-001", "edge");
    assert_eq!(finding.verdict, Verdict::Warning);
    assert!(commands(finding).contains("telectl deploy central --context central"));
}

#[test]
fn v10_no_canary_flies_into_what_a_probe_has_found() {
    let refused = Some((Hop::Tcp, Cause::Refused));
    let because = |observed: &Observed| match &planned(observed)[..] {
        [flight] => flight.central.clone(),
        other => panic!("{other:?}"),
    };
    let well = pipeline(None, None);
    assert_eq!(because(&well), Ok((1, WORKERS.to_owned())));
    for (observed, vantage) in [
        (pipeline(refused, None), "streamer"),
        (pipeline(None, refused), "collector"),
    ] {
        let because = because(&observed).unwrap_err();
        assert!(because.contains("TEL-RED-001"), "{because}");
        assert!(because.contains(vantage), "{because}");
    }
    let mut nobody = pipeline(None, None);
    nobody.sites[0].objects.workloads.clear();
    assert!(because(&nobody).unwrap_err().contains("no streamer"));
    let mut alone = pipeline(None, None);
    alone.sites.pop();
    let said = because(&alone).unwrap_err();
    assert!(said.contains("--central-context"), "{said}");
    let mut silent = pipeline(None, None);
    silent.sites[1].api = ApiServer::Fails {
        cause: Cause::Refused,
        detail: "gone".to_owned(),
    };
    assert!(because(&silent).unwrap_err().contains("TEL-API-001"));
    let findings = judge(&with_flight(FlightEnd::NotSent {
        because: "why not".to_owned(),
    }));
    let finding = found(&findings, "TEL-DAT-001", "edge");
    assert!(matches!(&finding.verdict, Verdict::Skipped { because } if because == "why not"));
}
