//! What the commands say about a kubeconfig that they cannot use: wrong input, exit code 2.

use std::path::Path;

use tempfile::TempDir;

use crate::program::{run, run_unread};

const GOOD: &str = r#"
clusters:
- name: west
  cluster: {server: "https://127.0.0.1:1"}
users:
- name: somebody
  user: {token: canary-77}
contexts:
- name: central-west
  context: {cluster: west, user: somebody}
- name: edge-west
  context: {cluster: gone, user: somebody}
"#;

/// Each command that reads a kubeconfig, for the context `edge-wset`.
const COMMANDS: [&[&str]; 4] = [
    &["status", "-e", "edge-wset"],
    &["validate", "connectivity", "-e", "edge-wset"],
    &["plan", "-e", "edge-wset", "-c", "central-west"],
    &["deploy", "dev", "--context", "edge-wset", "--yes"],
];

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("the file can be written");
    path.display().to_string()
}

/// What a command that must end with 2 says.
async fn refused(arguments: &[&str], kubeconfig: &str) -> String {
    let output = run(arguments, &[("KUBECONFIG", kubeconfig)]).await;
    let said = String::from_utf8(output.stderr).expect("it is text");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.contains("hint: "), "{arguments:?}: {said}");
    assert!(!said.contains("canary-77"), "{arguments:?}: {said}");
    said
}

#[tokio::test]
async fn d15_a_kubeconfig_that_is_missing_or_broken_ends_every_command_with_2_and_its_name() {
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (a, b) = (path("missing-a"), path("missing-b"));
    let text = file(&folder, "text", "just text\n");
    let yaml = file(&folder, "yaml", &format!("{GOOD}current-context: [\n"));
    let list = file(
        &folder,
        "list",
        &GOOD.replace("contexts:", "contexts: {}\nx:"),
    );
    let folder_itself = folder.path().display().to_string();
    for command in COMMANDS {
        for (kubeconfig, says) in [
            (a.clone(), vec![format!("{a} does not exist")]),
            (format!("{a}:{b}"), vec![format!("{a}, {b}")]),
            (text.clone(), vec![format!("{text}:1")]),
            (yaml.clone(), vec![format!("{yaml}:13")]),
            (list.clone(), vec![format!("{list}:8")]),
            (
                folder_itself.clone(),
                vec![folder_itself.clone(), "Is a directory".to_owned()],
            ),
        ] {
            let said = refused(command, &kubeconfig).await;
            for part in says {
                assert!(said.contains(&part), "{command:?}: {said} lacks {part}");
            }
        }
    }
}

#[tokio::test]
async fn d15_an_unknown_context_is_answered_with_those_that_there_are_the_nearest_first() {
    let folder = TempDir::new().expect("a folder");
    let good = file(&folder, "good", GOOD);
    let empty = file(&folder, "empty", "");
    let missing = Path::new("/no/such/config").display().to_string();
    for command in COMMANDS {
        let said = refused(command, &format!("{missing}:{good}")).await;
        assert!(said.contains("has: edge-west, central-west"), "{said}");
        assert!(said.contains(&good), "{said}");
        assert!(said.contains(&format!("{missing} does not")), "{said}");
        let said = refused(command, &empty).await;
        assert!(said.contains("has no contexts"), "{said}");
    }
}

#[tokio::test]
async fn d15_a_context_whose_cluster_is_missing_is_wrong_input_too() {
    let folder = TempDir::new().expect("a folder");
    let good = file(&folder, "good", GOOD);
    let said = refused(&["status", "-e", "edge-west"], &good).await;
    assert!(said.contains("context `edge-west`"), "{said}");
    assert!(said.contains(&good) && said.contains("gone"), "{said}");
}

#[tokio::test]
async fn s02_a_verdict_keeps_its_exit_code_where_nobody_reads_the_report() {
    let folder = TempDir::new().expect("a folder");
    let good = file(&folder, "good", GOOD);
    for (arguments, code) in [
        (&["status", "-c", "central-west"][..], 4),
        (&["validate", "health", "-c", "central-west"], 4),
        (&["render", "dev", "shared"], 0),
        (&["config", "view", "dev"], 0),
        (&["completions", "bash"], 0),
    ] {
        let output = run_unread(arguments, &[("KUBECONFIG", &good)]).await;
        let said = String::from_utf8(output.stderr).expect("it is text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(!said.contains("error"), "{arguments:?}: {said}");
    }
}
