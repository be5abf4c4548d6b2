//! What the central cluster says about canaries, through its API server.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::Value;
use tokio::time::timeout;

use crate::cluster::client::Question;
use crate::cluster::pod::HttpPort;
use crate::cluster::{Cluster, ClusterError, pod};
use crate::model::canary::CanaryId;
use crate::model::causes::chain;
use crate::model::component::Component;
use crate::model::labels::COMPONENT;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::secret::Secret;
use crate::probe::job::PROBE_LABEL;
use crate::store::canary::FoundCanary;

/// Longest time for one question to a pod.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The variable that holds the gateway's token.
const TOKEN_VARIABLE: &str = "API_TOKEN";

/// A namespace with collectors and gateways.
#[derive(Debug, Clone, Copy)]
pub(super) struct Central<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: &'a str,
}

/// A collector's pod and its status page, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Collector {
    pub(super) pod: String,
    pub(super) status: Result<Value, String>,
}

/// A gateway that is ready, and what it wants to be shown.
#[derive(Debug, Clone)]
pub(super) struct Gateway {
    pod: String,
    port: HttpPort,
    token: Option<Secret<String>>,
}

/// What the gateway answered about a canary.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Look {
    Found(Box<FoundCanary>),
    NotYet,
    /// It knows no canaries.
    TooOld,
    /// It does not answer, or something else.
    Failed(String),
}

impl Central<'_> {
    /// Pods of a component that are not going, probes left out.
    async fn pods(&self, component: Component) -> Result<Vec<Value>, ClusterError> {
        let labels = format!("{COMPONENT}={},!{PROBE_LABEL}", component.name());
        let mut pods = self.cluster.pods(self.namespace, &labels).await?;
        pods.retain(|pod| !pod::is_going(pod));
        Ok(pods)
    }

    /// Every collector.
    pub(super) async fn collectors(&self) -> Result<Vec<Collector>, ClusterError> {
        let pods = self.pods(Component::Collector).await?;
        Ok(join_all(pods.iter().map(|pod| self.collector(pod))).await)
    }

    async fn collector(&self, pod: &Value) -> Collector {
        let question = Question {
            namespace: self.namespace,
            pod: name(pod),
            port: port(pod, Component::Collector),
            path: "/api/v1/status",
            token: None,
        };
        let status = if pod["status"]["phase"] == "Running" {
            let said = self.ask(&question).await.map_err(|error| chain(&error));
            said.and_then(|body| serde_json::from_str(&body).map_err(|error| error.to_string()))
        } else {
            Err(pod::not_ready(pod))
        };
        Collector {
            pod: name(pod).to_owned(),
            status: status.map_err(|why| pod::trouble(pod).unwrap_or(why)),
        }
    }

    /// A gateway that is ready, if there is one.
    pub(super) async fn gateway(&self) -> Result<Option<Gateway>, ClusterError> {
        let pods = self.pods(Component::ApiGateway).await?;
        let Some(pod) = pods.iter().find(|pod| pod::is_ready(pod)) else {
            return Ok(None);
        };
        Ok(Some(Gateway {
            pod: name(pod).to_owned(),
            port: port(pod, Component::ApiGateway),
            token: self.token(pod).await?,
        }))
    }

    /// The token that a gateway asks for, from where its pod has it.
    async fn token(&self, pod: &Value) -> Result<Option<Secret<String>>, ClusterError> {
        let variables = pod["spec"]["containers"][0]["env"].as_array();
        let mut variables = variables.into_iter().flatten();
        let Some(variable) = variables.find(|variable| variable["name"] == TOKEN_VARIABLE) else {
            return Ok(None);
        };
        if let Some(value) = variable["value"].as_str() {
            return Ok(Some(Secret::from(value)));
        }
        let reference = &variable["valueFrom"]["secretKeyRef"];
        let (Some(secret), Some(key)) = (reference["name"].as_str(), reference["key"].as_str())
        else {
            return Ok(None);
        };
        let object = ObjectRef::new(ObjectKind::Secret, self.namespace, secret);
        let found = self.cluster.get(&object).await?.unwrap_or_default();
        Ok(decoded(&found["data"][key]))
    }

    /// Asks a gateway for a canary.
    pub(super) async fn look(&self, gateway: &Gateway, id: &CanaryId) -> Look {
        let path = format!("/api/v1/canaries/{id}");
        let question = Question {
            namespace: self.namespace,
            pod: &gateway.pod,
            port: gateway.port,
            path: &path,
            token: gateway.token.as_ref(),
        };
        match self.ask(&question).await {
            Ok(body) => serde_json::from_str(&body).map_or_else(
                |error| Look::Failed(format!("its answer about a canary is none: {error}")),
                Look::Found,
            ),
            Err(ClusterError::Refused {
                code: 404,
                reason,
                message,
                ..
            }) => not_found(&reason, &message),
            Err(error) => Look::Failed(chain(&error)),
        }
    }

    async fn ask(&self, question: &Question<'_>) -> Result<String, ClusterError> {
        let asked = timeout(ANSWER_LIMIT, self.cluster.ask(question)).await;
        asked.unwrap_or_else(|_| {
            Err(ClusterError::TimedOut {
                cluster: self.cluster.name().to_owned(),
                server: self.cluster.server().to_owned(),
                action: format!("asking pod {}/{}", self.namespace, question.pod),
                after: ANSWER_LIMIT,
            })
        })
    }
}

/// What a 404 means: the gateway's own problems name themselves, the API server's say `NotFound`.
fn not_found(reason: &str, message: &str) -> Look {
    if message.contains("no-canary") {
        Look::NotYet
    } else if message.contains("no-route") {
        Look::TooOld
    } else {
        Look::Failed(format!("{reason}: {message}"))
    }
}

fn decoded(value: &Value) -> Option<Secret<String>> {
    let bytes = STANDARD.decode(value.as_str()?).ok()?;
    Some(Secret::new(
        String::from_utf8(bytes).ok()?.trim().to_owned(),
    ))
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

fn port(pod: &Value, component: Component) -> HttpPort {
    let usual = HttpPort::plain(component.default_port());
    pod::http_port(pod).unwrap_or(usual)
}

impl Collector {
    /// Whether it knows canaries; `None` if it does not answer.
    pub(super) fn knows_canaries(&self) -> Option<bool> {
        let status = self.status.as_ref().ok()?;
        Some(status["details"]["canaries"].is_array())
    }

    /// Whether it has stored a canary lately.
    pub(super) fn has_stored(&self, id: &CanaryId) -> bool {
        let canaries = match &self.status {
            Ok(status) => status["details"]["canaries"].as_array(),
            Err(_) => None,
        };
        let mut canaries = canaries.into_iter().flatten();
        canaries.any(|canary| canary == id.as_str())
    }

    /// Entries that it has set aside.
    pub(super) fn dead_letters(&self) -> u64 {
        let status = self.status.as_ref().ok();
        let count = status.map(|status| &status["details"]["collected"]["dead_letters"]);
        count.and_then(Value::as_u64).unwrap_or(0)
    }

    /// The first thing that is not well, in words.
    pub(super) fn complaint(&self) -> Option<String> {
        let status = match &self.status {
            Ok(status) => status,
            Err(why) => return Some(format!("pod/{}: {why}", self.pod)),
        };
        let dependencies = status["dependencies"].as_object();
        let mut broken = dependencies.into_iter().flatten();
        let (name, state) =
            broken.find(|(_, state)| state["required"] == true && state["ok"] == false)?;
        let detail = state["detail"].as_str().unwrap_or_default();
        Some(format!("pod/{}: {name}: {detail}", self.pod))
    }
}
