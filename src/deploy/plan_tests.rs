use serde_json::json;

use super::super::object::object_plan;
use super::*;
use crate::cluster::apply::DryRun;
use crate::model::profile::Profile;

fn deployment() -> ObjectRef {
    ObjectRef::new(ObjectKind::Deployment, "ns", "api-gateway")
}

#[test]
fn the_secrets_of_a_workload_are_found_in_variables_and_volumes() {
    let manifest = Manifest {
        object: deployment(),
        value: json!({"spec": {"template": {"spec": {
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}]}],
            "volumes": [{"secret": {"secretName": "a"}}, {"emptyDir": {}}],
        }}}}),
    };
    assert_eq!(secrets_of(&manifest), ["a", "b"]);
}

#[test]
fn an_address_that_is_not_known_yet_is_no_conflict() {
    let live = json!({"url": "rediss://192.0.2.1", "other": 1});
    let conflict = |fields: &[&str], taken: Value| DryRun::Conflict {
        fields: fields
            .iter()
            .map(|field| ((*field).to_owned(), "kubectl".to_owned()))
            .collect(),
        taken,
    };
    let placeholder = format!("rediss://{NOT_YET_KNOWN}");
    let awaited = conflict(&[".url"], json!({"url": placeholder, "other": 1}));
    let plan = later_addresses(object_plan(&deployment(), Some(&live), &awaited));
    assert_eq!((plan.action, plan.conflicts.len()), (Action::Update, 0));
    let both = conflict(&[".url", ".other"], json!({"url": placeholder, "other": 2}));
    let plan = later_addresses(object_plan(&deployment(), Some(&live), &both));
    assert_eq!((plan.action, plan.conflicts.len()), (Action::Conflict, 1));
}

#[test]
fn a_secret_that_changes_names_what_restarts_and_only_what_is_there() {
    let reader = |name: &str, secret: &str| Manifest {
        object: ObjectRef::new(ObjectKind::StatefulSet, "ns", name),
        value: json!({"spec": {"template": {"spec": {
            "volumes": [{"secret": {"secretName": secret}}],
        }}}}),
    };
    let manifests = [
        reader("redis", "redis-tls"),
        reader("etcd", "etcd-tls"),
        reader("new", "redis-tls"),
    ];
    let planned = |object: &ObjectRef, action| ObjectPlan::new(object.clone(), action);
    let objects = [
        planned(&manifests[0].object, Action::Update),
        planned(&manifests[1].object, Action::Keep),
        planned(&manifests[2].object, Action::Create),
    ];
    let secret = |name: &str, origin, renewals| {
        secret_change(
            "ns",
            &SecretPlan {
                name: name.to_owned(),
                keys: vec![("tls.crt".to_owned(), origin)],
                renewals,
                holds_foreign_certificate: false,
                manifest: None,
                exists: true,
            },
        )
    };
    let mut secrets = [
        secret(
            "redis-tls",
            Origin::Issued,
            vec![(Component::Redis, Purpose::Server, Lack::DaysLeft(12))],
        ),
        secret("etcd-tls", Origin::Kept, Vec::new()),
    ];
    name_restarts(&mut secrets, &manifests, &objects);
    assert_eq!(secrets[0].restarts, ["StatefulSet/redis"]);
    assert_eq!(
        secrets[0].renewals[0].certificate,
        "server certificate of redis"
    );
    assert_eq!(secrets[0].renewals[0].days_left, Some(12));
    assert_eq!(secrets[0].renewals[0].because, "it has 12 days left");
    assert!(secrets[1].restarts.is_empty());
}

#[test]
fn another_cluster_id_than_the_recorded_one_is_warned_of_and_recorded() {
    let streamer = Manifest {
        object: ObjectRef::new(ObjectKind::StatefulSet, "ns", "streamer"),
        value: json!({"metadata": {"labels": {"app.kubernetes.io/component": "streamer"}}}),
    };
    let set = |id: &str, manifests: &[Manifest]| RenderedSet {
        profile: Profile::Edge,
        namespace: "ns".to_owned(),
        cluster_id: id.to_owned(),
        manifests: manifests.to_vec(),
        secrets: Vec::new(),
    };
    let stage = Stage {
        profile: Profile::Edge,
        context: "renamed".to_owned(),
        namespace: "ns".to_owned(),
    };
    let record = json!({"metadata": {"annotations": {
        "telectl.io/deployed-at": "2026-06-01T00:00:00Z", "telectl.io/cluster-id": "edge",
    }}});
    let edge = [streamer];
    let same = set("edge", &edge);
    assert_eq!(identity_warning(&same, Some(&record)), None);
    assert_eq!(identity_warning(&set("new", &edge), None), None);
    let other = set("new", &edge);
    let warning = identity_warning(&other, Some(&record)).unwrap();
    assert!(warning.contains("from `edge` to `new`"), "{warning}");
    assert!(warning.contains("stored again"), "{warning}");
    let of_workers = identity_warning(&set("new", &[]), Some(&record)).unwrap();
    assert!(!of_workers.contains("stored again"), "{of_workers}");
    let members = BTreeSet::new();
    let unchanged = stage_plan(&stage);
    let planned = record_plan(&unchanged, &other, Some(&record), &members);
    assert_eq!(planned.action, Action::Update);
    assert_eq!(planned.changes[0].before, Some(json!("edge")));
}

fn stage_plan(stage: &Stage) -> StagePlan {
    StagePlan {
        stage: stage.clone(),
        server: String::new(),
        namespace_missing: false,
        objects: Vec::new(),
        secrets: Vec::new(),
        unwanted: Vec::new(),
        kept: Vec::new(),
        held: Vec::new(),
        awaits_addresses: false,
        warnings: Vec::new(),
        preflight: Vec::new(),
    }
}

#[test]
fn the_record_is_written_with_every_change_and_when_it_does_not_list_what_is_there() {
    let stage = Stage {
        profile: Profile::Edge,
        context: "edge".to_owned(),
        namespace: "ns".to_owned(),
    };
    let set = RenderedSet {
        profile: Profile::Edge,
        namespace: "ns".to_owned(),
        cluster_id: "edge".to_owned(),
        manifests: Vec::new(),
        secrets: Vec::new(),
    };
    let record = json!({
        "metadata": {"namespace": "ns", "annotations": {
            "telectl.io/deployed-at": "2026-06-01T00:00:00Z", "telectl.io/cluster-id": "edge",
        }},
        "data": {"objects": "Deployment/api-gateway\n"},
    });
    let members = BTreeSet::from([deployment()]);
    let mut plan = stage_plan(&stage);
    let action =
        |plan: &StagePlan, record, members| record_plan(plan, &set, record, members).action;
    assert_eq!(action(&plan, Some(&record), &members), Action::Keep);
    assert_eq!(action(&plan, None, &members), Action::Create);
    let fewer = BTreeSet::new();
    assert_eq!(action(&plan, Some(&record), &fewer), Action::Update);
    let mut unfinished = record.clone();
    unfinished["metadata"]["annotations"] = json!({});
    assert_eq!(action(&plan, Some(&unfinished), &members), Action::Update);
    plan.unwanted.push(deployment());
    assert_eq!(action(&plan, Some(&record), &members), Action::Update);
}

#[test]
fn every_object_is_counted_once_before_and_after() {
    let stage = Stage {
        profile: Profile::Shared,
        context: "hub".to_owned(),
        namespace: "ns".to_owned(),
    };
    let with = |action: Action| {
        let mut plan = stage_plan(&stage);
        plan.namespace_missing = action == Action::Create;
        plan.objects.push(ObjectPlan::new(deployment(), action));
        let authority = AuthorityChange {
            is_made: action == Action::Create,
            is_there: action == Action::Keep,
            was_deployed: false,
            secrets: &[],
        };
        plan.secrets.extend(authority_change("ns", &authority));
        plan
    };
    let (first, second) = (with(Action::Create), with(Action::Keep));
    assert_eq!(first.count(Action::Create), 3);
    assert_eq!(first.count(Action::Keep), 0);
    assert_eq!(second.count(Action::Keep), 3);
    assert_eq!(second.count(Action::Create), 0);
    let mut pruning = with(Action::Keep);
    assert!(!pruning.has_changes());
    pruning.unwanted.push(deployment());
    assert!(pruning.has_changes());
    assert_eq!(pruning.count(Action::Delete), 1);
}

#[test]
fn an_authority_is_made_anew_only_if_something_was_there_before() {
    let made = |is_made, is_there, was_deployed| {
        let authority = AuthorityChange {
            is_made,
            is_there,
            was_deployed,
            secrets: &[],
        };
        authority_change("ns", &authority)
    };
    let first = made(true, false, false).unwrap();
    assert_eq!(first.keys[0], ("tls.crt".to_owned(), "made".to_owned()));
    let again = made(true, false, true).unwrap();
    assert!(again.keys[0].1.starts_with("made anew;"));
    assert_eq!(made(false, true, true).unwrap().action, Action::Keep);
    assert_eq!(made(false, false, true), None);
}

#[test]
fn another_authority_names_whom_it_cuts_off() {
    let stage = |profile: Profile, context: &str| Stage {
        profile,
        context: context.to_owned(),
        namespace: "ns".to_owned(),
    };
    let shared = stage(Profile::Shared, "hub");
    let central = stage(Profile::Central, "hub");
    let edge = stage(Profile::Edge, "edge");
    let of = |lack| SecretPlan {
        name: "redis-tls".to_owned(),
        keys: Vec::new(),
        renewals: vec![(Component::Redis, Purpose::Server, lack)],
        holds_foreign_certificate: false,
        manifest: None,
        exists: true,
    };
    let warning = |stage, applied: &[&Stage], is_made, was_deployed, secrets: &[SecretPlan]| {
        let change = AuthorityChange {
            is_made,
            is_there: !is_made,
            was_deployed,
            secrets,
        };
        authority_warning(stage, applied, &change)
    };
    let all = [&shared, &central, &edge];
    assert_eq!(warning(&shared, &all, true, false, &[]), None, "the first");
    assert_eq!(warning(&shared, &all, false, true, &[]), None);
    let soon = [of(Lack::DaysLeft(3))];
    assert_eq!(warning(&shared, &all, false, true, &soon), None);
    let replaced = [of(Lack::AnotherAuthority)];
    for said in [
        warning(&shared, &all, true, true, &[]),
        warning(&shared, &all, false, true, &replaced),
    ] {
        let said = said.unwrap();
        assert!(said.contains("every edge that is not part of this command"));
        assert!(said.contains("telectl deploy edge --context … --shared-context hub"));
        assert!(!said.contains("the central cluster"), "{said}");
    }
    let alone = warning(&shared, &[&shared], true, true, &[]).unwrap();
    assert!(alone.contains("the central cluster and every edge"));
    assert_eq!(warning(&edge, &all, false, true, &replaced), None);
}
