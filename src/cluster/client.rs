//! A connection to one cluster, and everything that only reads.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, ListParams, LogParams};
use kube::config::KubeConfigOptions;
use kube::runtime::watcher;
use kube::{Client, Config};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::error::ClusterError;
use super::kubeconfig::Contexts;
use super::pod::HttpPort;
use super::transport;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::secret::Secret;

/// The longest time that one request may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// Requests in flight per cluster: a look at two namespaces and the nodes at once, and far below
/// what an API server sheds (400 reads, 200 writes) or takes on one connection (100 and more).
const IN_FLIGHT: usize = 64;

/// Group, version, kind and plural of a resource that telectl itself does not render.
pub type Resource = (&'static str, &'static str, &'static str, &'static str);

/// Pods.
pub const PODS: Resource = ("", "v1", "Pod", "pods");
/// Events.
pub const EVENTS: Resource = ("", "v1", "Event", "events");
/// EndpointSlices.
pub const ENDPOINT_SLICES: Resource = ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");

/// What a pod is asked over HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// Its name.
    pub pod: &'a str,
    /// The port.
    pub port: HttpPort,
    /// Path and query.
    pub path: &'a str,
    /// What the pod wants to be shown.
    pub token: Option<&'a Secret<String>>,
}

/// A cluster, named by its context. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    name: String,
    server: String,
    client: Client,
    /// Asks pods: their 503 is an answer, which the other client would ask for again and again.
    asking: Client,
    config: Arc<Config>,
    slots: Arc<Semaphore>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Cluster({} at {})", self.name, self.server)
    }
}

impl Cluster {
    /// A client for a context. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no such context or its entry is unusable.
    pub async fn from_context(contexts: &Contexts, context: &str) -> Result<Self, ClusterError> {
        contexts.require(context)?;
        let broken =
            |source: Box<dyn std::error::Error + Send + Sync>| ClusterError::BrokenContext {
                context: context.to_owned(),
                files: contexts.files().to_vec(),
                source,
            };
        let options = KubeConfigOptions {
            context: Some(context.to_owned()),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(contexts.kubeconfig().clone(), &options)
            .await
            .map_err(|error| broken(Box::new(error)))?;
        let server = config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned();
        let clients = transport::clients(&config);
        let (client, asking) = clients.map_err(|error| broken(Box::new(error)))?;
        let slots = Arc::new(Semaphore::new(IN_FLIGHT));
        Ok(Self {
            name: context.to_owned(),
            server,
            client,
            asking,
            config: Arc::new(config),
            slots,
        })
    }

    /// The context.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// URL of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// For requests that are about no object.
    pub(super) const fn raw(&self) -> &Client {
        &self.client
    }

    /// What its clients are made from.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn api(&self, kind: ObjectKind, namespace: &str) -> Api<DynamicObject> {
        let (group, version, plural) = kind.resource();
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: kind.api_version(),
            kind: kind.name().to_owned(),
            plural: plural.to_owned(),
        };
        self.api_of(&resource, namespace)
    }

    fn api_of(&self, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, resource)
        }
    }

    pub(super) fn typed<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Makes one request: takes its turn, has a deadline, and names itself in errors.
    pub(super) async fn request<T>(
        &self,
        action: &str,
        work: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ClusterError> {
        let timed = async {
            // The semaphore is never closed; without a permit the request is merely not counted.
            let _turn = self.slots.acquire().await.ok();
            work.await
        };
        match tokio::time::timeout(REQUEST_DEADLINE, timed).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.error(action, error)),
            Err(_) => Err(ClusterError::TimedOut {
                cluster: self.name.clone(),
                server: self.server.clone(),
                action: action.to_owned(),
                after: REQUEST_DEADLINE,
            }),
        }
    }

    pub(super) fn error(&self, action: &str, error: kube::Error) -> ClusterError {
        match error {
            kube::Error::Api(status) => ClusterError::Refused {
                cluster: self.name.clone(),
                action: action.to_owned(),
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            other => ClusterError::Unreachable {
                cluster: self.name.clone(),
                server: self.server.clone(),
                source: Box::new(other),
            },
        }
    }

    /// The refusal behind a watch's error, if it is one: nobody gets leave by waiting. Anything else
    /// may pass.
    pub(super) fn refused(&self, action: &str, error: &watcher::Error) -> Option<ClusterError> {
        use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
        let (InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status)) = error
        else {
            return None;
        };
        let is_refused = matches!(status.code, 401 | 403);
        is_refused.then(|| self.error(action, kube::Error::Api(status.clone())))
    }

    /// A 404 that means the kind, of which not every cluster has the definition, and not the object
    /// or its namespace, which the server names.
    pub(super) fn about_kind(&self, kind: ObjectKind, error: ClusterError) -> ClusterError {
        match error {
            ClusterError::Refused {
                code: 404, message, ..
            } if !kind.is_built_in() && !message.starts_with("namespaces ") => {
                ClusterError::UnknownKind {
                    cluster: self.name().to_owned(),
                    kind,
                }
            }
            error => error,
        }
    }

    /// One object; `None` if there is none.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        let api = self.api(object.kind, &object.namespace);
        let found = self
            .request(&format!("reading {object}"), api.get_opt(&object.name))
            .await
            .map_err(|error| self.about_kind(object.kind, error))?;
        Ok(found.map(|found| self.value(object.kind, found)))
    }

    /// The objects of a kind in a namespace (everywhere if empty) that carry the labels.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn list(
        &self,
        kind: ObjectKind,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        let api = self.api(kind, namespace);
        let parameters = ListParams::default().labels(labels);
        let listed = self
            .request(&format!("listing {kind}s"), api.list(&parameters))
            .await
            .map_err(|error| self.about_kind(kind, error));
        let list = match listed {
            // Whoever takes a definition away takes all objects of the kind with it.
            Err(ClusterError::UnknownKind { .. }) => return Ok(Vec::new()),
            listed => listed?,
        };
        Ok(list
            .items
            .into_iter()
            .map(|item| self.value(kind, item))
            .collect())
    }

    /// The objects of a kind that telectl itself does not render, such as `v1 Pod` or
    /// `discovery.k8s.io/v1 EndpointSlice`; `resource` is group, version, kind and plural.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn list_other(
        &self,
        resource: (&str, &str, &str, &str),
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        let (group, version, kind, plural) = resource;
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        let api = self.api_of(&resource, namespace);
        let parameters = ListParams::default().labels(labels);
        let list = self
            .request(&format!("listing {plural}"), api.list(&parameters))
            .await?;
        Ok(list
            .items
            .into_iter()
            .map(|item| serde_json::to_value(item).unwrap_or_default())
            .collect())
    }

    /// The pods of a namespace that carry the labels.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn pods(&self, namespace: &str, labels: &str) -> Result<Vec<Value>, ClusterError> {
        self.list_other(PODS, namespace, labels).await
    }

    /// What a container of a pod logged; `parameters` say which one, and of which run.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        parameters: &LogParams,
    ) -> Result<String, ClusterError> {
        let api: Api<k8s_openapi::api::core::v1::Pod> = self.typed(namespace);
        self.request(
            &format!("reading the log of pod {namespace}/{pod}"),
            api.logs(pod, parameters),
        )
        .await
    }

    /// Asks a pod's HTTP port through the API server's proxy; the answer's text.
    ///
    /// # Errors
    /// As [`Self::get`]; an answer of the pod other than 2xx counts as refused.
    pub async fn ask_pod(
        &self,
        namespace: &str,
        pod: &str,
        port: HttpPort,
        path: &str,
    ) -> Result<String, ClusterError> {
        self.ask(&Question {
            namespace,
            pod,
            port,
            path,
            token: None,
        })
        .await
    }

    /// Asks a pod's HTTP port through the API server's proxy, which keeps `Authorization` to
    /// itself: a token travels in `X-API-Token`.
    ///
    /// # Errors
    /// As [`Self::ask_pod`].
    pub async fn ask(&self, question: &Question<'_>) -> Result<String, ClusterError> {
        let Question {
            namespace,
            pod,
            port,
            path,
            token,
        } = question;
        // The API server does not look at a pod's certificate: it is sure of the pod by its address.
        let scheme = if port.tls { "https:" } else { "" };
        let number = port.number;
        let uri = format!("/api/v1/namespaces/{namespace}/pods/{scheme}{pod}:{number}/proxy{path}");
        let action = format!("asking pod {namespace}/{pod} for {path}");
        let mut request = http::Request::get(uri);
        if let Some(token) = token {
            request = request.header("x-api-token", token.expose());
        }
        let request = request
            .body(Vec::new())
            .map_err(|error| ClusterError::Unreachable {
                cluster: self.name.clone(),
                server: self.server.clone(),
                source: Box::new(error),
            })?;
        self.request(&action, self.asking.request_text(request))
            .await
    }

    /// What tells this cluster from every other: the UID of its kube-system namespace.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn identity(&self) -> Result<String, ClusterError> {
        let object = ObjectRef::new(ObjectKind::Namespace, "", "kube-system");
        let namespace = self.get(&object).await?.unwrap_or_default();
        Ok(namespace["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// The API server's version, for example `v1.34.4`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn version(&self) -> Result<String, ClusterError> {
        let info = self
            .request("asking for the version", self.client.apiserver_version())
            .await?;
        Ok(info.git_version)
    }

    /// An object as a value; lists do not repeat the kind of their items, so it is put back.
    pub(super) fn value(&self, kind: ObjectKind, object: DynamicObject) -> Value {
        let mut value = serde_json::to_value(object).unwrap_or_default();
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.name().into();
        value
    }
}
