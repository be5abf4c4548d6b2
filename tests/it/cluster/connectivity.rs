//! `validate connectivity`: broken on purpose, one thing at a time. Each time it says what is
//! broken, from whose position and why, and what it says to do heals it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::lab::{Done, LONG, Lab};

const WORKERS: &str = "telemetry-system";
const SHARED: &str = "shared-infrastructure";

/// A finding that the validation must make: words that one failed finding shows all together.
struct Expected<'a> {
    /// The cluster from which it shows.
    from: &'a str,
    /// Part of who looked, for example `streamer`; empty for anybody.
    vantage: &'a str,
    /// The cause's word.
    cause: &'a str,
}

fn validate(lab: &Lab) -> Done {
    lab.on_both(&["validate", "connectivity", "-o", "json"])
}

fn failed(report: &Value) -> Vec<&Value> {
    report["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|finding| finding["result"] == "failed" || finding["result"] == "timed_out")
        .collect()
}

fn text<'a>(finding: &'a Value, field: &str) -> &'a str {
    finding[field].as_str().unwrap_or_default()
}

/// The failed finding that was expected; panics with all failed ones if there is none.
#[track_caller]
fn find<'a>(report: &'a Value, expected: &Expected<'_>) -> &'a Value {
    let all = failed(report);
    all.iter()
        .find(|finding| {
            text(finding, "cluster") == expected.from
                && text(finding, "vantage").contains(expected.vantage)
                && (text(finding, "cause") == expected.cause
                    || text(finding, "observed").contains(expected.cause))
        })
        .unwrap_or_else(|| {
            panic!(
                "no failed finding from {} ({}) says `{}`; there are {:#?}",
                expected.from, expected.vantage, expected.cause, all
            )
        })
}

/// Runs the commands that a finding's remedy names, as a person would paste them.
#[track_caller]
fn follow(lab: &Lab, finding: &Value) {
    let commands = finding["remedy"]["commands"]
        .as_array()
        .expect("a remedy with commands");
    assert!(!commands.is_empty(), "no commands in {finding:#}");
    for command in commands {
        let command = command.as_str().expect("a command");
        let status = lab
            .shell(command)
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        assert!(
            status.status.success(),
            "`{command}`: {}",
            String::from_utf8_lossy(&status.stderr)
        );
    }
}

/// Checks that nothing is left of the probes and that the validation passes again.
#[track_caller]
fn healed(lab: &Lab) {
    lab.eventually("the validation to pass", LONG, || {
        (validate(lab).code == 0).then_some(())
    });
    no_probe_is_left(lab);
}

/// Checks that no probe's Job or pod is there.
#[track_caller]
pub(super) fn no_probe_is_left(lab: &Lab) {
    for context in [&lab.edge, &lab.central] {
        let left = lab.kubectl(
            context,
            &[
                "get",
                "jobs,pods",
                "-A",
                "-l",
                "telectl.io/probe",
                "-o",
                "name",
            ],
        );
        assert_eq!(left, "", "probes were left on {context}");
    }
}

/// Breaks something, expects the finding, follows its remedy and expects to be healed.
#[track_caller]
fn heals_by_its_remedy(lab: &Lab, expected: &Expected<'_>) {
    let report = validate(lab).exits(4).json();
    follow(lab, find(&report, expected));
    healed(lab);
}

/// Takes a shared server away, and waits until the nodes know: a moment before, a connection would
/// still be sent to the pod that is gone, and be met by silence.
#[track_caller]
fn scale_to_zero(lab: &Lab, server: &str, port: u16) {
    let set = format!("statefulset/{server}");
    let scale = ["-n", SHARED, "scale", &set, "--replicas", "0"];
    lab.kubectl(&lab.central, &scale);
    let pod = format!("pod/{server}-0");
    let gone = ["-n", SHARED, "wait", "--for=delete", &pod, "--timeout=60s"];
    lab.kubectl(&lab.central, &gone);
    let address = lab.external(&lab.central, SHARED, server);
    let address = SocketAddr::new(address.parse().expect("an IP address"), port);
    lab.eventually("the connection to be refused", LONG, || {
        let refused = TcpStream::connect_timeout(&address, Duration::from_secs(2));
        refused
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
            .then_some(())
    });
}

#[test]
fn v08_everything_connects_and_no_probe_is_left() {
    let Some(lab) = Lab::take() else { return };
    // A lease that an earlier test cut off from etcd ends only now, and is taken anew a moment later.
    let report = lab.eventually("everything to connect", LONG, || {
        let done = validate(&lab);
        (done.code == 0).then(|| done.json())
    });
    let findings = report["findings"].as_array().expect("findings");
    assert!(findings.len() > 20, "{report:#}");
    healed(&lab);
}

#[test]
fn v08_redis_scaled_to_zero() {
    let Some(lab) = Lab::take() else { return };
    scale_to_zero(&lab, "redis", 6379);
    let expected = Expected {
        from: &lab.edge,
        vantage: "streamer",
        cause: "connection refused",
    };
    heals_by_its_remedy(&lab, &expected);
}

#[test]
fn v08_a_wrong_redis_password_in_the_edges_secret() {
    let Some(lab) = Lab::take() else { return };
    let patch = r#"{"stringData":{"password":"not-the-password"}}"#;
    lab.kubectl(
        &lab.edge,
        &["-n", WORKERS, "patch", "secret", "redis-auth", "-p", patch],
    );
    let expected = Expected {
        from: &lab.edge,
        vantage: "streamer",
        cause: "authentication failed",
    };
    heals_by_its_remedy(&lab, &expected);
}

#[test]
fn v08_another_password_on_the_redis_server() {
    let Some(lab) = Lab::take() else { return };
    let set = "redis-cli --tls --cacert /tls/ca.crt -h 127.0.0.1 \
               config set requirepass changed-on-the-server";
    let exec = ["-n", SHARED, "exec", "redis-0", "--", "sh", "-c", set];
    assert_eq!(lab.kubectl(&lab.central, &exec).trim(), "OK");
    let expected = Expected {
        from: &lab.edge,
        vantage: "streamer",
        cause: "authentication failed",
    };
    heals_by_its_remedy(&lab, &expected);
}

#[test]
fn v09_a_wrong_database_password() {
    let Some(lab) = Lab::take() else { return };
    // Another one each time: the Secret keeps it.
    let password = format!("not-the-password-{}", std::process::id());
    let patch = serde_json::json!({"stringData": {"password": password}}).to_string();
    let credentials = ["patch", "secret", "database-credentials", "-p", &patch];
    lab.kubectl(&lab.central, &[&["-n", WORKERS][..], &credentials].concat());
    let expected = Expected {
        from: &lab.central,
        vantage: "collector",
        cause: "authentication failed",
    };
    // The database takes what its Secret says, once it is started again.
    heals_by_its_remedy(&lab, &expected);
    // The digest of the Secret in the pods' templates is telectl's to write.
    let _noted = lab.lab(&["deploy-all", "--yes"]).exits(0);
}

#[test]
fn v08_a_ca_that_did_not_sign() {
    let Some(lab) = Lab::take() else { return };
    let other = rcgen::generate_simple_self_signed(vec!["elsewhere".to_owned()])
        .expect("a certificate can be made")
        .cert
        .pem();
    let patch = serde_json::json!({"stringData": {"ca.crt": other}}).to_string();
    lab.kubectl(
        &lab.edge,
        &[
            "-n",
            WORKERS,
            "patch",
            "secret",
            "redis-ca-cert",
            "-p",
            &patch,
        ],
    );
    let expected = Expected {
        from: &lab.edge,
        vantage: "streamer",
        cause: "certificate not trusted",
    };
    heals_by_its_remedy(&lab, &expected);
}

#[test]
fn v08_egress_from_edge_to_central_dropped() {
    let Some(lab) = Lab::take() else { return };
    lab.fixture(&["partition", &lab.edge, &lab.central]);
    let report = validate(&lab);
    lab.fixture(&["heal", &lab.edge, &lab.central]);
    let report = report.exits(4).json();
    find(
        &report,
        &Expected {
            from: &lab.edge,
            vantage: "streamer",
            cause: "timed out",
        },
    );
    healed(&lab);
}

#[test]
fn v12_cluster_dns_stopped() {
    let Some(lab) = Lab::take() else { return };
    lab.fixture(&["dns", "stop", &lab.central]);
    let report = validate(&lab);
    lab.fixture(&["dns", "start", &lab.central]);
    let report = report.exits(4).json();
    find(
        &report,
        &Expected {
            from: &lab.central,
            vantage: "collector",
            cause: "DNS unreachable",
        },
    );
    healed(&lab);
}

#[test]
fn v12_a_host_name_that_does_not_exist() {
    let Some(lab) = Lab::take() else { return };
    let set = "REDIS_URL=rediss://no-such-host.example:6379/0";
    lab.kubectl(
        &lab.edge,
        &["-n", WORKERS, "set", "env", "statefulset/streamer", set],
    );
    let expected = Expected {
        from: &lab.edge,
        vantage: "streamer",
        cause: "name not found",
    };
    heals_by_its_remedy(&lab, &expected);
    let _taken = lab.lab(&["deploy-all", "--yes", "--take"]).exits(0);
}

#[test]
fn v13_etcd_down() {
    let Some(lab) = Lab::take() else { return };
    scale_to_zero(&lab, "etcd", 2379);
    let expected = Expected {
        from: &lab.edge,
        vantage: "streamer",
        cause: "connection refused",
    };
    heals_by_its_remedy(&lab, &expected);
}

#[test]
fn v02_a_gateway_service_without_endpoints() {
    let Some(lab) = Lab::take() else { return };
    let patch = r#"{"spec":{"selector":{"app.kubernetes.io/component":"nobody"}}}"#;
    lab.kubectl(
        &lab.central,
        &[
            "-n",
            WORKERS,
            "patch",
            "service",
            "api-gateway",
            "--type",
            "merge",
            "-p",
            patch,
        ],
    );
    let report = validate(&lab).exits(4).json();
    find(
        &report,
        &Expected {
            from: &lab.central,
            vantage: "",
            cause: "no endpoints",
        },
    );
    let _taken = lab.lab(&["deploy-all", "--yes", "--take"]).exits(0);
    healed(&lab);
}
