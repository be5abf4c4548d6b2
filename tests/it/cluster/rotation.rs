//! Passwords, certificates and the private authority made anew over all clusters, while data flows.

use super::faults::strike;
use super::lab::Lab;

const WORKERS: &str = "telemetry-system";
const SHARED: &str = "shared-infrastructure";

/// What is rotated, as it is in the clusters now.
#[derive(Debug, PartialEq)]
struct Held {
    redis_password: String,
    database_password: String,
    redis_certificate: String,
    database_certificate: String,
    client_certificate: String,
    authority: String,
}

/// Reads what is rotated; the edge has to have the same of what it shares with the centre.
fn held(lab: &Lab) -> Held {
    let central = |namespace, name, key| lab.secret(&lab.central, namespace, name, key);
    let edge = |name, key| lab.secret(&lab.edge, WORKERS, name, key);
    let held = Held {
        redis_password: central(SHARED, "redis-auth", "password"),
        database_password: central(WORKERS, "database-credentials", "password"),
        redis_certificate: central(SHARED, "redis-tls", "tls.crt"),
        database_certificate: central(WORKERS, "postgresql-tls", "tls.crt"),
        client_certificate: edge("etcd-client-tls", "tls.crt"),
        authority: central(SHARED, "telectl-ca", "tls.crt"),
    };
    assert_eq!(edge("redis-auth", "password"), held.redis_password);
    assert_eq!(edge("redis-ca-cert", "ca.crt"), held.authority);
    held
}

fn connects(lab: &Lab) {
    let _connects = lab.on_both(&["validate", "connectivity"]).exits(0);
    let _settled = lab.lab(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn n10_passwords_and_certificates_are_rotated_while_data_flows_and_no_row_is_lost() {
    let Some(lab) = Lab::take() else { return };
    let before = held(&lab);
    strike(&lab, "rotated", || {
        let rotate = "redis-password,database-password,certificates";
        let plan = lab
            .lab(&["plan", "--rotate", rotate, "--exit-code"])
            .exits(3);
        let _plan = plan
            .says("~ Secret/database-credentials")
            .says("restarts StatefulSet/postgresql")
            .says("it is rotated");
        assert_eq!(held(&lab), before, "a plan rotates nothing");
        let done = lab
            .lab(&["deploy-all", "--yes", "--rotate", rotate])
            .exits(0);
        for secret in [&before.redis_password, &before.database_password] {
            let said = [&done.stdout, &done.stderr];
            assert!(said.iter().all(|said| !said.contains(secret.as_str())));
        }
    });
    let after = held(&lab);
    assert_ne!(after.redis_password, before.redis_password);
    assert_ne!(after.database_password, before.database_password);
    assert_ne!(after.redis_certificate, before.redis_certificate);
    assert_ne!(after.database_certificate, before.database_certificate);
    assert_ne!(after.client_certificate, before.client_certificate);
    assert_eq!(after.authority, before.authority);
    connects(&lab);
}

#[test]
fn n10_another_authority_signs_everything_anew() {
    let Some(lab) = Lab::take() else { return };
    let before = held(&lab);
    let alone = ["deploy", "edge", "--context", &lab.edge, "--yes"];
    let central = ["--central-context", &lab.central, "--rotate", "authority"];
    let values = super::lab::LAB_VALUES;
    let _refused = lab
        .telectl(&[&alone[..], &central, &values].concat())
        .exits(2)
        .says("--rotate authority: nothing that this command deploys makes it");
    assert_eq!(held(&lab), before);
    let rotate = ["deploy-all", "--yes", "--rotate", "authority"];
    let _rotated = lab
        .lab(&rotate)
        .exits(0)
        .says("every edge that is not part of this command trusts the old one");
    let after = held(&lab);
    assert_ne!(after.authority, before.authority);
    assert_ne!(after.redis_certificate, before.redis_certificate);
    assert_ne!(after.client_certificate, before.client_certificate);
    assert_eq!(after.redis_password, before.redis_password);
    connects(&lab);
}

#[test]
fn n10_a_given_password_reaches_a_database_that_has_its_volume_already() {
    let Some(lab) = Lab::take() else { return };
    // With everything that a shell, SQL or a URL would trip over.
    let password = "it's \"new\" \\ $HOME `id` %41 ü";
    let mut arguments = vec!["deploy-all", "--yes", "--db-password", "env:NEW_PASSWORD"];
    arguments.extend(super::lab::LAB_VALUES);
    arguments.extend(["-e", &lab.edge, "-c", &lab.central]);
    let mut command = lab.command(&arguments);
    let done = command.env("NEW_PASSWORD", password).output();
    let _given = super::lab::done(done.expect("telectl can be started")).exits(0);
    assert_eq!(held(&lab).database_password, password);
    connects(&lab);
    // Lost for good: another one is made, and the database follows.
    let delete = ["-n", WORKERS, "delete", "secret/database-credentials"];
    lab.kubectl(&lab.central, &delete);
    let _made = lab.lab(&["deploy-all", "--yes"]).exits(0);
    assert_ne!(held(&lab).database_password, password);
    connects(&lab);
}
