//! The OpenAPI document, held against what the gateway answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use telectl::store::Store as _;

use crate::conformance::store::canaries::arrival;
use crate::store_data::RealFile;
use crate::store_fixture::{InSqlite, StoreFixture as _};

use super::{Gateway, text};

/// Routes of the document with a question that each answers from the real file, and the schema of
/// the answer.
const QUESTIONS: [(&str, &str, &str); 11] = [
    (
        "/api/v1/canaries/{id}",
        "/api/v1/canaries/00000000000000000000000000000001",
        "FoundCanary",
    ),
    ("/api/v1/gpus", "/api/v1/gpus", "Gpus"),
    (
        "/api/v1/gpus/{id}/aggregate",
        "/api/v1/gpus/GPU/aggregate?metric=DCGM_FI_DEV_GPU_UTIL&start_time=1752871354&end_time=1752871380",
        "Aggregate",
    ),
    (
        "/api/v1/gpus/{id}/latest",
        "/api/v1/gpus/GPU/latest",
        "Latest",
    ),
    (
        "/api/v1/gpus/{id}/telemetry",
        "/api/v1/gpus/GPU/telemetry?limit=2",
        "Page",
    ),
    (
        "/api/v1/gpus/{id}/telemetry",
        "/api/v1/gpus/GPU/telemetry",
        "Page",
    ),
    ("/api/v1/hosts", "/api/v1/hosts", "Hosts"),
    (
        "/api/v1/hosts/{hostname}/gpus",
        "/api/v1/hosts/HOST/gpus",
        "Gpus",
    ),
    ("/api/v1/sources", "/api/v1/sources", "Sources"),
    ("/api/v1/stats", "/api/v1/stats", "Statistics"),
    (
        "/api/v1/telemetry/latest",
        "/api/v1/telemetry/latest",
        "Latest",
    ),
];

/// A document whose objects may have nothing that is not described. One that is a part of another
/// object cannot say so: it does not know the other parts.
fn strict(document: &Value) -> Value {
    let mut components = document["components"].clone();
    let schemas = components["schemas"].as_object_mut().unwrap();
    let wholes = schemas.values().map(|schema| schema["allOf"].to_string());
    let wholes: String = wholes.collect();
    for (name, schema) in schemas {
        let is_part = wholes.contains(&format!("/{name}\""));
        if schema["properties"].is_object() && !is_part {
            schema["additionalProperties"] = json!(false);
        }
    }
    components
}

/// What is wrong with a body by a schema of the document.
fn problems(components: &Value, schema: &str, body: &Value) -> Vec<String> {
    let reference = format!("#/components/schemas/{schema}");
    let schema = json!({"$ref": reference, "components": components});
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors = validator.iter_errors(body);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[tokio::test]
async fn w20_real_answers_are_as_the_document_says() {
    let fixture = InSqlite::prepared().await.unwrap();
    let store = fixture.open();
    let file = RealFile::read("edge");
    store.store(&file.cut(400)).await.unwrap();
    store.note_canary(&arrival(1)).await.unwrap();
    let gateway = Gateway::of(store, None).await;
    let document = gateway.ok("/api/v1/openapi.json").await;
    let components = strict(&document);
    let none: Vec<String> = Vec::new();
    let [_, uuid, host, _] = &file.rows[1].labels;
    for (route, question, schema) in QUESTIONS {
        let operation = &document["paths"][route]["get"];
        let described = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(
            described["$ref"],
            format!("#/components/schemas/{schema}"),
            "{route}"
        );
        let question = question
            .replace("GPU/", &format!("{uuid}/"))
            .replace("HOST", host);
        let body = gateway.ok(&question).await;
        assert_ne!(body["count"], 0, "{question}");
        assert_eq!(problems(&components, schema, &body), none, "{question}");
        let body = gateway.problem(&format!("{route}?x=1"), 400, "`x`").await;
        assert_eq!(
            problems(&components, "ProblemDetails", &body),
            none,
            "{route}"
        );
    }
    let foreign = json!({"gpus": [], "count": 0, "more": 1});
    assert_ne!(problems(&components, "Gpus", &foreign), none, "it looks");
}

#[tokio::test]
async fn w20_every_route_describes_its_problems_and_shows_examples() {
    let fixture = InSqlite::prepared().await.unwrap();
    let gateway = Gateway::of(fixture.open(), Some("canary-token-77")).await;
    let document = gateway.ok("/api/v1/openapi.json").await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let operation = &item["get"];
        for status in ["200", "400", "401", "405", "413", "503"] {
            let response = &operation["responses"][status];
            assert_ne!(text(&response["description"]), "", "{path} {status}");
            let content = response["content"].as_object().unwrap();
            assert!(
                content.values().all(|it| it["schema"].is_object()),
                "{path} {status}"
            );
            if status != "200" {
                let schema = &content["application/problem+json"]["schema"]["$ref"];
                assert_eq!(
                    schema, "#/components/schemas/ProblemDetails",
                    "{path} {status}"
                );
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert_ne!(text(&parameter["description"]), "", "{path}: {parameter}");
        }
    }
    let components = strict(&document);
    for (name, schema) in components["schemas"].as_object().unwrap() {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let is_made_of_others = property.to_string().contains("#/components/schemas/");
            let example = property
                .get("example")
                .or_else(|| property["examples"].get(0));
            assert!(
                is_made_of_others || example.is_some(),
                "{name}.{field} has no example"
            );
            let Some(example) = example else { continue };
            let alone = json!({"$ref": format!("#/components/schemas/{name}/properties/{field}"),
                               "components": components});
            let validator = jsonschema::draft202012::new(&alone).unwrap();
            assert!(validator.is_valid(example), "{name}.{field}: {example}");
        }
    }
}

#[tokio::test]
async fn w20_the_document_describes_every_route_that_answers() {
    let fixture = InSqlite::prepared().await.unwrap();
    let gateway = Gateway::of(fixture.open(), None).await;
    let document = gateway.ok("/api/v1/openapi.json").await;
    assert!(text(&document["openapi"]).starts_with("3.1"));
    let paths: BTreeMap<String, Value> = serde_json::from_value(document["paths"].clone()).unwrap();
    assert_eq!(
        paths.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "/api/v1/canaries/{id}",
            "/api/v1/gpus",
            "/api/v1/gpus/{id}/aggregate",
            "/api/v1/gpus/{id}/latest",
            "/api/v1/gpus/{id}/telemetry",
            "/api/v1/hosts",
            "/api/v1/hosts/{hostname}/gpus",
            "/api/v1/sources",
            "/api/v1/stats",
            "/api/v1/stream",
            "/api/v1/telemetry/latest",
            "/metrics/gpu",
        ]
    );
    for path in paths.keys() {
        let path = path.replace("{id}", "x").replace("{hostname}", "x");
        let (status, body) = gateway.get(&format!("{path}?unknown=1")).await;
        assert_eq!(body["type"], "/docs#parameter", "{path}: {status}");
    }
    // Whatever a schema refers to is there.
    let all = document.to_string();
    for reference in all.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
    for path in ["/", "/docs"] {
        let page = gateway
            .client
            .get(format!("{}{path}", gateway.base))
            .send()
            .await
            .unwrap();
        assert!(
            page.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        let page = page.text().await.unwrap();
        assert!(page.contains("api/v1/openapi.json"));
        assert!(!page.contains("https://"), "an asset from elsewhere");
    }
}
