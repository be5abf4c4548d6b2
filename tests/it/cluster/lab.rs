//! The clusters, a deployment of the lab overlay on them, and the programs that tests drive.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use telectl::config::environment::Environment;

use super::turn::{SECOND, State, Turn};

/// The sample file: rows, GPUs and hosts.
pub(crate) const ROWS: u64 = 2470;
pub(crate) const GPUS: usize = 247;
pub(crate) const HOSTS: usize = 31;

/// Longest time for data or pods to arrive.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// Where the clusters are.
#[derive(Debug, Clone)]
pub(crate) struct Clusters {
    pub(crate) kubeconfig: PathBuf,
    /// The fixture's program; `None` for clusters that somebody else made.
    pub(crate) tool: Option<PathBuf>,
    pub(crate) edge: String,
    pub(crate) edge2: String,
    pub(crate) central: String,
    pub(crate) shared: String,
}

/// What a command did.
#[derive(Debug)]
#[must_use]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Checks the exit code; shows everything otherwise.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "exit code\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Checks that the output (either stream) holds a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "`{text}` is not in\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {}", self.stdout))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub(crate) fn done(output: Output) -> Done {
    output.into()
}

/// telectl: the optimised one where the environment names it.
fn program() -> PathBuf {
    let environment = Environment::of_process();
    let given = environment.get("TELECTL_TEST_PROGRAM");
    given.unwrap_or(env!("CARGO_BIN_EXE_telectl")).into()
}

/// Says that this test was skipped, and why.
pub(crate) fn skipped(why: &str) {
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    // Not eprintln!: the test harness hides that for a test that passes.
    writeln!(std::io::stderr(), "SKIPPED {name}: {why}").expect("standard error is open");
}

impl Clusters {
    /// The clusters that the environment names, or a visible skip.
    pub(crate) fn find() -> Option<Self> {
        let environment = Environment::of_process();
        let Some(kubeconfig) = environment.get("TELECTL_TEST_KUBECONFIG") else {
            assert!(
                environment.get("CI") != Some("true"),
                "no clusters (TELECTL_TEST_KUBECONFIG is not set), and CI=true forbids to skip"
            );
            skipped("no clusters; `make test` starts them");
            return None;
        };
        let contexts = environment.get("TELECTL_TEST_CONTEXTS").unwrap_or_default();
        let context = |role: &str| {
            contexts
                .split(',')
                .find_map(|pair| pair.strip_prefix(role)?.strip_prefix('='))
                .unwrap_or(role)
                .to_owned()
        };
        Some(Self {
            kubeconfig: kubeconfig.into(),
            tool: environment.get("TELECTL_TEST_TOOL").map(PathBuf::from),
            edge: context("edge"),
            edge2: context("edge-2"),
            central: context("central"),
            shared: context("shared"),
        })
    }

    fn has_second_lab(&self) -> bool {
        let contexts = std::fs::read_to_string(&self.kubeconfig).expect("there is a kubeconfig");
        SECOND.iter().all(|context| contexts.contains(context))
    }

    /// telectl with these arguments, ready to be run or changed further.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let environment = Environment::of_process();
        let mut command = Command::new(program());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", environment.get("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent")
            .env("USER", "tester")
            .env("NO_COLOR", "1")
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null());
        command
    }

    /// Runs telectl.
    pub(crate) fn telectl(&self, arguments: &[&str]) -> Done {
        done(
            self.command(arguments)
                .output()
                .expect("telectl can be started"),
        )
    }

    /// Runs telectl on edge and central.
    pub(crate) fn on_both(&self, arguments: &[&str]) -> Done {
        let mut all = arguments.to_vec();
        all.extend([
            "--edge-context",
            &self.edge,
            "--central-context",
            &self.central,
        ]);
        self.telectl(&all)
    }

    /// Runs a deployment command with the lab's values on edge and central.
    pub(crate) fn lab(&self, arguments: &[&str]) -> Done {
        let mut all = arguments.to_vec();
        all.extend(LAB_VALUES);
        self.on_both(&all)
    }

    /// Runs kubectl on a context; it has to succeed. Gives its output.
    #[track_caller]
    pub(crate) fn kubectl(&self, context: &str, arguments: &[&str]) -> String {
        let output = self.try_kubectl(context, arguments);
        assert_eq!(output.code, 0, "kubectl {arguments:?}: {}", output.stderr);
        output.stdout
    }

    /// Runs kubectl on a context.
    pub(crate) fn try_kubectl(&self, context: &str, arguments: &[&str]) -> Done {
        let program = self.tool.as_ref().map_or_else(
            || PathBuf::from("kubectl"),
            |tool| tool.with_file_name("kubectl"),
        );
        let output = Command::new(program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--context", context])
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        done(output.expect("kubectl can be started"))
    }

    /// A shell command as a person runs it: telectl and kubectl are on the path.
    pub(crate) fn shell(&self, command: &str) -> Command {
        let telectl = program();
        let folders = [
            telectl.parent(),
            self.tool.as_deref().and_then(std::path::Path::parent),
        ];
        let mut path: Vec<String> = folders
            .iter()
            .flatten()
            .map(|folder| folder.display().to_string())
            .collect();
        path.push(
            Environment::of_process()
                .get("PATH")
                .unwrap_or_default()
                .to_owned(),
        );
        let mut shell = Command::new("bash");
        shell
            .args(["-o", "pipefail", "-c", command])
            .env("PATH", path.join(":"))
            .env("KUBECONFIG", &self.kubeconfig);
        shell
    }

    /// Runs the fixture's program; it has to succeed.
    #[track_caller]
    pub(crate) fn fixture(&self, arguments: &[&str]) -> String {
        let tool = self
            .tool
            .as_ref()
            .expect("this test needs the fixture's own clusters");
        let output = done(
            Command::new(tool)
                .args(arguments)
                .output()
                .expect("it can be started"),
        );
        assert_eq!(
            output.code, 0,
            "testcluster {arguments:?}: {}",
            output.stderr
        );
        output.stdout
    }

    /// Polls until there is an answer; panics at the deadline, naming what it waited for.
    #[track_caller]
    pub(crate) fn eventually<T>(
        &self,
        what: &str,
        limit: Duration,
        mut poll: impl FnMut() -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(answer) = poll() {
                return answer;
            }
            assert!(
                Instant::now() < deadline,
                "still waiting for {what} after {limit:?}"
            );
            // Between two looks at the clusters, not instead of one.
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// Everything that telectl could write, one line per object with its resource version. What
    /// controllers keep changing by themselves (an autoscaler's status) is shown without it.
    pub(crate) fn snapshot(&self, context: &str) -> String {
        let kinds = "namespaces,serviceaccounts,secrets,configmaps,services,resourcequotas,\
                     networkpolicies,deployments,statefulsets,jobs,poddisruptionbudgets,\
                     horizontalpodautoscalers,leases.coordination.k8s.io";
        let list = self.kubectl(context, &["get", kinds, "-A", "-o", "json"]);
        let list: Value = serde_json::from_str(&list).expect("kubectl prints JSON");
        let mut lines: Vec<String> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|object| {
                // The cluster's own heartbeats and controllers.
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
                !namespace.starts_with("kube-")
            })
            .map(|object| {
                let metadata = &object["metadata"];
                let busy = [
                    "HorizontalPodAutoscaler",
                    "PodDisruptionBudget",
                    "ResourceQuota",
                ];
                let state = if busy.iter().any(|kind| object["kind"] == **kind) {
                    object["spec"].to_string()
                } else {
                    metadata["resourceVersion"].to_string()
                };
                format!(
                    "{} {} {} {} {state}\n",
                    object["kind"], metadata["namespace"], metadata["name"], metadata["uid"]
                )
            })
            .collect();
        lines.sort();
        lines.concat()
    }
}

/// The overlay for small machines, and the images that the fixture loaded.
pub(crate) const LAB_VALUES: [&str; 4] = [
    "-f",
    "lab",
    "-f",
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/images.yaml"),
];

/// Two clusters with the lab deployed. Exclusive: one test at a time has it.
pub(crate) struct Lab {
    pub(crate) clusters: Clusters,
    _turn: Turn,
}

impl std::ops::Deref for Lab {
    type Target = Clusters;

    fn deref(&self) -> &Clusters {
        &self.clusters
    }
}

impl Lab {
    /// Deploys the lab unless it is deployed and well, waits for its data and takes the turn.
    pub(crate) fn take() -> Option<Self> {
        let mut clusters = Clusters::find()?;
        let mut turn = Turn::take(clusters.has_second_lab());
        if turn.0.is_second {
            [clusters.edge, clusters.central] = SECOND.map(str::to_owned);
        }
        match turn.0.state {
            State::Deployed => {}
            State::Empty => {
                let _deployed = clusters.lab(&["deploy-all", "--yes"]).exits(0);
            }
            // One failure is to be one failure: the next test does not begin with its ruins.
            State::Spoiled => {
                let mended = ["deploy-all", "--yes", "--take", "--adopt"];
                let _mended = clusters.lab(&mended).exits(0);
            }
        }
        turn.0.state = State::Deployed;
        let lab = Self {
            clusters,
            _turn: turn,
        };
        let edge = lab.edge.clone();
        lab.eventually("all rows in the store", LONG, || {
            (lab.stored_of(&edge) == ROWS).then_some(())
        });
        Some(lab)
    }

    /// The address of a Service that is reached from outside its cluster.
    pub(crate) fn external(&self, context: &str, namespace: &str, service: &str) -> String {
        let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
        let service = ["-n", namespace, "get", "service", service, "-o", path];
        self.kubectl(context, &service)
    }

    /// A request to the gateway from outside the clusters: status and body.
    pub(crate) fn ask(&self, path: &str) -> Option<(u16, Value)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let address = self.external(&self.central, "telemetry-system", "api-gateway");
        let token = self.secret(
            &self.central,
            "telemetry-system",
            "api-gateway-auth",
            "token",
        );
        runtime.block_on(async {
            crate::servers::install_tls_provider();
            let answer = reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()
                .expect("a client can be made")
                .get(format!("http://{address}{path}"))
                .bearer_auth(token)
                .send()
                .await
                .ok()?;
            let status = answer.status().as_u16();
            Some((status, answer.json().await.ok()?))
        })
    }

    /// How many samples of a source cluster the store holds.
    pub(crate) fn stored_of(&self, cluster: &str) -> u64 {
        let query = format!(
            "select count(*) from sample join series using (series_id) where cluster = '{cluster}'"
        );
        self.sql(&query).trim().parse().unwrap_or(0)
    }

    /// A query in the database's own pod.
    pub(crate) fn sql(&self, query: &str) -> String {
        self.kubectl(
            &self.central,
            &[
                "-n",
                "telemetry-system",
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
            ],
        )
    }

    /// Scales the Deployment without an autoscaler as a person does, with `kubectl scale`.
    pub(crate) fn scale_gateway(&self, count: &str) {
        let scale = ["scale", "deployment/api-gateway", "--replicas", count];
        let place = ["-n", "telemetry-system"];
        self.kubectl(&self.central, &[&place[..], &scale].concat());
    }

    /// Makes its number of pods telectl's own: of one that people scaled twice, the server remembers
    /// nobody as the one who set it.
    pub(crate) fn own_gateway_scale(&self) {
        self.scale_gateway("3");
        let _ours = self.lab(&["deploy-all", "--yes", "--take"]).exits(0);
    }

    /// A value of a Secret, decoded.
    pub(crate) fn secret(&self, context: &str, namespace: &str, name: &str, key: &str) -> String {
        let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
        self.kubectl(
            context,
            &["-n", namespace, "get", "secret", name, "-o", &template],
        )
    }
}
