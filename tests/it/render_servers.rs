//! Settings of the values that have to arrive in the objects: the servers between the workers.

use serde_json::Value;
use telectl::model::manifest::SecretContent;
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;

use crate::render_support::{environment, from_file, object, pod_of as pod, preview, refused};

/// The Secret that a variable comes from, and its key.
fn reference(pod: &Value, variable: &str) -> (String, String) {
    let variables = environment(pod);
    let found = &variables
        .get(variable)
        .unwrap_or_else(|| panic!("no {variable}"))["valueFrom"]["secretKeyRef"];
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("name"), text("key"))
}

fn pair(one: &str, other: &str) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[test]
fn r16_every_key_of_an_external_database_reaches_the_workers() {
    let text = "
postgresql: {enabled: false}
externalDatabase:
  host: db.example.com
  port: 6432
  username: worker
  database: gpus
  sslMode: verify-full
  existingSecret: db-login
  existingSecretPasswordKey: pw
  caSecret: db-ca
";
    let set = from_file(Profile::Central, text);
    for name in ["collector", "api-gateway"] {
        let pod = pod(&set, name);
        let variables = environment(pod);
        let value = |name: &str| variables[name]["value"].as_str().unwrap_or_default();
        assert_eq!(value("DB_HOST"), "db.example.com");
        assert_eq!(value("DB_PORT"), "6432");
        assert_eq!(value("DB_USER"), "worker");
        assert_eq!(value("DB_NAME"), "gpus");
        assert_eq!(value("DB_SSL_MODE"), "verify-full");
        assert_eq!(reference(pod, "DB_PASSWORD"), pair("db-login", "pw"));
        assert_eq!(reference(pod, "DB_CA_CERT"), pair("db-ca", "ca.crt"));
    }
    let needed = |name: &str| set.secrets.iter().any(|need| need.name == name);
    assert!(needed("db-login") && needed("db-ca"));
    let policy = object(&set, ObjectKind::NetworkPolicy, "collector").to_string();
    assert!(
        policy.contains("6432") && !policy.contains("5432"),
        "{policy}"
    );
}

#[test]
fn r16_a_certificate_cannot_be_verified_without_its_authority() {
    let sets = [
        "postgresql.enabled=false",
        "externalDatabase.sslMode=verify-full",
    ];
    let text = refused(Profile::Central, &sets);
    assert!(text.contains("needs externalDatabase.caSecret"), "{text}");
    let unknown = refused(Profile::Central, &["externalDatabase.sslMode=on"]);
    assert!(unknown.contains("must be one of disable"), "{unknown}");
}

#[test]
fn r17_every_key_of_an_external_redis_reaches_the_workers() {
    let text = "
externalRedis:
  host: redis.example.com
  port: 6380
  username: worker
  database: 3
  tls: {enabled: true, caSecret: their-ca, clientSecret: our-client}
  auth: {enabled: true, existingSecret: redis-login, existingSecretPasswordKey: pw}
";
    for (profile, name) in [(Profile::Edge, "streamer"), (Profile::Central, "collector")] {
        let set = from_file(profile, text);
        let pod = pod(&set, name);
        let variables = environment(pod);
        let value = |name: &str| variables[name]["value"].as_str().unwrap_or_default();
        assert_eq!(value("REDIS_URL"), "rediss://redis.example.com:6380/3");
        assert_eq!(value("REDIS_USERNAME"), "worker");
        assert_eq!(reference(pod, "REDIS_PASSWORD"), pair("redis-login", "pw"));
        assert_eq!(reference(pod, "REDIS_CA_CERT"), pair("their-ca", "ca.crt"));
        assert_eq!(
            reference(pod, "REDIS_CLIENT_CERT"),
            pair("our-client", "tls.crt")
        );
        assert_eq!(
            reference(pod, "REDIS_CLIENT_KEY"),
            pair("our-client", "tls.key")
        );
        let need = set.secrets.iter().find(|need| need.name == "our-client");
        let contents = need.map(|need| need.keys.iter().map(|key| key.content).collect());
        assert_eq!(contents, Some(vec![SecretContent::Given; 2]), "{profile}");
        assert!(!set.manifests.iter().any(|one| one.object.name == "redis"));
    }
    let pem = "-----BEGIN CERTIFICATE-----";
    let set = preview(Profile::Edge, &[&format!("externalRedis.tls.caCert={pem}")]);
    let variables = environment(pod(&set, "streamer"));
    assert_eq!(variables["REDIS_CA_CERT"]["value"], pem);
}

#[test]
fn r17_sentinels_stand_for_the_host() {
    let text = "
externalRedis:
  port: 6380
  username: worker
  database: 3
  tls: {enabled: true, caSecret: their-ca}
  auth: {enabled: true, existingSecret: redis-login, existingSecretPasswordKey: pw}
  sentinel:
    enabled: true
    masterName: queue
    nodes: [s0.example.com, 's1.example.com:26380']
    username: watcher
    auth: {enabled: true, existingSecret: sentinel-login, existingSecretPasswordKey: word}
";
    let set = from_file(Profile::Edge, text);
    let streamer = pod(&set, "streamer");
    let variables = environment(streamer);
    let value = |name: &str| variables[name]["value"].as_str().unwrap_or_default();
    assert_eq!(
        value("REDIS_SENTINELS"),
        "s0.example.com:26379,s1.example.com:26380"
    );
    assert_eq!(value("REDIS_MASTER_NAME"), "queue");
    assert_eq!(value("REDIS_DATABASE"), "3");
    assert_eq!(value("REDIS_TLS_ENABLED"), "true");
    assert_eq!(value("REDIS_SENTINEL_USERNAME"), "watcher");
    assert_eq!(
        reference(streamer, "REDIS_SENTINEL_PASSWORD"),
        pair("sentinel-login", "word")
    );
    assert_eq!(
        reference(streamer, "REDIS_PASSWORD"),
        pair("redis-login", "pw")
    );
    assert!(!variables.contains_key("REDIS_URL"));
    assert!(set.secrets.iter().any(|need| need.name == "sentinel-login"));
    let policy = object(&set, ObjectKind::NetworkPolicy, "streamer").to_string();
    for port in ["26379", "26380", "6380"] {
        assert!(policy.contains(port), "{port}: {policy}");
    }
}

#[test]
fn r17_nodes_of_a_cluster_stand_for_the_host() {
    let sets = [
        "externalRedis.cluster.enabled=true",
        "externalRedis.cluster.nodes={n0.example.com:7000,n1.example.com}",
    ];
    let set = preview(Profile::Edge, &sets);
    let variables = environment(pod(&set, "streamer"));
    assert_eq!(
        variables["REDIS_CLUSTER_NODES"]["value"],
        "n0.example.com:7000,n1.example.com:6379"
    );
    assert!(!variables.contains_key("REDIS_URL"));
    let policy = object(&set, ObjectKind::NetworkPolicy, "streamer").to_string();
    assert!(
        policy.contains("7000") && policy.contains("6379"),
        "{policy}"
    );
    for (more, says) in [
        (
            "externalRedis.database=3",
            "`externalRedis.database` must be 0",
        ),
        ("externalRedis.sentinel.enabled=true", "choose one"),
        ("externalRedis.cluster.nodes={a:b}", "has `a:b`"),
        ("externalRedis.cluster.nodes=[]", "must name at least one"),
        ("externalRedis.serviceName=redis", "which nobody uses"),
    ] {
        let text = refused(Profile::Edge, &[sets[0], sets[1], more]);
        assert!(text.contains(says), "{more}: {text}");
    }
}

#[test]
fn r17_an_unverified_certificate_is_refused_with_the_reason() {
    let text = refused(Profile::Edge, &["externalRedis.tls.skipVerify=true"]);
    assert!(
        text.contains("`externalRedis.tls.skipVerify` must be false"),
        "{text}"
    );
    assert!(
        text.contains("externalRedis.tls.caCert or caSecret"),
        "{text}"
    );
    // What the original's files say everywhere is fine.
    let set = preview(Profile::Edge, &["externalRedis.tls.skipVerify=false"]);
    assert_eq!(set.profile, Profile::Edge);
}

#[test]
fn r18_one_namespace_has_its_own_redis_and_its_workers_use_it() {
    let set = preview(Profile::SameCluster, &[]);
    let redis = pod(&set, "redis");
    assert_eq!(redis["containers"][0]["image"], "redis:7");
    let service = object(&set, ObjectKind::Service, "redis");
    assert_eq!(service["spec"]["ports"][0]["port"], 6379);
    for name in ["streamer", "collector"] {
        let pod = pod(&set, name);
        let variables = environment(pod);
        let url = "rediss://redis.telemetry-system.svc:6379/0";
        assert_eq!(variables["REDIS_URL"]["value"], url);
        assert_eq!(
            reference(pod, "REDIS_PASSWORD"),
            reference(redis, "REDISCLI_AUTH")
        );
    }
    let made = |content| {
        let mut keys = set.secrets.iter().flat_map(|need| &need.keys);
        keys.any(|key| key.content == content)
    };
    assert!(made(SecretContent::RedisPassword) && made(SecretContent::RedisServerKey));
}

#[test]
fn r19_the_database_is_tuned_as_the_documents_say() {
    let tuning = |profile, sets: &[&str]| {
        let set = preview(profile, sets);
        let config = object(&set, ObjectKind::ConfigMap, "postgresql-config");
        config["data"]["postgresql.conf"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let documents = [
        (Profile::Dev, ["100", "256MB", "1GB", "4MB"]),
        (Profile::SameCluster, ["200", "512MB", "2GB", "8MB"]),
        (Profile::Central, ["200", "1GB", "3GB", "8MB"]),
    ];
    let names = [
        "max_connections",
        "shared_buffers",
        "effective_cache_size",
        "work_mem",
    ];
    for (profile, wanted) in documents {
        let text = tuning(profile, &[]);
        for (name, value) in names.iter().zip(wanted) {
            assert!(
                text.contains(&format!("\n{name} = {value}\n")),
                "{profile}: {text}"
            );
        }
    }
    // Another configuration starts the server anew.
    let checksum = |sets: &[&str]| {
        let set = preview(Profile::Dev, sets);
        let template = &object(&set, ObjectKind::StatefulSet, "postgresql")["spec"]["template"];
        template["metadata"]["annotations"]["telectl.io/config-checksum"].clone()
    };
    let other = "postgresql.primary.extendedConfiguration=work_mem = 16MB";
    assert!(tuning(Profile::Dev, &[other]).ends_with("work_mem = 16MB"));
    assert_ne!(checksum(&[]), checksum(&[other]));
}

#[test]
fn r19_tuning_that_the_server_would_die_of_is_refused() {
    let with = |line: &str| {
        let set = format!("postgresql.primary.extendedConfiguration={line}");
        refused(Profile::Dev, &[&set])
    };
    let buffers = with("shared_buffers = 2GB");
    assert!(
        buffers.contains("asks for shared_buffers = 2GB, but the server gets 1Gi at most"),
        "{buffers}"
    );
    let port = with("port = 1");
    assert!(
        port.contains("sets `port`, which telectl sets itself"),
        "{port}"
    );
}

#[test]
fn r43_the_shared_etcd_has_tls_client_certificates_and_a_volume() {
    let set = preview(Profile::Shared, &[]);
    let etcd = object(&set, ObjectKind::StatefulSet, "etcd");
    let command = etcd["spec"]["template"]["spec"]["containers"][0]["command"].to_string();
    for flag in [
        "--cert-file=",
        "--key-file=",
        "--trusted-ca-file=",
        "--client-cert-auth=true",
    ] {
        assert!(command.contains(flag), "{command}");
    }
    let claim = &etcd["spec"]["volumeClaimTemplates"][0]["spec"];
    assert_eq!(claim["resources"]["requests"]["storage"], "8Gi");
    let workers = preview(Profile::Edge, &[]);
    let pod = pod(&workers, "streamer");
    assert_eq!(
        reference(pod, "ETCD_CLIENT_KEY"),
        pair("etcd-client-tls", "tls.key")
    );
    assert!(!environment(pod).contains_key("ETCD_PASSWORD"));
}

#[test]
fn r43_endpoints_elsewhere_take_user_password_and_their_own_authority() {
    let text = "
etcd:
  endpoints: [\"https://a.example.com:2379\", \"https://b.example.com:2379\"]
  auth: {enabled: true, username: worker, existingSecret: etcd-login, existingSecretPasswordKey: pw}
  tls: {caSecret: their-ca}
";
    let set = from_file(Profile::Edge, text);
    let pod = pod(&set, "streamer");
    let variables = environment(pod);
    assert_eq!(
        variables["ETCD_ENDPOINTS"]["value"],
        "https://a.example.com:2379,https://b.example.com:2379"
    );
    assert_eq!(variables["ETCD_USERNAME"]["value"], "worker");
    assert_eq!(reference(pod, "ETCD_PASSWORD"), pair("etcd-login", "pw"));
    assert_eq!(reference(pod, "ETCD_CA_CERT"), pair("their-ca", "ca.crt"));
    assert!(!variables.contains_key("ETCD_CLIENT_CERT"));
    let contents: Vec<_> = set
        .secrets
        .iter()
        .filter(|need| need.name == "etcd-login")
        .flat_map(|need| need.keys.iter().map(|key| key.content))
        .collect();
    assert_eq!(contents, [SecretContent::Given]);
    assert!(
        !set.secrets
            .iter()
            .any(|need| need.name == "etcd-client-tls")
    );
}
