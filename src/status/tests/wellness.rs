//! Versions, certificates, data, and what has changed.

use serde_json::json;

use super::*;
use crate::model::freshness::{ClusterFreshness, FreshnessReport};
use crate::model::profile::Profile;
use crate::probe::{CertificateFacts, TargetKind};
use crate::status::changes::changes;
use crate::status::collect::Deployed;
use crate::status::probed::ServerCertificate;

#[test]
fn s05_versions_that_differ_between_clusters_are_marked() {
    let mut other = edge(true);
    other.context = "edge-2".to_owned();
    let report = summarise(&collected(vec![edge(true), other.clone()]), now());
    assert!(!report.versions[0].is_skewed);
    assert_eq!(report.verdict, Verdict::Ready);
    // Another registry is no other version; another tag is.
    other.objects.pods[0].image = "registry.example/telectl:1".to_owned();
    let report = summarise(&collected(vec![edge(true), other.clone()]), now());
    assert!(!report.versions[0].is_skewed);
    other.objects.pods[0].image = "telectl:2".to_owned();
    let report = summarise(&collected(vec![edge(true), other.clone()]), now());
    assert!(report.versions[0].is_skewed);
    assert_eq!(
        problems(&report),
        ["workers: versions differ: 1 in edge; 2 in edge-2"]
    );
    // The same tag may hold another program.
    other.objects.pods[0].image = "telectl:1".to_owned();
    let mut first = edge(true);
    first.workers = vec![says(
        Component::Streamer,
        "streamer-0",
        json!({"version": "1"}),
    )];
    other.workers = vec![says(
        Component::Streamer,
        "streamer-0",
        json!({"version": "2"}),
    )];
    let report = summarise(&collected(vec![first, other]), now());
    assert_eq!(
        problems(&report),
        ["workers: versions differ: 1 in edge; 1 (2) in edge-2"]
    );
}

#[test]
fn s05_the_last_deployment_is_told_with_its_age() {
    let mut site = edge(true);
    site.deployed = vec![Deployed {
        profile: Profile::Edge,
        at: "2025-07-18T11:00:00Z".to_owned(),
        by: "ann@host".to_owned(),
        version: "1".to_owned(),
        generation: Some(4),
    }];
    let report = summarise(&collected(vec![site]), now());
    let deployed = &report.clusters[0].deployed[0];
    assert_eq!(
        (deployed.age_seconds, deployed.generation),
        (Some(3600), Some(4))
    );
    assert_eq!(deployed.by, "ann@host");
}

#[test]
fn s06_a_certificate_that_ends_soon_is_said_and_one_that_ends_now_is_a_problem() {
    let with_days = |days_left| {
        let mut collected = collected(vec![edge(true)]);
        collected.probed.certificates = Ok(vec![ServerCertificate {
            server: TargetKind::Redis,
            endpoint: "redis:6379".to_owned(),
            facts: CertificateFacts {
                subject: "redis".to_owned(),
                issuer: "telectl".to_owned(),
                names: Vec::new(),
                not_after: "2025-08-01T00:00:00Z".to_owned(),
                days_left,
            },
        }]);
        summarise(&collected, now())
    };
    let report = with_days(90);
    assert_eq!(report.certificates[0].days_left, 90);
    assert!(report.concerns.is_empty());
    let report = with_days(10);
    assert_eq!(report.verdict, Verdict::Ready);
    assert!(report.concerns[0].says.contains("10 days"));
    let report = with_days(2);
    assert_eq!(
        problems(&report),
        ["certificate of Redis: it expires in 2 days: deploy again"]
    );
    assert!(problems(&with_days(-1))[0].contains("it expired on 2025-08-01"));
}

#[test]
fn s07_an_old_file_is_no_outage_and_a_source_that_stands_still_is() {
    let data = |incomplete_sources, last_ingest: &str| {
        let mut site = edge(true);
        let newest = "2024-01-01T00:00:00Z".parse().unwrap();
        site.freshness = Some(Ok(FreshnessReport {
            schema_version: 1,
            at: now(),
            clusters: vec![ClusterFreshness {
                cluster: "edge".to_owned(),
                hosts: 31,
                gpus: 247,
                hosts_behind: 0,
                gpus_behind: 0,
                newest_event: Some(newest),
                oldest_event: Some(newest),
                last_ingest: Some(last_ingest.parse().unwrap()),
                sources: 1,
                incomplete_sources,
            }],
            stalest: Vec::new(),
        }));
        summarise(&collected(vec![site]), now())
    };
    let report = data(0, "2025-07-18T09:00:00Z");
    assert_eq!(report.verdict, Verdict::Ready, "{:?}", report.concerns);
    assert_eq!(report.data[0].ingest_age_seconds, Some(3 * 3600));
    assert!(data(1, "2025-07-18T11:59:00Z").concerns.is_empty());
    let report = data(1, "2025-07-18T11:50:00Z");
    assert_eq!(
        problems(&report),
        ["data of edge: nothing came in for 10 min, and 1 of 1 sources are not stored whole"]
    );
}

#[test]
fn s07_gpus_that_are_behind_the_others_are_worth_a_look() {
    let mut site = edge(true);
    let at = now();
    site.freshness = Some(Ok(FreshnessReport {
        schema_version: 1,
        at,
        clusters: vec![ClusterFreshness {
            cluster: "edge".to_owned(),
            hosts: 31,
            gpus: 247,
            hosts_behind: 1,
            gpus_behind: 8,
            newest_event: Some(at),
            oldest_event: Some(at),
            last_ingest: Some(at),
            sources: 1,
            incomplete_sources: 1,
        }],
        stalest: Vec::new(),
    }));
    let report = summarise(&collected(vec![site]), now());
    assert_eq!(report.verdict, Verdict::Ready);
    assert!(
        report.concerns[0]
            .says
            .starts_with("8 of 247 GPUs on 1 hosts")
    );
}

#[test]
fn s10_only_states_that_changed_are_told() {
    let (before, after) = (
        summarise(&collected(vec![edge(true)]), now()),
        summarise(&collected(vec![edge(false)]), now()),
    );
    assert!(changes(&before, &before).is_empty());
    assert_eq!(
        changes(&before, &after),
        [
            "edge: ready → down",
            "edge streamer: ready 1/1 telectl:1 → down 0/1 telectl:1",
        ]
    );
    let mut gone = edge(true);
    gone.api = ApiServer::Fails {
        cause: Cause::Refused,
        detail: "nobody listens".to_owned(),
    };
    let silent = summarise(&collected(vec![gone]), now());
    assert_eq!(
        changes(&before, &silent),
        ["edge: ready → unreachable", "edge API server: problem"],
        "of what nothing is known nothing is gone"
    );
    assert_eq!(
        changes(&silent, &before),
        [
            "edge: unreachable → ready",
            "edge streamer: ready 1/1 telectl:1",
            "edge API server: no longer problem",
        ]
    );
}
