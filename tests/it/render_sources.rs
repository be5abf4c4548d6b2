//! Where the streamer's file comes from.

use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;
use telectl::render;

use crate::render_support::{environment, object, preview, refused};

#[test]
fn r31_a_csv_source_is_mounted_where_the_streamer_reads_it() {
    let set = preview(Profile::Dev, &["streamer.config.csvSource.type=configmap"]);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][1]["configMap"]["name"], "telemetry-csv-data");
    assert_eq!(
        pod["containers"][0]["volumeMounts"][2]["mountPath"],
        "/data/csv"
    );
    assert_eq!(
        environment(pod)["CSV_FILE"]["value"],
        "/data/csv/telemetry.csv"
    );
}

/// As `--set-file` gives it, braces and all.
fn with_data(kind: &str, data: &str) -> Result<telectl::config::Resolved, String> {
    let layers = telectl::config::Layers {
        sets: vec![format!("streamer.config.csvSource.type={kind}")],
        texts: vec![("streamer.config.csvSource.data".to_owned(), data.to_owned())],
        ..telectl::config::Layers::default()
    };
    telectl::config::resolve(Profile::Dev, &layers).map_err(|error| error.to_string())
}

#[test]
fn r31_a_file_that_fits_becomes_a_configmap_and_a_longer_one_is_refused() {
    let rendered = |data: &str| {
        let resolved = with_data("configmap", data).unwrap_or_else(|error| panic!("{error}"));
        render::render(&resolved).unwrap_or_else(|error| panic!("{error}"))
    };
    let set = rendered("a,${NOT_A_VARIABLE}\n");
    let map = object(&set, ObjectKind::ConfigMap, "telemetry-csv-data");
    assert_eq!(map["data"]["telemetry.csv"], "a,${NOT_A_VARIABLE}\n");
    // Other content starts the streamers again.
    let restarts = |set: &telectl::model::manifest::RenderedSet| {
        let streamer = object(set, ObjectKind::StatefulSet, "streamer");
        streamer["spec"]["template"]["metadata"]["annotations"].clone()
    };
    assert_ne!(restarts(&set), restarts(&rendered("b\n")));
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/dcgm_metrics_20250718_134233.csv"
    );
    let sample = std::fs::read_to_string(sample).expect("the sample can be read");
    let error = with_data("configmap", &sample).expect_err("it does not fit");
    assert!(
        error.contains("has 1107468 bytes, and a ConfigMap holds 1048576 at most"),
        "{error}"
    );
    let unused = with_data("embedded", "a\n").unwrap_or_else(|error| panic!("{error}"));
    let told: Vec<String> = unused.warnings.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("csvSource.data has no effect"), "{told:?}");
}

#[test]
fn w21_made_up_telemetry_needs_no_file_and_nonsense_is_refused() {
    let kind = "streamer.config.csvSource.type=generated";
    let what = |what: &str| format!("streamer.config.csvSource.generate=hosts=3\\,rows={what}");
    let set = preview(Profile::Dev, &[kind, &what("50")]);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    assert_eq!(environment(pod)["GENERATE"]["value"], "hosts=3,rows=50");
    assert!(!environment(pod).contains_key("CSV_FILE"));
    let error = refused(Profile::Dev, &[kind, &what("many")]);
    assert!(error.contains("csvSource.generate"), "{error}");
    assert!(error.contains("hosts=2,gpus=8"), "{error}");
}

#[test]
fn exporters_are_named_without_secrets_and_their_ports_are_open() {
    let kind = "streamer.config.csvSource.type=scrape";
    let target = "streamer.config.csvSource.targets[0]=dns+http://dcgm-exporter.gpu:9400/metrics";
    let secret = "streamer.config.csvSource.loginSecret=exporter-login";
    let set = preview(Profile::Dev, &[kind, target, secret]);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    let variables = environment(pod);
    assert_eq!(
        variables["SCRAPE_TARGETS"]["value"],
        "dns+http://dcgm-exporter.gpu:9400/metrics"
    );
    assert_eq!(variables["SCRAPE_INTERVAL"]["value"], "15s");
    let reference = &variables["SCRAPE_TOKEN"]["valueFrom"]["secretKeyRef"];
    assert_eq!(reference["name"], "exporter-login");
    assert!(!variables.contains_key("CSV_FILE"));
    let on = "networkPolicy.enabled=true";
    let set = preview(Profile::Dev, &[kind, target, on]);
    let policy = object(&set, ObjectKind::NetworkPolicy, "streamer");
    assert!(
        policy["spec"]["egress"].to_string().contains("9400"),
        "{policy}"
    );
    for (wrong, part) in [
        ("targets[0]=http://user:canary@a/", "without a login"),
        ("interval=1ms", "from 100ms on"),
        ("timeout=1m", "up to streamer.config.csvSource.interval"),
    ] {
        let wrong = format!("streamer.config.csvSource.{wrong}");
        let error = refused(Profile::Dev, &[kind, target, &wrong]);
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
    let error = refused(Profile::Dev, &[kind]);
    assert!(error.contains("must name what is scraped"), "{error}");
}

#[test]
fn files_of_a_claim_are_followed_and_nothing_else_is() {
    let follow = "streamer.config.csvSource.follow=true";
    let claim = "streamer.config.csvSource.type=pvc";
    let set = preview(Profile::Dev, &[follow, claim]);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    let variables = environment(pod);
    let told = ["FOLLOW", "FOLLOW_LINGER", "FOLLOW_GRACE"].map(|name| &variables[name]["value"]);
    assert_eq!(told, ["true", "500ms", "10s"]);
    let set = preview(Profile::Dev, &[claim]);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    assert!(!environment(pod).contains_key("FOLLOW"));
    for (wrong, part) in [
        ("csvSource.type=embedded", "csvSource.type pvc"),
        ("loopMode=true", "excludes streamer.config.loopMode"),
        ("csvSource.followLinger=1ms", "from 10ms on"),
        ("csvSource.followGrace=soon", "for example 10s"),
    ] {
        let wrong = format!("streamer.config.{wrong}");
        let error = refused(Profile::Dev, &[follow, claim, &wrong]);
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn w16_uploads_have_limits_that_fit_onto_the_volume_and_a_token_by_reference() {
    let on = "streamer.config.upload.enabled=true";
    let secret = "streamer.config.upload.existingSecret=upload-auth";
    let set = preview(Profile::Dev, &[on, secret]);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    let variables = environment(pod);
    assert_eq!(variables["UPLOAD_LIMIT"]["value"], "67108864");
    assert_eq!(variables["UPLOAD_TOTAL"]["value"], "134217728");
    let reference = &variables["UPLOAD_TOKEN"]["valueFrom"]["secretKeyRef"];
    assert_eq!(reference["name"], "upload-auth");
    let set = preview(Profile::Dev, &[on]);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    assert!(!environment(pod).contains_key("UPLOAD_TOKEN"));
    let set = preview(Profile::Dev, &[secret]);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    assert!(!environment(pod).contains_key("UPLOAD_LIMIT"));
    for (wrong, part) in [
        ("keep=1Gi", "does not fit onto the volume of 1Gi"),
        ("keep=1Mi", "at least streamer.config.upload.maxSize"),
        ("maxSize=much", "`much` is no Kubernetes quantity"),
    ] {
        let wrong = format!("streamer.config.upload.{wrong}");
        let error = refused(Profile::Dev, &[on, &wrong]);
        assert!(error.contains(part), "{error}");
    }
}

const DIGEST: &str = "streamer.config.csvSource.sha256=\
                      ABCDEF00000000000000000000000000000000000000000000000000000000FF";

#[test]
fn r31_a_url_is_downloaded_by_a_container_that_runs_first() {
    let sets = [
        "streamer.config.csvSource.type=url",
        "streamer.config.csvSource.url=https://data.example.com/2025/gpus.csv?version=3",
        "streamer.config.csvSource.caSecret=data-ca",
        DIGEST,
    ];
    let set = preview(Profile::Dev, &sets);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    let fetch = &pod["initContainers"][0];
    assert_eq!(fetch["image"], pod["containers"][0]["image"]);
    assert_eq!(fetch["args"], serde_json::json!(["worker", "fetch"]));
    // Both have the same volume at the same place.
    let spool = &pod["containers"][0]["volumeMounts"][0];
    assert_eq!(&fetch["volumeMounts"][0], spool);
    let file = "/var/lib/telectl/spool/source/gpus.csv";
    assert_eq!(environment(pod)["CSV_FILE"]["value"], file);
    let variables = fetch["env"].as_array().expect("there are variables");
    let texts: Vec<(&str, &str)> = variables
        .iter()
        .map(|variable| {
            let name = variable["name"].as_str().expect("it has a name");
            (name, variable["value"].as_str().unwrap_or("given"))
        })
        .collect();
    let pairs: [(&str, &str); 8] =
        std::array::from_fn(|index| texts.get(index).copied().unwrap_or(("UNUSED", "")));
    let environment = telectl::config::environment::Environment::from(pairs);
    let settings = telectl::config::worker::FetchSettings::from_environment(&environment)
        .expect("it is understood");
    assert_eq!(settings.file.to_str(), Some(file));
    assert_eq!(settings.limit, 128 << 20);
    assert!(settings.sha256.starts_with("abcdef") && settings.ca_cert.is_some());
    assert!(set.secrets.iter().any(|need| need.name == "data-ca"));
}

#[test]
fn r31_a_download_that_cannot_be_right_is_refused() {
    let refused = |sets: &[&str]| refused(Profile::Dev, sets);
    let url = "streamer.config.csvSource.type=url";
    let address = "streamer.config.csvSource.url=https://data.example.com/gpus.csv";
    let nothing = refused(&[url]);
    for part in [
        "`streamer.config.csvSource.url`",
        "`streamer.config.csvSource.sha256`",
    ] {
        assert!(nothing.contains(part), "{nothing}");
    }
    let scheme = refused(&[url, "streamer.config.csvSource.url=ftp://a/b", DIGEST]);
    assert!(scheme.contains("http or https"), "{scheme}");
    let large = refused(&[
        url,
        address,
        DIGEST,
        "streamer.config.csvSource.maxSize=1Gi",
    ]);
    assert!(
        large.contains("does not fit onto the volume of 1Gi"),
        "{large}"
    );
}
