use std::collections::BTreeMap;

use super::*;
use crate::cluster::ClusterError;
use crate::deploy::belongings::{Kept, Unwanted};
use crate::deploy::uninstall::plan::Claim;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::profile::Profile;

fn stage(profile: Profile, context: &str) -> Stage {
    Stage {
        profile,
        context: context.to_owned(),
        namespace: "ns".to_owned(),
    }
}

fn removal() -> Removal {
    Removal {
        stage: stage(Profile::Edge, "north"),
        server: "https://192.0.2.1".to_owned(),
        objects: vec![Unwanted {
            object: ObjectRef::new(ObjectKind::StatefulSet, "ns", "streamer"),
            uid: "1".to_owned(),
        }],
        claims: vec![Claim {
            name: "spool-streamer-0".to_owned(),
            uid: "2".to_owned(),
        }],
        kept: vec![Kept {
            object: "Secret/redis-auth".to_owned(),
            because: "its data cannot be made again".to_owned(),
            member: None,
        }],
        kept_claims: BTreeSet::new(),
        instances: BTreeSet::new(),
        record: RecordFate::Shortened,
        namespace: NamespaceFate::Kept {
            because: "Secret/redis-auth is in it".to_owned(),
        },
        warnings: vec!["streamer-0 holds 3 batches".to_owned()],
    }
}

#[test]
fn d18_the_plan_shows_what_goes_and_what_stays() {
    let mut nothing = removal();
    nothing.stage = stage(Profile::Central, "west");
    (nothing.objects, nothing.claims) = (Vec::new(), Vec::new());
    (nothing.kept, nothing.warnings) = (Vec::new(), Vec::new());
    nothing.record = RecordFate::Absent;
    nothing.namespace = NamespaceFate::Absent;
    let planned = Planned {
        removals: vec![removal(), nothing],
        unreachable: vec![(
            stage(Profile::Shared, "west"),
            ClusterError::TimedOut {
                cluster: "west".to_owned(),
                server: "https://192.0.2.2".to_owned(),
                action: "reading".to_owned(),
                after: std::time::Duration::from_secs(30),
            },
        )],
    };
    insta::assert_snapshot!(text(&planned), @r"
    edge → cluster north (https://192.0.2.1), namespace ns
      warning: streamer-0 holds 3 batches
      - StatefulSet/streamer
      - PersistentVolumeClaim/spool-streamer-0 and what is stored in it
        Secret/redis-auth is kept: its data cannot be made again
      ~ ConfigMap/telectl-edge lists what is kept
        Namespace/ns is kept: Secret/redis-auth is in it

    central → cluster west (https://192.0.2.1), namespace ns: nothing to delete

    shared on west: not known: cluster west: reading got no answer from https://192.0.2.2 within 30 s
    Plan: 2 to delete, 1 kept.
    ");
    assert_eq!(
        question(&planned.removals),
        "Delete 2 objects from north (https://192.0.2.1)?"
    );
}

fn told(progressed: &Progressed, error: DeployError) -> (ExitCode, String) {
    let error = how_far(
        progressed,
        error,
        ExitCode::Interrupted,
        "telectl uninstall -e north",
    );
    (error.exit_code(), error.text())
}

#[test]
fn d18_a_run_that_is_broken_off_says_what_each_cluster_has_left() {
    let (edge, central) = (
        stage(Profile::Edge, "north"),
        stage(Profile::Central, "west"),
    );
    let progressed = Progressed {
        done: vec![edge.clone()],
        failed: Some(central.clone()),
        not_begun: vec![stage(Profile::Shared, "west")],
        deleted: BTreeMap::from([(edge, 9), (central, 1)]),
    };
    let (code, text) = told(&progressed, DeployError::Stopped);
    assert_eq!(code, ExitCode::Partial);
    insta::assert_snapshot!(text, @r"
    stopped before everything was deleted
      cluster north: edge gone, 9 objects deleted
      cluster west: central broken off, 1 object deleted
      cluster west: shared still there
    this continues from here: telectl uninstall -e north
    ");
}

#[test]
fn d18_before_anything_is_deleted_errors_keep_their_codes() {
    let edge = stage(Profile::Edge, "north");
    let progressed = Progressed {
        not_begun: vec![edge.clone()],
        ..Progressed::default()
    };
    let (code, text) = told(&progressed, DeployError::Stopped);
    assert_eq!(code, ExitCode::Interrupted);
    assert!(text.contains("nothing was deleted"), "{text}");
    let lost = || DeployError::LockLost {
        stage: edge.to_string(),
    };
    assert_eq!(told(&progressed, lost()).0, ExitCode::Error);
    let begun = Progressed {
        failed: Some(edge.clone()),
        deleted: BTreeMap::from([(edge.clone(), 1)]),
        ..Progressed::default()
    };
    assert_eq!(told(&begun, lost()).0, ExitCode::Partial);
}
