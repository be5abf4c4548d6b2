//! What a plan says before anybody waits in vain: changes that a cluster refuses, contexts that are
//! swapped, and what the cluster lacks.

use super::lab::{LAB_VALUES, Lab};

const IMAGES: [&str; 2] = [
    "-f",
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/images.yaml"),
];

#[test]
fn d07_what_cannot_be_changed_in_place_is_part_of_the_plan_and_stops_a_deploy() {
    let Some(lab) = Lab::take() else { return };
    let without_overlay = |command: &[&str]| lab.on_both(&[command, &IMAGES[..]].concat());
    let etcd = "x StatefulSet/etcd cannot be changed in place\n      \
                .spec.volumeClaimTemplates[0].spec.resources.requests.storage: \"256Mi\" → \"8Gi\"";
    let plan = without_overlay(&["plan"]).exits(1).says(etcd);
    // The rest is there, too: a text by its lines, and the other cluster's objects.
    assert!(plan.stdout.contains("- maxmemory "), "{}", plan.stdout);
    assert!(
        plan.stdout.contains("x StatefulSet/streamer"),
        "{}",
        plan.stdout
    );
    let hints = &plan.stderr;
    assert!(hints.contains("it had -f lab -f "), "{hints}");
    assert!(hints.contains("etcd.persistence.size=256Mi"), "{hints}");
    assert!(hints.contains("--recreate StatefulSet/etcd"), "{hints}");
    assert!(!hints.contains("applying"), "{hints}");
    let json = without_overlay(&["plan", "-o", "json"]).exits(1).json();
    assert_eq!(json["counts"]["refuse"], 5, "{json}");
    let claim = "x PersistentVolumeClaim/backup cannot be changed in place\n      \
                 .spec.resources.requests.storage: \"256Mi\" → \"100Gi\"";
    assert!(plan.stdout.contains(claim), "{}", plan.stdout);
    assert!(hints.contains("backup.storage.size=256Mi"), "{hints}");

    let deploy = without_overlay(&["deploy-all", "--yes"]).exits(1);
    assert!(
        deploy.stderr.contains("nothing was written"),
        "{}",
        deploy.stderr
    );
    let _nothing = lab.lab(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn d07_what_the_cluster_lacks_is_a_warning_of_the_plan() {
    let Some(lab) = Lab::take() else { return };
    // Volumes that are there need no class any more: a namespace that is not there has none.
    let elsewhere = ["plan", "--namespace", "elsewhere"];
    let kept = [
        "--set",
        "etcd.persistence.size=256Mi,redis.master.persistence.size=256Mi",
    ];
    let plan = [&elsewhere[..], &kept, &IMAGES].concat();
    let plan = lab.on_both(&plan).exits(0);
    for words in [
        "warning: no StorageClass is called `fast-ssd`",
        "postgresql.primary.persistence.storageClass=",
        "has the labels node-type=cpu",
        "has the labels node-type=edge",
        "streamer.nodeSelector=null",
    ] {
        assert!(plan.stdout.contains(words), "{words}: {}", plan.stdout);
    }
    let overlaid = lab.lab(&["plan"]).exits(0);
    assert!(!overlaid.stdout.contains("warning"), "{}", overlaid.stdout);
}

#[test]
fn d07_swapped_contexts_are_named_and_need_a_word_of_their_own() {
    let Some(lab) = Lab::take() else { return };
    let swapped = |command: &[&str]| {
        let contexts = ["-e", &lab.central, "-c", &lab.edge];
        lab.telectl(&[command, &contexts[..], &LAB_VALUES[..]].concat())
    };
    let plan = swapped(&["plan"]).exits(0);
    let central = format!("warning: cluster {} holds profile edge", lab.edge);
    let edge = format!("warning: cluster {} holds profile central", lab.central);
    assert!(plan.stdout.starts_with(&central), "{}", plan.stdout);
    assert!(plan.stdout.contains(&edge), "{}", plan.stdout);
    assert!(
        plan.stdout.contains("are the contexts swapped?"),
        "{}",
        plan.stdout
    );
    let deploy = swapped(&["deploy-all", "--yes"]).exits(2);
    assert!(deploy.stderr.contains("--new-role"), "{}", deploy.stderr);
    let shared = ["get", "namespace", "shared-infrastructure"];
    assert_ne!(lab.try_kubectl(&lab.edge, &shared).code, 0);
    // With the word it goes on as far as a dry run does.
    let _meant = swapped(&["deploy-all", "--yes", "--new-role", "--dry-run"]).exits(0);
}

/// A namespace of the edge cluster that is gone in the end.
struct Elsewhere<'a>(&'a Lab, &'a str);

impl Drop for Elsewhere<'_> {
    fn drop(&mut self) {
        let gone = ["delete", "namespace", self.1, "--ignore-not-found"];
        let gone = [&gone[..], &["--wait=false"]].concat();
        let _gone = self.0.try_kubectl(&self.0.edge, &gone);
    }
}

#[test]
fn d13_an_edge_whose_servers_are_somebody_elses_needs_secrets_that_are_named_beforehand() {
    let Some(lab) = Lab::take() else { return };
    let namespace = format!("elsewhere-{}", std::process::id());
    let _put_back = Elsewhere(&lab, &namespace);
    let servers = [
        "--redis-host=192.0.2.1",
        "--etcd-endpoints=https://192.0.2.2:2379",
        "--set=streamer.tls.enabled=true,etcd.auth.enabled=true",
    ];
    let named = ["--namespace", &namespace, "--edge-context", &lab.edge];
    let edge = |words: &[&str]| {
        let overlay = ["-f", "lab"];
        lab.telectl(&[words, &servers, &named, &overlay, &IMAGES].concat())
    };
    let refused = edge(&["deploy", "edge", "--yes"]).exits(1);
    let remedies: Vec<&str> = refused
        .stderr
        .lines()
        .filter_map(|line| Some(&line[line.find("kubectl --context")?..]))
        .collect();
    assert_eq!(remedies.len(), 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("nothing was written"));
    let there = ["get", "namespace", &namespace, "--ignore-not-found"];
    assert_eq!(lab.kubectl(&lab.edge, &there), "");

    // What it says to do is enough.
    for remedy in remedies {
        let command = remedy.replace("=FILE", "=/etc/hostname");
        let made = lab.shell(&command).output().expect("a shell");
        assert!(made.status.success(), "{command}: {made:?}");
    }
    let plan = edge(&["deploy", "edge", "--dry-run"]).exits(0);
    assert!(!plan.stdout.contains("TEL-PRE-006"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("Secret/"), "{}", plan.stdout);
}
