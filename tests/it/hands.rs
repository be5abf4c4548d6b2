//! What everybody's hands meet: variables for flags, versions, manual pages, colours, and secrets
//! that nobody shows.

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Program, run};

/// Contexts of clusters that nobody runs, with a token that nobody may see.
const KUBECONFIG: &str = r#"
clusters:
- name: gone
  cluster: {server: "https://127.0.0.1:1"}
users:
- name: somebody
  user: {token: canary-token}
contexts:
- name: kind-edge
  context: {cluster: gone, user: somebody}
- name: kind-central
  context: {cluster: gone, user: somebody}
- name: arn:aws:eks:eu-1:123:cluster/far
  context: {cluster: gone, user: somebody}
"#;

pub(crate) fn kubeconfig(folder: &TempDir) -> String {
    let path = folder.path().join("config");
    std::fs::write(&path, KUBECONFIG).expect("the file can be written");
    path.display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is text")
}

#[tokio::test]
async fn every_flag_can_be_given_by_a_variable_and_a_wrong_name_is_told() {
    let by_variable = run(
        &["version"],
        &[("TELECTL_OUTPUT", "json"), ("TELECTL_OUPTUT", "yaml")],
    )
    .await;
    assert_eq!(by_variable.status.code(), Some(0));
    let answer: Value = serde_json::from_slice(&by_variable.stdout).expect("it is JSON");
    assert_eq!(answer["telectl"]["version"], env!("CARGO_PKG_VERSION"));
    let said = text(&by_variable.stderr);
    assert!(
        said.contains("`TELECTL_OUPTUT` is none of telectl's; the nearest is `TELECTL_OUTPUT`"),
        "{said}"
    );
    let typed = run(&["version", "-o", "text"], &[("TELECTL_OUTPUT", "json")]).await;
    assert!(text(&typed.stdout).starts_with("telectl "));
    let wrong = run(&["version"], &[("TELECTL_OUTPUT", "purple")]).await;
    assert_eq!(wrong.status.code(), Some(2));
    let said = text(&wrong.stderr);
    assert!(
        said.contains("TELECTL_OUTPUT") && said.contains("json"),
        "{said}"
    );
}

#[tokio::test]
async fn d09_a_literal_password_is_refused_with_what_replaces_it() {
    for flag in ["-p", "-d"] {
        let arguments = [
            "-e",
            "kind-edge",
            "-c",
            "kind-central",
            flag,
            "canary-literal",
            "deploy-all",
        ];
        let folder = TempDir::new().expect("a folder");
        let output = run(&arguments, &[("KUBECONFIG", &kubeconfig(&folder))]).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("env:"), "{said}");
        assert!(!said.contains("canary-literal"), "{said}");
    }
}

#[tokio::test]
async fn version_works_without_any_cluster_and_an_unreachable_one_is_a_row() {
    let alone = run(&["version"], &[]).await;
    assert_eq!(alone.status.code(), Some(0));
    assert_eq!(text(&alone.stdout).lines().count(), 1);
    let folder = TempDir::new().expect("a folder");
    let file = kubeconfig(&folder);
    let arguments = [
        "version",
        "-e",
        "kind-edge",
        "-o",
        "json",
        "--timeout",
        "9s",
    ];
    let asked = run(&arguments, &[("KUBECONFIG", &file)]).await;
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked.stderr));
    let answer: Value = serde_json::from_slice(&asked.stdout).expect("it is JSON");
    let cluster = &answer["clusters"][0];
    assert_eq!(cluster["context"], "kind-edge");
    assert!(cluster["kubernetes"].is_null() && cluster["unreachable"].is_string());
}

#[tokio::test]
async fn manual_pages_are_written_one_per_command() {
    let folder = TempDir::new().expect("a folder");
    let pages = folder.path().join("man1");
    let shown = pages.display().to_string();
    let output = run(&["man", "--output-dir", &shown], &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for name in ["telectl.1", "telectl-status.1", "telectl-config-explain.1"] {
        let page = std::fs::read_to_string(pages.join(name)).expect("the page is there");
        assert!(page.contains(".SH EXAMPLES"), "{page}");
    }
    let one = run(&["man", "deploy-all"], &[]).await;
    assert!(text(&one.stdout).contains("TELECTL_YES"));
    let none = run(&["man", "deploi"], &[]).await;
    assert_eq!(none.status.code(), Some(2));
}

#[tokio::test]
async fn colours_are_asked_for_or_left_out() {
    let is_coloured = async |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = run(arguments, variables).await;
        text(&output.stderr).contains('\u{1b}')
    };
    let wrong = ["status", "-e", "a", "--timeout", "never"];
    assert!(!is_coloured(&wrong, &[]).await, "no terminal");
    let always = [&wrong[..], &["--color", "always"]].concat();
    assert!(is_coloured(&always, &[]).await);
    assert!(is_coloured(&wrong, &[("TELECTL_COLOR", "always")]).await);
    let unknown = ["--color=always", "statsu"];
    assert!(
        is_coloured(&unknown, &[]).await,
        "before the flags are known, too"
    );
    assert!(!is_coloured(&["--color=never", "statsu"], &[]).await);
}

/// Every command that there is, with everything secret that it could show.
#[tokio::test]
async fn d11_no_command_shows_a_secret_however_much_it_says() {
    let folder = TempDir::new().expect("a folder");
    let file = kubeconfig(&folder);
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, "canary-file\n").expect("it can be written");
    let reference = format!("file:{}", secret_file.display());
    let clusters = ["-e", "kind-edge", "-c", "kind-central"];
    let passwords = ["-p", &reference, "-d", "env:MY_DATABASE"];
    let with = |command: &[&'static str], more: &[&[&str]]| {
        let mut words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        words.extend(more.concat().into_iter().map(str::to_owned));
        words
    };
    let lines = [
        with(&["render", "dev"], &[]),
        with(&["render", "edge", "--placeholders"], &[]),
        with(&["plan"], &[&clusters, &passwords]),
        with(
            &["deploy", "central", "--context", "kind-central", "--yes"],
            &[&passwords],
        ),
        with(&["deploy-all", "--yes"], &[&clusters, &passwords]),
        with(&["status", "--timeout", "5s"], &[&clusters]),
        with(&["validate", "--timeout", "5s"], &[&clusters]),
        with(&["version", "--timeout", "5s"], &[&clusters]),
        with(&["config", "view", "central"], &[]),
        with(&["config", "explain", "redis.auth", "central"], &[]),
        with(&["config", "explain", "postgresql", "central"], &[]),
        with(&["completions", "bash"], &[]),
        with(&["__complete", "--", "telectl", "status", "-e", ""], &[]),
        with(&["man", "deploy-all"], &[]),
        with(&["worker", "streamer"], &[]),
        with(&["worker", "collector"], &[]),
        with(&["worker", "api-gateway"], &[]),
        with(&["worker", "probe", "--component", "collector"], &[]),
    ];
    let variables = [
        ("KUBECONFIG", file.as_str()),
        ("REDIS_PASSWORD", "canary-redis"),
        ("DB_PASSWORD", "canary-database"),
        ("MY_DATABASE", "canary-mine"),
        ("REDIS_URL", "rediss://user:canary-url@127.0.0.1:1/70000"),
        ("GATEWAY_TOKEN", "canary-gateway"),
        ("TELECTL_VERBOSE", "true"),
    ];
    for line in lines {
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        let output = run(&words, &variables).await;
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains("canary"), "{words:?}: {all}");
        assert!(!all.contains("panicked"), "{words:?}: {all}");
    }
}

#[tokio::test]
async fn s10_watching_without_a_terminal_tells_changes_and_ends_with_130() {
    let folder = TempDir::new().expect("a folder");
    let file = kubeconfig(&folder);
    let arguments = [
        "status",
        "-e",
        "kind-edge",
        "-w",
        "--interval",
        "100ms",
        "--timeout",
        "20s",
    ];
    let mut watching = Program::start(&arguments, &[("KUBECONFIG", &file)]);
    let verdict = watching.line(|line| line.contains("verdict:")).await;
    assert!(verdict.contains("unreachable"), "{verdict}");
    let why = watching.line(|line| line.contains("API server")).await;
    assert!(
        why.contains("kind-edge: API server: connection refused"),
        "{why}"
    );
    watching.signal("INT");
    let (ended, said) = watching.end().await;
    assert_eq!(ended.code(), Some(130), "{said}");
}
