//! Four clusters of control planes only, on which one deployment after the other is made, killed,
//! brought to its end and removed.

use std::io::Write as _;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use super::final_state::FinalState;
use super::lab::{Clusters, Done, LAB_VALUES};
use super::proxy::{Kill, Moment, Proxies};

/// The longest that any run of telectl may take here, where pods are ready at once.
const LONGEST: Duration = Duration::from_secs(120);
/// How often it is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(10);
/// The namespaces that a deployment makes.
const WORKERS: &str = "telemetry-system";
const SHARED: &str = "shared-infrastructure";

/// Everything namespaced that telectl makes, or that is made of it and stays.
const KINDS: [(&str, &str); 16] = [
    ("/api/v1", "configmaps"),
    ("/api/v1", "secrets"),
    ("/api/v1", "services"),
    ("/api/v1", "serviceaccounts"),
    ("/api/v1", "resourcequotas"),
    ("/api/v1", "persistentvolumeclaims"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "statefulsets"),
    ("/apis/batch/v1", "jobs"),
    ("/apis/batch/v1", "cronjobs"),
    ("/apis/policy/v1", "poddisruptionbudgets"),
    ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("/apis/networking.k8s.io/v1", "ingresses"),
    ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    ("/apis/coordination.k8s.io/v1", "leases"),
];

/// Says something to whoever watches a long test.
pub(super) fn say(text: &str) {
    // Not eprintln!: the test harness hides that for a test that passes.
    writeln!(std::io::stderr(), "{text}").expect("standard error is open");
}

/// A process that ends with the value, however the test ends.
struct Running(Child);

impl Running {
    /// Waits for its end; `None` if it takes too long.
    fn ended(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + LONGEST;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return Some(status);
            }
            std::thread::park_timeout(LOOK);
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended, as all do that were waited for, is not killed any more.
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }
}

/// Four clusters.
pub(super) struct Lane {
    clusters: Clusters,
    proxies: Proxies,
    runtime: tokio::runtime::Runtime,
    /// The API servers with the namespace that is deployed to each, in order.
    places: Vec<(String, &'static str, kube::Client)>,
}

impl Lane {
    /// The lanes whose clusters are there, one at least.
    pub(super) fn all(clusters: &Clusters) -> Vec<Self> {
        let known = Kubeconfig::read_from(&clusters.kubeconfig).expect("a kubeconfig");
        let named: Vec<&str> = known.contexts.iter().map(|one| &*one.name).collect();
        let lanes: Vec<Self> = ["", "-b", "-c", "-d"]
            .into_iter()
            .filter(|suffix| named.contains(&&*format!("{}{suffix}", clusters.shared)))
            .map(|suffix| Self::of(clusters, suffix))
            .collect();
        assert!(!lanes.is_empty(), "no clusters among {named:?}");
        lanes
    }

    fn of(clusters: &Clusters, suffix: &str) -> Self {
        let with = |context: &str| format!("{context}{suffix}");
        let clusters = Clusters {
            edge: with(&clusters.edge),
            edge2: with(&clusters.edge2),
            central: with(&clusters.central),
            shared: with(&clusters.shared),
            ..clusters.clone()
        };
        let contexts = [
            (&clusters.shared, SHARED),
            (&clusters.central, WORKERS),
            (&clusters.edge, WORKERS),
            (&clusters.edge2, WORKERS),
        ];
        let proxies = Proxies::before(&clusters, &contexts.map(|(context, _)| &**context));
        proxies.stand_in_for_pods();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let kubeconfig = Kubeconfig::read_from(&clusters.kubeconfig).expect("a kubeconfig");
        let places = contexts.map(|(context, namespace)| {
            let client = runtime.block_on(client(&kubeconfig, context));
            (context.clone(), namespace, client)
        });
        let lane = Self {
            clusters,
            proxies,
            runtime,
            places: places.into(),
        };
        lane.require_pretended();
        lane
    }

    /// Its rounds delete namespaces: never those of clusters with pods that run.
    fn require_pretended(&self) {
        for (context, _, client) in &self.places {
            let nodes = self.runtime.block_on(get(client, "/api/v1/nodes"));
            let nodes = nodes.expect("the nodes can be listed");
            let conditions = &nodes["items"][0]["status"]["conditions"][0];
            assert_eq!(
                conditions["reason"], "Pretended",
                "{context} has a node that runs pods: start it with --control-plane-only"
            );
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.clusters.shared
    }

    fn arguments<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        let contexts = [
            "--shared-context",
            &*self.clusters.shared,
            "--central-context",
            &*self.clusters.central,
            "--edge-context",
            &*self.clusters.edge,
            "--edge-context",
            &*self.clusters.edge2,
        ];
        [command, &LAB_VALUES, &contexts].concat()
    }

    /// Runs telectl to its end; nothing is killed any more.
    pub(super) fn run(&self, arguments: &[&str]) -> Done {
        self.proxies.reset(Duration::ZERO);
        let through = self.proxies.clusters(&self.clusters);
        let said = [(); 2].map(|()| tempfile::NamedTempFile::new().expect("a file"));
        let streams = [0, 1].map(|at| said[at].reopen().expect("it can be opened again"));
        let [stdout, stderr] = streams;
        let mut command = through.command(arguments);
        let child = command.stdout(stdout).stderr(stderr).spawn();
        let status = Running(child.expect("telectl can be started")).ended();
        let [stdout, stderr] =
            said.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default());
        Done {
            code: status.and_then(|status| status.code()).unwrap_or(-1),
            stdout,
            stderr,
        }
    }

    /// Deploys everything; the writes that it took.
    pub(super) fn deploy(&self) -> (Done, usize) {
        let done = self.run(&self.arguments(&["deploy-all", "--yes"]));
        (done, self.proxies.writes().len())
    }

    pub(super) fn plan(&self) -> Done {
        self.run(&self.arguments(&["plan", "--exit-code"]))
    }

    pub(super) fn resume(&self) -> Done {
        let (shared, central) = (&*self.clusters.shared, &*self.clusters.central);
        self.run(&["resume", "--yes", "-s", shared, "-c", central])
    }

    /// Deploys and kills telectl; says where, or `None` if it came to its end before.
    ///
    /// # Errors
    /// When it did not end at all.
    pub(super) fn killed(&self, write: usize, moment: Moment) -> Result<Option<String>, String> {
        self.proxies.reset(Duration::ZERO);
        let through = self.proxies.clusters(&self.clusters);
        let mut command = through.command(&self.arguments(&["deploy-all", "--yes"]));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut run = Running(child.expect("telectl can be started"));
        self.proxies.kill(Kill {
            process: run.0.id(),
            write,
            moment,
        });
        match run.ended() {
            Some(_) => Ok(self.proxies.killed_at()),
            None => Err(format!("the run was not killed in {LONGEST:?}")),
        }
    }

    /// What is on the clusters.
    pub(super) fn state(&self) -> FinalState {
        let asked = self.places.iter().flat_map(|(context, namespace, client)| {
            let lists =
                KINDS.map(|(group, plural)| format!("{group}/namespaces/{namespace}/{plural}"));
            let own = [format!("/api/v1/namespaces/{namespace}")];
            let paths = own.into_iter().chain(lists);
            paths.map(move |path| async move {
                let found = get(client, &path).await;
                (context, found.unwrap_or_else(|why| panic!("{path}: {why}")))
            })
        });
        let answers = self.runtime.block_on(join_all(asked));
        let objects = answers.into_iter().flat_map(|(context, mut answer)| {
            let kind = answer["kind"].as_str().unwrap_or_default().to_owned();
            let items = match answer["items"].take() {
                Value::Array(items) => items,
                _ => vec![answer],
            };
            items.into_iter().map(move |mut item| {
                item["kind"] = kind.trim_end_matches("List").into();
                (context.clone(), item)
            })
        });
        FinalState::of(objects.collect())
    }

    /// Removes what was deployed, and waits until it is gone.
    pub(super) fn clear(&self) {
        let cleared = self.places.iter().map(|(context, namespace, client)| {
            let path = format!("/api/v1/namespaces/{namespace}");
            async move {
                let deadline = Instant::now() + LONGEST;
                drop(ask(client, http::Method::DELETE, &path).await);
                while !is_gone(context, get(client, &path).await) {
                    assert!(
                        Instant::now() < deadline,
                        "{context}: {namespace} is still there after {LONGEST:?}"
                    );
                    // Between two looks, not instead of one.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
        let _gone = self.runtime.block_on(join_all(cleared));
    }
}

fn is_gone(context: &str, answer: Result<Value, kube::Error>) -> bool {
    match answer {
        Ok(_) => false,
        Err(kube::Error::Api(status)) if status.code == 404 => true,
        Err(error) => panic!("{context}: {error}"),
    }
}

async fn client(kubeconfig: &Kubeconfig, context: &str) -> kube::Client {
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await;
    kube::Client::try_from(config.expect("the context is there")).expect("a client")
}

async fn get(client: &kube::Client, path: &str) -> Result<Value, kube::Error> {
    ask(client, http::Method::GET, path).await
}

async fn ask(
    client: &kube::Client,
    method: http::Method,
    path: &str,
) -> Result<Value, kube::Error> {
    let request = http::Request::builder().method(method).uri(path);
    let request = request.body(Vec::new()).expect("a request");
    client.request(request).await
}
