//! What outlives a deployment: the name of a cluster, and the authority that others trust.

use serde_json::Value;

use super::lab::{LAB_VALUES, Lab};

/// A copy of the kubeconfig in which contexts have other names.
fn renamed(lab: &Lab, folder: &std::path::Path, names: &[(&str, &str)]) -> String {
    let copy = folder.join("config").display().to_string();
    std::fs::copy(&lab.kubeconfig, &copy).expect("a copy is written");
    for (old, new) in names {
        let rename = ["--kubeconfig", &copy, "config", "rename-context", old, new];
        // Renaming needs no cluster; the context that is asked for is the first one's.
        lab.kubectl(&lab.central, &rename);
    }
    copy
}

#[test]
fn d14_a_renamed_context_changes_nothing_and_another_cluster_id_is_warned_of() {
    let Some(lab) = Lab::take() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let names = [(&*lab.edge, "prod-edge"), (&*lab.central, "prod-central")];
    let copy = renamed(&lab, folder.path(), &names);
    let plan = |more: &[&str]| {
        let contexts = [
            "-e",
            "prod-edge",
            "-c",
            "prod-central",
            "--kubeconfig",
            &copy,
        ];
        lab.telectl(&[&["plan", "--exit-code"], &contexts[..], &LAB_VALUES, more].concat())
    };
    let _same = plan(&[]).exits(0).says("edge → cluster prod-edge");
    let _warned = plan(&["--set", "global.clusterId=another"])
        .exits(3)
        .says(&format!(
            "the cluster id changes from `{}` to `another`: it is part of every source's identity",
            lab.edge
        ))
        .says("stored again");
}

#[test]
fn d07_a_new_authority_says_that_other_edges_have_to_be_deployed_again() {
    let Some(lab) = Lab::take() else { return };
    let place = ["-n", "shared-infrastructure"];
    let secret = |more: &[&str]| lab.kubectl(&lab.central, &[&place[..], more].concat());
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().join("authority.json").display().to_string();
    let authority = secret(&["get", "secret/telectl-ca", "-o", "json"]);
    let mut authority: Value = serde_json::from_str(&authority).expect("kubectl prints JSON");
    let labels = authority["metadata"]["labels"].take();
    // Without what tells this very object from one that is made anew.
    authority["metadata"] = serde_json::json!({"name": "telectl-ca", "labels": labels});
    std::fs::write(&saved, authority.to_string()).expect("it is written");
    secret(&["delete", "secret/telectl-ca"]);
    let plan = lab.lab(&["plan", "--exit-code"]);
    secret(&["create", "-f", &saved]);
    let _planned = plan
        .exits(3)
        .says("+ Secret/telectl-ca")
        .says("every edge that is not part of this command trusts the old one")
        .says("restarts StatefulSet/redis");
    let _clean = lab.lab(&["plan", "--exit-code"]).exits(0);
}
