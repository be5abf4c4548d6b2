//! The probes of the rendered Redis, run against real servers in every state that matters.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;

use crate::render_support::{object, preview};
use crate::servers::redis::{RedisOptions, RedisServer};

/// Whether a probe of the rendered container passes on a server, with the pod's password.
fn passes(probe: &str, port: u16, password: &str) -> bool {
    let set = preview(Profile::Dev, &["redis.tls.enabled=false"]);
    let redis = object(&set, ObjectKind::StatefulSet, "redis");
    let container = &redis["spec"]["template"]["spec"]["containers"][0];
    let command: Vec<String> =
        serde_json::from_value(container[probe]["exec"]["command"].clone()).unwrap();
    let script = command[2].replace("-p 6379", &format!("-p {port}"));
    assert_ne!(script, command[2], "the port is in the command");
    let output = Command::new(&command[0])
        .args([&command[1], &script])
        .env("REDISCLI_AUTH", password)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        !String::from_utf8_lossy(&said).contains(password),
        "{probe}"
    );
    output.status.success()
}

/// Startup, liveness and readiness.
fn states(port: u16, password: &str) -> [bool; 3] {
    ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| passes(probe, port, password))
}

/// Answers every request with one line, as a server in that state does.
fn answering(line: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while connection.read(&mut request).is_ok_and(|read| read > 0) {
                    if connection.write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_changed_password_makes_redis_unready_and_never_starts_it_again() {
    let options = RedisOptions {
        password: Some("canary-new"),
        ..RedisOptions::default()
    };
    let Some(mut server) = RedisServer::start_with(options).await else {
        return;
    };
    let port = server.endpoint().port;
    assert_eq!(states(port, "canary-new"), [true, true, true]);
    assert_eq!(states(port, "canary-old"), [true, true, false]);
    server.stop();
    assert_eq!(states(port, "canary-new"), [false, false, false]);
}

#[test]
fn a_server_that_answers_is_alive_and_something_else_on_its_port_is_not() {
    if Command::new("redis-cli").arg("--version").output().is_err() {
        return;
    }
    let cases = [
        ("-LOADING Redis is loading the dataset in memory\r\n", true),
        ("-MISCONF Errors writing to the AOF file\r\n", true),
        ("-NOPERM this user has no permissions\r\n", true),
        ("-ERR something else\r\n", false),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", false),
    ];
    for (line, alive) in cases {
        let port = answering(line);
        assert_eq!(states(port, "canary-old"), [alive, alive, false], "{line}");
    }
}
