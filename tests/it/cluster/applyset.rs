//! Our inventory as kubectl sees it: it finds our objects, and leaves them alone.

use std::collections::BTreeSet;

use super::lab::Lab;
use super::ownership::{PLACE, kubectl, object};

const PARENT: &str = "configmaps/telectl-central";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// Lets kubectl apply one object to our set and prune all others, as a dry run.
fn prune(lab: &Lab) -> super::lab::Done {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("one.yaml").display().to_string();
    let one = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: applied-by-kubectl\n";
    std::fs::write(&file, one).expect("it is written");
    let (kubeconfig, context) = (lab.kubeconfig.display(), &lab.central);
    let command = format!(
        "KUBECTL_APPLYSET=true kubectl --kubeconfig {kubeconfig} --context {context} {} apply \
         --server-side --dry-run=server --prune --applyset={PARENT} -f {file}",
        PLACE.join(" ")
    );
    super::lab::done(lab.shell(&command).output().expect("it can be started"))
}

/// What our set consists of, as `KIND/NAME`, asked for kind by kind.
fn members(lab: &Lab) -> BTreeSet<String> {
    let parent = object(lab, PARENT);
    let id = parent["metadata"]["labels"]["applyset.kubernetes.io/id"].as_str();
    let kinds = &parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"];
    let kinds = kinds.as_str().expect("the kinds are listed");
    let label = format!("{PART_OF}={}", id.expect("the parent has an id"));
    let names = kubectl(lab, &["get", kinds, "-l", &label, "-o", "name"]);
    names.lines().map(str::to_owned).collect()
}

#[test]
fn d16_kubectl_refuses_our_set_and_finds_exactly_its_members_once_it_is_handed_over() {
    let Some(lab) = Lab::take() else { return };
    let refused = prune(&lab);
    let ours = object(&lab, PARENT)["metadata"]["annotations"][TOOLING].clone();
    let annotate = |tooling: &str| {
        let annotation = format!("{TOOLING}={tooling}");
        kubectl(&lab, &["annotate", "--overwrite", PARENT, &annotation]);
    };
    annotate("kubectl/v1.34.4");
    let handed_over = prune(&lab);
    annotate(ours.as_str().expect("our parent names its tool"));
    let refused = refused.exits(1);
    assert!(
        refused.stderr.contains("managed by tooling \"telectl\""),
        "{}",
        refused.stderr
    );
    let handed_over = handed_over.exits(0);
    let pruned = handed_over.stdout.lines();
    let pruned: BTreeSet<String> = pruned
        .filter_map(|line| Some(line.split_once(" pruned")?.0.to_owned()))
        .collect();
    let members = members(&lab);
    assert!(members.len() > 10, "{members:?}");
    assert_eq!(pruned, members);
    let _clean = lab.lab(&["plan", "--exit-code"]).exits(0);
}
