//! Everything in one namespace of one cluster, under Pod Security "restricted", with passwords that
//! must never be seen anywhere.

use super::lab::{Clusters, LAB_VALUES, LONG, ROWS};

const NAMESPACE: &str = "telemetry-system";
const CANARIES: [(&str, &str); 2] = [
    ("REDIS_PASSWORD", "canary-redis-5e1f0c"),
    ("DB_PASSWORD", "canary-database-77ab21"),
];

#[test]
fn d01_same_cluster_under_restricted_pod_security_shows_no_secret() {
    let Some(clusters) = Clusters::find() else {
        return;
    };
    let context = &clusters.shared;
    clusters.kubectl(context, &["create", "namespace", NAMESPACE]);
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    clusters.kubectl(context, &["label", "namespace", NAMESPACE, enforce]);

    let mut seen = String::new();
    let encrypted = "streamer.tls.enabled=true,collector.tls.enabled=true,\
                     apiGateway.tls.enabled=true";
    let deploy = [
        "deploy",
        "same-cluster",
        "--context",
        context,
        "--set",
        encrypted,
        "--yes",
        "-v",
    ];
    seen += &run(&clusters, &[&deploy[..], &LAB_VALUES].concat());
    wait_for_rows(&clusters);
    let again = run(&clusters, &[&deploy[..], &LAB_VALUES].concat());
    assert!(again.contains("No changes"), "{again}");
    seen += &again;
    let worker = "/pods/https:streamer-0:8081/proxy/api/v1/status";
    let path = format!("/api/v1/namespaces/{NAMESPACE}{worker}");
    let status = clusters.kubectl(context, &["get", "--raw", &path]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
    assert_eq!(status["address"]["scheme"], "https", "{status}");
    assert_eq!(status["registration"]["state"], "registered", "{status}");
    let central = ["--central-context", context];
    let connectivity = ["validate", "connectivity", "--edge-context", context];
    seen += &run(&clusters, &[&connectivity[..], &central].concat());
    seen += &run(&clusters, &[&["status", "-v"][..], &central].concat());
    seen += &run(
        &clusters,
        &[&["render", "same-cluster"][..], &LAB_VALUES].concat(),
    );
    seen += &run(
        &clusters,
        &[&["config", "view", "same-cluster"][..], &LAB_VALUES].concat(),
    );
    seen += &what_the_cluster_shows(&clusters);
    seen += &command_lines();
    for (name, canary) in CANARIES {
        assert!(!seen.contains(canary), "the value of {name} was seen");
    }
    // The canaries are really in use: what was looked for is what the pods log in with.
    let template = "go-template={{index .data \"password\" | base64decode}}";
    let secret = [
        "-n",
        NAMESPACE,
        "get",
        "secret",
        "redis-auth",
        "-o",
        template,
    ];
    assert_eq!(clusters.kubectl(context, &secret), CANARIES[0].1);
}

/// Objects and logs, as anybody with access to the namespace's pods can read them.
fn what_the_cluster_shows(clusters: &Clusters) -> String {
    let context = &clusters.shared;
    let kinds = "pods,deployments,statefulsets,configmaps,services,jobs,events,leases";
    let mut seen = clusters.kubectl(context, &["-n", NAMESPACE, "get", kinds, "-o", "yaml"]);
    for workload in [
        "statefulset/streamer",
        "deployment/collector",
        "deployment/api-gateway",
        "statefulset/redis",
        "statefulset/postgresql",
        "statefulset/etcd",
    ] {
        let log = [
            "-n",
            NAMESPACE,
            "logs",
            workload,
            "--all-pods",
            "--tail",
            "-1",
        ];
        seen += &clusters.kubectl(context, &log);
    }
    seen
}

fn run(clusters: &Clusters, arguments: &[&str]) -> String {
    let mut command = clusters.command(arguments);
    for (name, value) in CANARIES {
        command.env(name, value);
    }
    let output = command.output().expect("telectl starts");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

fn wait_for_rows(clusters: &Clusters) {
    let query = "select count(*) from sample";
    let exec = [
        "-n",
        NAMESPACE,
        "exec",
        "postgresql-0",
        "--",
        "psql",
        "-U",
        "telemetry",
        "-d",
        "telemetry",
        "-At",
        "-c",
        query,
    ];
    let deadline = std::time::Instant::now() + LONG;
    loop {
        let done = clusters.try_kubectl(&clusters.shared, &exec);
        if done.stdout.trim() == ROWS.to_string() {
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{} {}",
            done.stdout,
            done.stderr
        );
        std::thread::park_timeout(std::time::Duration::from_millis(200));
    }
}

/// The command lines of every process of this machine.
fn command_lines() -> String {
    std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
        .map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default())
        .collect()
}
